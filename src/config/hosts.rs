//! `hosts` of `[server]` and `[admin]`: the host names of a listener.

use core::net::IpAddr;

use super::mtls::is_dns_name;
use super::reader::{ConfigItem, Section, quoted};
use super::signer::RestrictedSettings;
use crate::authn::{Authenticator, host_name};

/// Reads a list of host names and IP addresses, without ports.
pub(super) fn hosts(item: &ConfigItem<'_>) -> Option<Vec<String>> {
    item.read_unique_list(host)
}

fn host(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    let address = host_name(text).parse::<IpAddr>().or_else(|_| text.parse()).ok();
    let is_bare = text == host_name(text) || text.starts_with('[') && text.ends_with(']');
    match address {
        Some(address) if is_bare || text.parse::<IpAddr>().is_ok() => Some(address.to_string()),
        None if is_dns_name(text) => Some(text.to_owned()),
        _ => item.mistake(
            format!("has {}, which is not a host name in small letters", quoted(text)),
            "write each name in full, without scheme, port or `*`: \"chat.example.com\"",
        ),
    }
}

/// Warns if an authenticator accepts credentials that browsers add by themselves, and `[server]` has no `hosts`.
pub(super) fn warn_if_open(
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
