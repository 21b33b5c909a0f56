//! The security schemes of the description: how callers authenticate.

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use crate::authn::{Authenticator, Authenticators, IntrospectionProtocol};

/// Returns all schemes of the configuration, by name.
pub(super) fn schemes(authenticators: &Authenticators) -> Map<String, Value> {
    authenticators.all().iter().flat_map(schemes_of).collect()
}

/// Returns the schemes for requests to this app; any one is sufficient. If a proxy or the Unix socket identifies the
/// caller, the request needs no credential.
pub(super) fn requirements_for_app(authenticators: &Authenticators, app: &str) -> Value {
    any_scheme_of(authenticators.all().iter().filter(|authenticator| authenticator.common().accepts_app(app)))
}

/// Returns the schemes for requests that can be about any app.
pub(super) fn requirements_for_any_app(authenticators: &Authenticators) -> Value {
    any_scheme_of(authenticators.all().iter())
}

fn any_scheme_of<'a>(authenticators: impl Iterator<Item = &'a Authenticator>) -> Value {
    let mut required = Vec::new();
    for authenticator in authenticators {
        let schemes = schemes_of(authenticator);
        let nothing = schemes.is_empty().then(|| json!({}));
        let named = schemes.into_iter().map(|(name, _)| json!({ name: [] }));
        required.extend(named.chain(nothing).filter(|one| !required.contains(one)).collect::<Vec<_>>());
    }
    Value::Array(required)
}

/// Returns the schemes of one authenticator, by name.
fn schemes_of(authenticator: &Authenticator) -> Vec<(String, Value)> {
    match authenticator {
        Authenticator::Jwt(_) => vec![bearer_scheme()],
        Authenticator::ApiKey(api_key) => vec![header_scheme(&api_key.header)],
        Authenticator::Introspection(introspection) => match &introspection.protocol {
            IntrospectionProtocol::Token { .. } => vec![bearer_scheme()],
            IntrospectionProtocol::LeanCloud { .. } => vec![header_scheme(&HeaderName::from_static("x-lc-session"))],
            IntrospectionProtocol::Session { cookies, headers, .. } if cookies.is_empty() => {
                headers.iter().map(header_scheme).collect()
            }
            IntrospectionProtocol::Session { cookies, .. } => cookies.iter().map(|name| cookie_scheme(name)).collect(),
        },
        Authenticator::Mtls(_) => vec![("certificate".to_owned(), json!({ "type": "mutualTLS" }))],
        Authenticator::Forwarded(_) | Authenticator::UnixPeer(_) => Vec::new(),
    }
}

fn bearer_scheme() -> (String, Value) {
    ("token".to_owned(), json!({ "type": "http", "scheme": "bearer" }))
}

fn header_scheme(name: &HeaderName) -> (String, Value) {
    if name == AUTHORIZATION {
        return bearer_scheme();
    }
    (
        format!("header-{name}").replace(is_forbidden_in_names, "_"),
        json!({ "type": "apiKey", "in": "header", "name": name.as_str() }),
    )
}

fn cookie_scheme(name: &str) -> (String, Value) {
    (
        format!("cookie-{name}").replace(is_forbidden_in_names, "_"),
        json!({ "type": "apiKey", "in": "cookie", "name": name }),
    )
}

/// Returns true if the name of a component cannot contain this character.
fn is_forbidden_in_names(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !"._-".contains(c)
}
