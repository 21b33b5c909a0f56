//! The security schemes of the description: how callers authenticate.

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use crate::authn::{Authenticator, Authenticators, IntrospectionProtocol};

/// Returns all schemes of the configuration, by name.
pub(super) fn schemes(authenticators: &Authenticators) -> Map<String, Value> {
    authenticators.all().iter().flat_map(of).collect()
}

/// Returns the schemes for requests to this app; any one is sufficient. If a proxy or the Unix socket identifies the
/// caller, the request needs no credential.
pub(super) fn requirements_for_app(authenticators: &Authenticators, app: &str) -> Value {
    one_of(authenticators.all().iter().filter(|authenticator| authenticator.common().accepts_app(app)))
}

/// Returns the schemes for requests that can be about any app.
pub(super) fn requirements_for_any_app(authenticators: &Authenticators) -> Value {
    one_of(authenticators.all().iter())
}

fn one_of<'a>(authenticators: impl Iterator<Item = &'a Authenticator>) -> Value {
    let mut required = Vec::new();
    for authenticator in authenticators {
        let schemes = of(authenticator);
        let nothing = schemes.is_empty().then(|| json!({}));
        let named = schemes.into_iter().map(|(name, _)| json!({ name: [] }));
        required.extend(named.chain(nothing).filter(|one| !required.contains(one)).collect::<Vec<_>>());
    }
    Value::Array(required)
}

/// Returns the schemes of one authenticator, by name.
fn of(authenticator: &Authenticator) -> Vec<(String, Value)> {
    match authenticator {
        Authenticator::Jwt(_) => vec![token()],
        Authenticator::ApiKey(api_key) => vec![in_header(&api_key.header)],
        Authenticator::Introspection(introspection) => match &introspection.protocol {
            IntrospectionProtocol::Token { .. } => vec![token()],
            IntrospectionProtocol::LeanCloud { .. } => vec![in_header(&HeaderName::from_static("x-lc-session"))],
            IntrospectionProtocol::Session { cookies, headers } if cookies.is_empty() => {
                headers.iter().map(in_header).collect()
            }
            IntrospectionProtocol::Session { cookies, .. } => cookies.iter().map(|name| in_cookie(name)).collect(),
        },
        Authenticator::Mtls(_) => vec![("certificate".to_owned(), json!({ "type": "mutualTLS" }))],
        Authenticator::Forwarded(_) | Authenticator::UnixPeer(_) => Vec::new(),
    }
}

fn token() -> (String, Value) {
    ("token".to_owned(), json!({ "type": "http", "scheme": "bearer" }))
}

fn in_header(name: &HeaderName) -> (String, Value) {
    if name == AUTHORIZATION {
        return token();
    }
    (
        format!("header-{name}").replace(unnamable, "_"),
        json!({ "type": "apiKey", "in": "header", "name": name.as_str() }),
    )
}

fn in_cookie(name: &str) -> (String, Value) {
    (format!("cookie-{name}").replace(unnamable, "_"), json!({ "type": "apiKey", "in": "cookie", "name": name }))
}

/// Returns true if the name of a component cannot contain this character.
fn unnamable(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !"._-".contains(c)
}
