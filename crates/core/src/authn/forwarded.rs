//! Callers whom a proxy in front has authenticated: it names them in a header of its own.
//!
//! Such a header is as good as the belief that nobody else can send it. So it is believed only from the configured peers, from
//! anyone else its presence is refused, and so is a header that some other program could take for it: proxies have been got round
//! with `X_Forwarded_User` where they only took out `X-Forwarded-User` (CVE-2025-64484).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Map;

use super::error::{AuthnError, quoted};
use super::{Common, RequestCredentials, TrustedProxies};
use crate::model::{Caller, Pattern, Role, RoleHierarchy, check_identifier};

/// Takes the word of proxies.
#[derive(Debug)]
pub struct Forwarded {
    /// What all authenticators have.
    pub common: Common,
    /// The header that names the caller.
    pub header: HeaderName,
    /// The header with the caller's roles, at scope `*`: words with commas or white space between them.
    pub roles_header: Option<HeaderName>,
    /// The proxies.
    pub trusted_proxies: TrustedProxies,
    /// Put before the name.
    pub subject_prefix: String,
    /// The roles that the policy knows.
    pub ladder: RoleHierarchy,
    /// The strongest role that the header can give; without it, it gives none.
    pub max_role: Option<Role>,
}

/// The longest subject, in characters, as for any identifier.
const LONGEST_SUBJECT: usize = 255;

impl Forwarded {
    /// The headers that it reads.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.header).chain(&self.roles_header)
    }

    /// The caller whom the request names, if it names one and comes from one of the proxies.
    pub(super) fn identify(&self, presented: &RequestCredentials<'_>) -> Option<Result<Arc<Caller>, AuthnError>> {
        let value = presented.headers.get(&self.header).filter(|_| self.trusted_proxies.include(presented.peer))?;
        Some(self.caller(value, presented.headers))
    }

    fn caller(&self, value: &HeaderValue, headers: &HeaderMap) -> Result<Arc<Caller>, AuthnError> {
        let bare = text(&self.header, value)?;
        let subject = format!("{}{bare}", self.subject_prefix);
        self.check(bare, &subject)?;
        Ok(self.common.caller(subject, Map::new(), self.bindings(headers)?))
    }

    /// Whether the header could name this subject.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        let Some(bare) = subject.strip_prefix(&self.subject_prefix) else {
            return Err(AuthnError::new(format!("its subjects start with `{}`", self.subject_prefix)));
        };
        self.check(bare, subject)
    }

    fn check(&self, bare: &str, subject: &str) -> Result<(), AuthnError> {
        if bare.contains(',') {
            return Err(AuthnError::new(format!(
                "the header `{}` must name one caller: it holds a comma",
                self.header
            )));
        }
        for subject in [bare, subject] {
            let refuse = |flaw| AuthnError::new(format!("the caller in the header `{}` {flaw}", self.header));
            check_identifier(subject, LONGEST_SUBJECT).map_err(refuse)?;
        }
        if bare == "*" {
            return Err(AuthnError::new("a caller's subject must not be `*`"));
        }
        Ok(())
    }

    /// The roles that the policy lists and that are no stronger than the header may give; others count for nothing.
    fn bindings(&self, headers: &HeaderMap) -> Result<Vec<(Pattern, Role)>, AuthnError> {
        let Some((max, header)) = self.max_role.zip(self.roles_header.as_ref()) else { return Ok(Vec::new()) };
        let Some(value) = headers.get(header) else { return Ok(Vec::new()) };
        let words = text(header, value)?.split([',', ' ', '\t']);
        let roles = words.filter_map(|word| self.ladder.role(word)).filter(|role| *role <= max);
        Ok(roles.map(|role| (Pattern::Everything, role)).collect())
    }
}

/// Refuses what must never pass, whoever is to be believed: an identity header from anyone but its proxies, one that is there more
/// than once, and one that can be taken for it.
pub(super) fn check<'a>(
    forwarded: &(impl Iterator<Item = &'a Forwarded> + Clone),
    presented: &RequestCredentials<'_>,
) -> Result<(), AuthnError> {
    if forwarded.clone().next().is_none() {
        return Ok(());
    }
    for name in presented.headers.keys() {
        let mut readers = forwarded.clone().filter(|one| one.headers().any(|header| alike(header, name))).peekable();
        let Some(first) = readers.peek() else { continue };
        let refuse = |flaw: &str| Err(AuthnError::new(format!("the header `{name}` {flaw}")).by(&first.common.name));
        if !first.headers().any(|header| header == name) {
            return refuse("can be taken for one that only a proxy may send");
        }
        if !readers.any(|one| one.trusted_proxies.include(presented.peer)) {
            return refuse("is taken only from the configured proxies");
        }
        if presented.headers.get_all(name).iter().count() != 1 {
            return refuse("is there more than once");
        }
    }
    Ok(())
}

/// Whether a program that doesn't tell punctuation apart, as those with a CGI environment don't, takes one for the other. Names in a
/// header map are in small letters.
fn alike(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let [one, other] = [one, other].map(|name| name.as_str().bytes().map(plain));
    one.len() == other.len() && one.eq(other)
}

fn text<'a>(header: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, AuthnError> {
    let refuse = |_| {
        let detail = quoted(&String::from_utf8_lossy(value.as_bytes()));
        AuthnError::new(format!("the header `{header}` is not UTF-8")).detail(detail)
    };
    std::str::from_utf8(value.as_bytes()).map_err(refuse)
}
