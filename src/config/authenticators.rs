//! `[[authenticators]]` of `signer.toml`.

use std::sync::Arc;

use super::authenticator_context::{AuthenticatorContext, ConfiguredAuthenticators};
use super::file::ConfigFile;
use super::reader::{Section, join_with_and, quoted};
use super::report::ByteRange;
use super::{api_key, connection_peer, forwarded, introspection, jwt};
use crate::authn::{Authenticator, Common, Jwt, TrustedProxies};
use crate::model::CallerKind;

/// Reads the keys of an authenticator that only its type has.
type ReadAuthenticator = fn(
    &mut Section<'_>,
    Option<Common>,
    &mut ConfiguredAuthenticators,
    &mut AuthenticatorContext<'_>,
) -> Option<Authenticator>;

const TYPES: [(&str, ReadAuthenticator); 7] = [
    ("jwt", |section, common, callers, context| jwt::jwt(section, common, callers, context).map(Authenticator::Jwt)),
    ("api-key", |section, common, callers, _| api_key::api_key(section, common, callers).map(Authenticator::ApiKey)),
    ("forwarded", |section, common, callers, context| {
        forwarded::forwarded(section, common, callers, context).map(Authenticator::Forwarded)
    }),
    ("introspection", |section, common, callers, context| {
        introspection::introspection(section, common, callers, context).map(Authenticator::Introspection)
    }),
    ("leancloud-session", |section, common, callers, context| {
        introspection::leancloud_session(section, common, callers, context).map(Authenticator::Introspection)
    }),
    ("mtls", |section, common, callers, context| {
        callers.accepts_certificates = true;
        connection_peer::mtls(section, common, context).map(Authenticator::Mtls)
    }),
    ("unix-peer", |section, common, _, context| {
        connection_peer::unix_peer(section, common, context.is_unix_listener).map(Authenticator::UnixPeer)
    }),
];

const RESERVED_NAME_HELP: &str =
    "give it another name: metrics show \"none\" for callers that no authenticator identified";

/// Reads every authenticator.
pub(super) fn authenticators(
    root: &mut Section<'_>,
    mut context: AuthenticatorContext<'_>,
) -> ConfiguredAuthenticators {
    let mut callers = ConfiguredAuthenticators::default();
    let list = root.get("authenticators");
    if list.is_none_or(|item| item.value.as_array().is_some_and(|list| list.iter().next().is_none())) {
        let help = "add [[authenticators]] with type = \"jwt\" or \"api-key\"";
        root.file.missing(&root.span, "there is no authenticator, so nobody can call", help);
    }
    for section in root.sections("authenticators") {
        authenticator(section, &mut callers, &mut context);
    }
    check_issuers(root.file, &callers);
    warn_of_proxies(root.file, &callers, context.is_unix_listener);
    if let (Some(place), false) = (&context.client_ca, callers.accepts_certificates) {
        warn_of_client_ca(root.file, place, &callers);
    }
    callers
}

/// Warns that `client_ca` requires no certificate from callers.
fn warn_of_client_ca(file: &ConfigFile<'_>, place: &ByteRange, callers: &ConfiguredAuthenticators) {
    let serves_tokens = callers.authenticators.iter().any(|authenticator| authenticator.token_rules().is_some());
    let message = if serves_tokens {
        "`client_ca` requires no certificate from callers: it only serves tokens that are bound to a certificate (cnf)"
    } else {
        "`client_ca` has no effect: no caller must show a certificate, and no authenticator reads certificates"
    };
    file.warning(place, message, "leave it out, or add [[authenticators]] with type = \"mtls\"");
}

fn authenticator(
    mut section: Section<'_>,
    callers: &mut ConfiguredAuthenticators,
    context: &mut AuthenticatorContext<'_>,
) {
    let name = name(&mut section, callers);
    let _part = name.as_ref().map(|name| section.file.enter(&format!("authenticators.{name}")));
    let help = "write type = \"jwt\" or type = \"api-key\"";
    let kind = section.require("type", help).and_then(|item| item.keyword(&TYPES));
    let Some(read) = kind else { return section.hide_unread_values() };
    let common = common(&mut section, name, context.apps);
    if let Some(made) = read(&mut section, common, callers, context) {
        callers.authenticators.push(made);
        callers.places.push(section.span.clone());
    }
    section.report_unknown_keys();
}

