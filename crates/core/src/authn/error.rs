//! Why a caller is turned away, said twice: shortly to the caller, in full to the log.

use std::borrow::Cow;
use std::sync::Arc;

use super::origin::CrossSite;

/// A caller that is not let in. Holds no part of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnError {
    public: Cow<'static, str>,
    detail: Option<String>,
    authenticator: Option<Arc<str>>,
    sort: AuthnErrorKind,
}

/// What is wrong with the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthnErrorKind {
    Bad,
    CrossSite,
    Unavailable,
}

impl AuthnError {
    /// What an honest caller needs to put it right. Goes to anyone, so it repeats nothing of the credential.
    pub(super) fn new(public: impl Into<Cow<'static, str>>) -> AuthnError {
        AuthnError { public: public.into(), detail: None, authenticator: None, sort: AuthnErrorKind::Bad }
    }

    /// The refusal of a caller who is known, for what the page of another site had the browser send.
    pub(super) fn cross_site(reason: CrossSite<'_>) -> AuthnError {
        let refusal = match reason {
            CrossSite::Page => AuthnError::new(
                "a page of an origin that is not listed may not use credentials that the browser or a proxy adds by itself",
            ),
            CrossSite::Host(host) => AuthnError::new(
                "credentials that the browser or a proxy adds by itself count only for requests to the configured hosts",
            )
            .detail(format!("the request names {}", quoted(&String::from_utf8_lossy(host)))),
        };
        AuthnError { sort: AuthnErrorKind::CrossSite, ..refusal }
    }

    /// That nobody can tell at the moment whether the credential is good.
    pub(super) fn unavailable(public: impl Into<Cow<'static, str>>) -> AuthnError {
        AuthnError { sort: AuthnErrorKind::Unavailable, ..AuthnError::new(public) }
    }

    /// What only the log should have besides. Text that came with the request goes through [`quoted`].
    pub(super) fn detail(self, detail: String) -> AuthnError {
        AuthnError { detail: Some(detail), ..self }
    }

    /// Names the authenticator that was responsible.
    pub(super) fn by(self, authenticator: &Arc<str>) -> AuthnError {
        AuthnError { authenticator: Some(authenticator.clone()), ..self }
    }

    /// A sentence that is safe to show to the caller.
    pub fn public(&self) -> String {
        self.public.clone().into_owned()
    }

    /// What the log should say. Never a token, key or signature.
    pub fn log(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.public),
            None => self.public(),
        }
    }

    /// Whether the credential may hold, but does not count for this request: asking again with it won't help.
    pub fn is_cross_site(&self) -> bool {
        self.sort == AuthnErrorKind::CrossSite
    }

    /// Whether the same credential may turn out to be good later.
    pub fn is_unavailable(&self) -> bool {
        self.sort == AuthnErrorKind::Unavailable
    }

    /// The authenticator that refused, where it came so far.
    pub fn authenticator(&self) -> Option<&Arc<str>> {
        self.authenticator.as_ref()
    }
}

/// A stranger's text, cut and escaped so that it can do no harm in a log.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(LONGEST).collect();
    let dots = if chars.next().is_some() { "…" } else { "" };
    format!("{start:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_knows_more_than_the_caller() {
        let refusal = AuthnError::new("wrong audience").detail("it is for \"shop\"".to_owned()).by(&"app-users".into());
        assert_eq!(refusal.public(), "wrong audience");
        assert_eq!(refusal.log(), "wrong audience: it is for \"shop\"");
        assert_eq!(refusal.authenticator().map(|name| &**name), Some("app-users"));
        assert_eq!(AuthnError::new("no").log(), "no");
    }

    #[test]
    fn quotes_escape_and_clip() {
        assert_eq!(quoted("a\nb\u{1b}\"\u{202e}"), r#""a\nb\u{1b}\"\u{202e}""#);
        assert_eq!(quoted(&"x".repeat(100)), format!("\"{}\"", "x".repeat(100)));
        assert_eq!(quoted(&"汤".repeat(9000)), format!("\"{}\"…", "汤".repeat(100)));
    }
}
