//! The reason why a request is not authenticated: a short text for the caller and a full text for the log.

use std::borrow::Cow;
use std::sync::Arc;

use super::origin::CrossSite;

/// An authentication error. It holds no part of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnError {
    public: Cow<'static, str>,
    detail: Option<String>,
    authenticator: Option<Arc<str>>,
    kind: AuthnErrorKind,
}

/// The kind of an authentication error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthnErrorKind {
    Bad,
    CrossSite,
    Unavailable,
}

impl AuthnError {
    /// Takes the text that an honest caller needs to correct the request. Anybody can read it, so it must repeat
    /// nothing of the credential.
    pub(super) fn invalid(public: impl Into<Cow<'static, str>>) -> AuthnError {
        AuthnError { public: public.into(), detail: None, authenticator: None, kind: AuthnErrorKind::Bad }
    }

    /// Returns the error for a valid credential in a request that the page of another site made the browser send.
    pub(super) fn cross_site(reason: CrossSite<'_>) -> AuthnError {
        let refusal = match reason {
            CrossSite::Page => AuthnError::invalid(
                "a page of an origin that is not listed must not use credentials that the browser or a proxy adds",
            ),
            CrossSite::Host(host) => AuthnError::invalid(
                "credentials that the browser or a proxy adds are accepted only in requests to the configured hosts",
            )
            .with_detail(format!("the request names {}", quote(&String::from_utf8_lossy(host)))),
        };
        AuthnError { kind: AuthnErrorKind::CrossSite, ..refusal }
    }

    /// Returns the error for a credential that cannot be checked at the moment.
    pub(super) fn unavailable(public: impl Into<Cow<'static, str>>) -> AuthnError {
        AuthnError { kind: AuthnErrorKind::Unavailable, ..AuthnError::invalid(public) }
    }

    /// Adds a detail that is written only to the log. Text from the request must be escaped with [`quote`].
    pub(super) fn with_detail(self, detail: String) -> AuthnError {
        AuthnError { detail: Some(detail), ..self }
    }

    /// Adds the name of the responsible authenticator.
    pub(super) fn with_authenticator(self, authenticator: &Arc<str>) -> AuthnError {
        AuthnError { authenticator: Some(authenticator.clone()), ..self }
    }

    /// Returns a sentence that may be sent to the caller.
    pub fn public_message(&self) -> String {
        self.public.clone().into_owned()
    }

    /// Returns the text for the log. It never holds a token, key or signature.
    pub fn log_message(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.public),
            None => self.public_message(),
        }
    }

    /// Returns whether the credential is perhaps valid but not accepted for this request. A new request with the same
    /// credential fails, too.
    pub fn is_cross_site(&self) -> bool {
        self.kind == AuthnErrorKind::CrossSite
    }

    /// Returns whether the same credential may be accepted later.
    pub fn is_unavailable(&self) -> bool {
        self.kind == AuthnErrorKind::Unavailable
    }

    /// Returns the authenticator that refused the request, if the request reached an authenticator.
    pub fn authenticator(&self) -> Option<&Arc<str>> {
        self.authenticator.as_ref()
    }
}

/// Cuts and escapes text from a request, so that it can do no harm in a log.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(LONGEST).collect();
    let dots = if chars.next().is_some() { "…" } else { "" };
    format!("{start:?}{dots}")
}

/// The reason why claims give no identity.
#[derive(Debug)]
pub(super) enum MappingError {
    /// No claim names the caller.
    NoSubject,
    /// The claim that names the caller has the wrong type.
    MalformedSubject,
    /// A claim with roles has the wrong type, or gives too many roles.
    MalformedRoles(AuthnError),
    /// The claims name a caller that is not accepted.
    Refused(AuthnError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_message_has_more_details_than_the_public_message() {
        let refusal = AuthnError::invalid("wrong audience")
            .with_detail("it is for \"shop\"".to_owned())
            .with_authenticator(&"app-users".into());
        assert_eq!(refusal.public_message(), "wrong audience");
        assert_eq!(refusal.log_message(), "wrong audience: it is for \"shop\"");
        assert_eq!(refusal.authenticator().map(|name| &**name), Some("app-users"));
        assert_eq!(AuthnError::invalid("no").log_message(), "no");
    }

    #[test]
    fn quotes_escape_and_clip() {
        assert_eq!(quote("a\nb\u{1b}\"\u{202e}"), r#""a\nb\u{1b}\"\u{202e}""#);
        assert_eq!(quote(&"x".repeat(100)), format!("\"{}\"", "x".repeat(100)));
        assert_eq!(quote(&"汤".repeat(9000)), format!("\"{}\"…", "汤".repeat(100)));
    }
}