/// Reads the keys that every authenticator has, except its name.
fn common(section: &mut Section<'_>, name: Option<String>, apps: &[String]) -> Option<Common> {
    let caller = section
        .require("caller", "write caller = \"user\" for end users' devices, or caller = \"service\" for backends");
    let kind = caller.and_then(|item| item.keyword(&[("user", CallerKind::User), ("service", CallerKind::Service)]));
    let apps = section.get("apps").and_then(|item| item.known_words("a configured app", apps));
    name.zip(kind).map(|(name, kind)| Common { name: Arc::from(name), kind, apps })
}

/// Checks that no token can be meant for two authenticators.
fn check_issuers(file: &ConfigFile<'_>, callers: &ConfiguredAuthenticators) {
    const HELP: &str = "one issuer has one authenticator, unless they have different audiences, or `required_claims` with different values of one claim";
    let mut before: Vec<&Jwt> = Vec::new();
    for (authenticator, place) in callers.authenticators.iter().zip(&callers.places) {
        let Authenticator::Jwt(jwt) = authenticator else { continue };
        if let Some(other) = before.iter().find(|other| !jwt.is_distinct_from(other)) {
            let name = quoted(&other.common.name);
            file.mistake(place, format!("a token of this issuer can be meant for {name} as well"), HELP);
        }
        before.push(jwt);
    }
}

/// Warns if an authenticator identifies callers by their connection, but a `forwarded` authenticator treats the same
/// connection as a proxy. No caller can then authenticate with it.
fn warn_of_proxies(file: &ConfigFile<'_>, callers: &ConfiguredAuthenticators, unix: bool) {
    for (authenticator, place) in callers.authenticators.iter().zip(&callers.places) {
        for proxies in callers.authenticators.iter().filter_map(Authenticator::as_forwarded) {
            let Some(connections) = shared_connections(authenticator, &proxies.trusted_proxies, unix) else { continue };
            let name = quoted(&proxies.common.name);
            let message =
                format!("callers at {connections} can't use this authenticator: {name} treats them as proxies");
            let help = "list only the proxies in `trusted_proxies` there, and let these callers connect from elsewhere";
            file.warning(place, message, help);
        }
    }
}

/// Returns a description of the connections that this authenticator would accept and that come from these proxies.
/// Returns `None` if there are none.
fn shared_connections(authenticator: &Authenticator, from: &TrustedProxies, unix: bool) -> Option<String> {
    match authenticator {
        Authenticator::UnixPeer(_) => (unix && from.contains_unix_socket()).then(|| "the Unix socket".to_owned()),
        Authenticator::Mtls(_) => {
            let networks = join_with_and(from.networks().map(ToString::to_string));
            (!unix && !networks.is_empty()).then_some(networks)
        }
        Authenticator::Jwt(_)
        | Authenticator::ApiKey(_)
        | Authenticator::Forwarded(_)
        | Authenticator::Introspection(_) => None,
    }
}

fn name(section: &mut Section<'_>, callers: &mut ConfiguredAuthenticators) -> Option<String> {
    let item = section.require("name", "give it a name for logs and rules: name = \"app-users\"")?;
    let name = item.non_empty_text()?;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.len() > 64 || !name.chars().all(legal) {
        return item.mistake(format!("can't be {}", quoted(name)), "use at most 64 small letters, digits, `_` and `-`");
    }
    if name == "none" {
        return item.mistake(format!("can't be {}", quoted(name)), RESERVED_NAME_HELP);
    }
    if callers.names.iter().any(|other| other == name) {
        let flaw = format!("is already {} for another authenticator", quoted(name));
        return item.mistake(flaw, "give each authenticator its own name");
    }
    callers.names.push(name.to_owned());
    Some(name.to_owned())
}
