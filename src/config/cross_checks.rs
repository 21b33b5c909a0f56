//! Checks of settings in different sections against each other.

use std::collections::HashSet;

use super::authenticator_context::ConfiguredAuthenticators;
use super::file::ConfigFile;
use super::reader::{Section, quoted};
use super::secret::SecretResolver;
use super::server::{CorsConfig, ListenAddress, RestrictedSettings};
use crate::authn::Authenticator;

const PLAYGROUND_WITHOUT_DEMO: &str = "the playground works only in the demonstration: it makes tokens for anyone, with the demonstration's caller secret";
const PLAYGROUND_HELP: &str = "leave it out: `chat-signer explain` shows decisions on any configuration";

/// Notes mistakes if a demonstration is used for anything else. A configuration that trusts the demonstration's callers
/// trusts everyone. So it must have no real secrets, and only this machine may connect.
pub(super) fn check_demonstration(
    file: &ConfigFile<'_>,
    vault: &SecretResolver,
    callers: &ConfiguredAuthenticators,
    listen: &ListenAddress,
    places: &RestrictedSettings,
) {
    if let (Some(place), None) = (&places.playground, &callers.demo_caller) {
        file.mistake(place, PLAYGROUND_WITHOUT_DEMO, PLAYGROUND_HELP);
    }
    let Some(public) = callers.demo_credentials() else { return warn_of_demo_secrets(file, vault) };
    for real in vault.resolved.iter().filter(|seen| !seen.is_demo_secret) {
        let message =
            format!("`{}` is your own secret, but the configuration accepts the demonstration's {public}", real.name);
        let help = "anyone could get signatures with these public credentials: replace them with your own";
        file.mistake(&real.key, message, help);
    }
    if !matches!(listen, ListenAddress::Tcp(address) if address.ip().is_loopback()) {
        let message = format!("the demonstration can't listen on {listen}: everyone knows its {public}");
        let help = "write listen = \"127.0.0.1:7480\", or use your own credentials for callers";
        file.mistake(&places.listen, message, help);
    }
}

fn warn_of_demo_secrets(file: &ConfigFile<'_>, vault: &SecretResolver) {
    for seen in vault.resolved.iter().filter(|seen| seen.is_demo_secret) {
        let message = format!("`{}` is one of the demonstration's secrets, which are public", seen.name);
        file.warning(&seen.key, message, "replace it with your own");
    }
}

/// Warns if an authenticator accepts credentials that browsers add by themselves, and `[server]` has no `hosts`.
pub(super) fn warn_of_open_hosts(
    root: &Section<'_>,
    are_configured: bool,
    authenticators: &[Authenticator],
    places: &RestrictedSettings,
) {
    let ambient = authenticators.iter().find(|authenticator| authenticator.is_ambient());
    let (Some(ambient), false) = (ambient, are_configured) else { return };
    let message = format!(
        "[server] has no `hosts`, but {} accepts credentials that browsers or proxies add by themselves",
        quoted(&ambient.common().name)
    );
    let help = "list the host names that clients use: hosts = [\"chat.example.com\"]; until then, pages whose name resolves to this server \
                (DNS rebinding) can send such requests with GET";
    root.file.warning(&places.server, message, help);
}

/// Checks that web pages may not send the headers with API keys or with the callers of a proxy.
pub(super) fn check_cors_headers(
    file: &ConfigFile<'_>,
    cors: Option<&CorsConfig>,
    callers: &ConfiguredAuthenticators,
    places: &RestrictedSettings,
) {
    for name in cors.into_iter().flat_map(|cors| &cors.headers) {
        let Some(role) = callers.headers.use_outside_pages(name) else { continue };
        let message = format!("[server.cors] lists the header {}, which {role}", quoted(name.as_str()));
        file.mistake(&places.server, message, "leave it out: web pages have no such credentials");
    }
}

/// Warns of signing secrets that are also sent to others, for example as a bearer token. Notes a mistake if a signing
/// secret is an API key: every caller with that key could sign.
pub(super) fn check_signing_uses(file: &ConfigFile<'_>, vault: &SecretResolver, api_keys: &HashSet<[u8; 32]>) {
    const HELP: &str = "use separate secrets: anyone who receives this secret could sign with it";
    for seen in vault.resolved.iter().filter(|seen| !seen.is_signing) {
        if let Some(known) = vault.signing.iter().find(|known| known.blocks.overlaps(&seen.blocks)) {
            let message = format!("`{}` is also the signing secret of {}", seen.name, known.owner);
            file.warning(&seen.key, message, HELP);
        }
    }
    for known in vault.signing.iter().filter(|known| api_keys.contains(&known.sha256)) {
        file.mistake(&known.place, format!("the signing secret of {} is also an API key", known.owner), HELP);
    }
}
