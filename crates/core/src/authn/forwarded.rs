//! Callers that a proxy has authenticated: the proxy names the caller in a header.
//!
//! Such a header is safe only if nobody else can send it. So the program accepts it only from the configured proxies
//! and refuses the request if another peer sends it. It also refuses headers with similar names, because other programs
//! can confuse them. For example, attackers sent `X_Forwarded_User` through proxies that removed only
//! `X-Forwarded-User` (CVE-2025-64484).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::common::Common;
use super::error::{AuthnError, MappingError, quote};
use super::forwarded_certificate::certificate_name;
use super::identity_mapping::IdentityMapping;
use super::mtls::SanType;
use super::request_credentials::{RequestCredentials, TrustedProxies};
use crate::model::Caller;

/// Accepts callers that trusted proxies name.
#[derive(Debug)]
pub struct Forwarded {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The header that names the caller.
    pub header: HeaderName,
    /// The header with the roles of the caller, at scope `*`: words separated by commas or white space.
    pub roles_header: Option<HeaderName>,
    /// The kind of name that is read if the header describes a client certificate (`x-forwarded-client-cert`).
    pub certificate_name: Option<SanType>,
    /// The trusted proxies.
    pub trusted_proxies: TrustedProxies,
    /// How the headers give the identity of the caller. The names of the headers stand for claims.
    pub identity: IdentityMapping,
}

impl Forwarded {
    /// Returns the headers that the authenticator reads.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.header).chain(&self.roles_header)
    }

    /// Returns the caller that the request names, if it names a caller and comes from a trusted proxy.
    pub(super) fn identify(&self, presented: &RequestCredentials<'_>) -> Option<Result<Arc<Caller>, AuthnError>> {
        let value = presented.headers.get(&self.header).filter(|_| self.trusted_proxies.contains(presented.peer))?;
        Some(self.caller(value, presented.headers))
    }

    fn caller(&self, value: &HeaderValue, headers: &HeaderMap) -> Result<Arc<Caller>, AuthnError> {
        let name = self.name(header_text(&self.header, value)?)?;
        self.check_single(&name)?;
        let mut claims = Map::from_iter([(self.header.to_string(), Value::from(name))]);
        if let Some((header, value)) =
            self.roles_header.as_ref().and_then(|header| Some((header, headers.get(header)?)))
        {
            claims.insert(header.to_string(), header_text(header, value)?.replace(',', " ").into());
        }
        let identity = self.identity.identify(&claims, None, &self.label()).map_err(|error| self.refusal(error))?;
        Ok(self.common.caller(identity.subject, Map::new(), identity.bindings))
    }

    /// Returns the name of the caller in the header.
    fn name(&self, text: &str) -> Result<String, AuthnError> {
        let Some(kind) = self.certificate_name else { return Ok(text.to_owned()) };
        certificate_name(text, kind).map_err(|flaw| {
            AuthnError::invalid(format!("the header `{}` {flaw}", self.header)).with_detail(quote(text))
        })
    }

    /// Checks that the header can name this subject.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        self.check_single(self.identity.strip_prefix(subject)?)?;
        self.identity.check_subject(subject, &self.label())
    }

    fn check_single(&self, name: &str) -> Result<(), AuthnError> {
        if name.contains(',') {
            return Err(AuthnError::invalid(format!(
                "the header `{}` must name one caller: it holds a comma",
                self.header
            )));
        }
        Ok(())
    }

    fn label(&self) -> String {
        format!("the caller in the header `{}`", self.header)
    }

    fn refusal(&self, error: MappingError) -> AuthnError {
        match error {
            MappingError::NoSubject | MappingError::MalformedSubject => {
                AuthnError::invalid(format!("{} is missing", self.label()))
            }
            MappingError::MalformedRoles(error) | MappingError::Refused(error) => error,
        }
    }
}

/// Refuses headers that must never be accepted: an identity header from a peer that is not a trusted proxy, a repeated
/// identity header, and a header with a name that can be confused with it.
pub(super) fn check<'a>(
    forwarded: &(impl Iterator<Item = &'a Forwarded> + Clone),
    presented: &RequestCredentials<'_>,
) -> Result<(), AuthnError> {
    if forwarded.clone().next().is_none() {
        return Ok(());
    }
    for name in presented.headers.keys() {
        let mut readers =
            forwarded.clone().filter(|one| one.headers().any(|header| is_confusable(header, name))).peekable();
        let Some(first) = readers.peek() else { continue };
        let refuse = |flaw: &str| {
            Err(AuthnError::invalid(format!("the header `{name}` {flaw}")).with_authenticator(&first.common.name))
        };
        if !first.headers().any(|header| header == name) {
            return refuse("looks like a header that only a proxy may send");
        }
        if !readers.any(|one| one.trusted_proxies.contains(presented.peer)) {
            return refuse("is accepted only from the configured proxies");
        }
        if presented.headers.get_all(name).iter().count() != 1 {
            return refuse("is there more than once");
        }
    }
    Ok(())
}

/// Returns whether a program that does not distinguish punctuation confuses the two names. Programs with a CGI
/// environment are an example. The names in a header map are in lower case.
fn is_confusable(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let [one, other] = [one, other].map(|name| name.as_str().bytes().map(plain));
    one.len() == other.len() && one.eq(other)
}

fn header_text<'a>(header: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, AuthnError> {
    let refuse = |_| {
        let detail = quote(&String::from_utf8_lossy(value.as_bytes()));
        AuthnError::invalid(format!("the header `{header}` is not UTF-8")).with_detail(detail)
    };
    std::str::from_utf8(value.as_bytes()).map_err(refuse)
}
