//! Callers that a proxy has authenticated: the proxy names the caller in a header.
//!
//! Such a header is safe only if nobody else can send it. So the program accepts it only from the configured proxies
//! and refuses the request if another peer sends it. It also refuses headers with similar names, because other programs
//! can confuse them. For example, attackers sent `X_Forwarded_User` through proxies that removed only
//! `X-Forwarded-User` (CVE-2025-64484).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;

use super::common::{Common, check_subject, strip_prefix};
use super::error::{AuthnError, quote};
use super::request_credentials::{RequestCredentials, TrustedProxies};
use crate::model::{Caller, Pattern, Role, RoleHierarchy};

/// Accepts callers that trusted proxies name.
#[derive(Debug)]
pub struct Forwarded {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The header that names the caller.
    pub header: HeaderName,
    /// The header with the roles of the caller, at scope `*`: words separated by commas or white space.
    pub roles_header: Option<HeaderName>,
    /// The trusted proxies.
    pub trusted_proxies: TrustedProxies,
    /// The prefix of the subject, before the name in the header.
    pub subject_prefix: String,
    /// The roles of the policy.
    pub role_hierarchy: RoleHierarchy,
    /// The strongest role that the header can give. Without it, the header gives no roles.
    pub max_role: Option<Role>,
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
        let bare = header_text(&self.header, value)?;
        let subject = format!("{}{bare}", self.subject_prefix);
        self.check(bare, &subject)?;
        Ok(self.common.caller(subject, Map::new(), self.bindings(headers)?))
    }

    /// Checks that the header can name this subject.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        self.check(strip_prefix(subject, &self.subject_prefix)?, subject)
    }

    fn check(&self, bare: &str, subject: &str) -> Result<(), AuthnError> {
        if bare.contains(',') {
            return Err(AuthnError::invalid(format!(
                "the header `{}` must name one caller: it holds a comma",
                self.header
            )));
        }
        check_subject(format_args!("the caller in the header `{}`", self.header), bare, subject)
    }

    /// Reads the roles from the header. Roles that the policy does not list, and roles stronger than the maximum, are
    /// ignored.
    fn bindings(&self, headers: &HeaderMap) -> Result<Vec<(Pattern, Role)>, AuthnError> {
        let Some((max, header)) = self.max_role.zip(self.roles_header.as_ref()) else { return Ok(Vec::new()) };
        let Some(value) = headers.get(header) else { return Ok(Vec::new()) };
        let words = header_text(header, value)?.split([',', ' ', '\t']);
        let roles = words.filter_map(|word| self.role_hierarchy.find(word)).filter(|role| *role <= max);
        Ok(roles.map(|role| (Pattern::Everything, role)).collect())
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
