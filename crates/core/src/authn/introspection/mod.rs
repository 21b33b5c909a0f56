//! Callers whom another server knows by what they show: the app's own backend by a session, an authorization server by an opaque
//! token (RFC 7662), LeanCloud by a user's session.
//!
//! Here it is told what to ask and what an answer means; the asking itself is done elsewhere.

mod answer;
mod cookies;
mod query;

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use answer::IntrospectionAnswer;
pub use query::IntrospectionQuery;

use super::Common;
use super::endpoint::Endpoint;
use super::error::AuthnError;
use super::lookup::{IdentifyError, PendingLookup};
use super::purpose::TokenRules;
use crate::model::{Role, RoleHierarchy};
use crate::secret::Secret;

/// The header with the session of a LeanCloud user.
static X_LC_SESSION: HeaderName = HeaderName::from_static("x-lc-session");

/// Takes another server's word.
#[derive(Debug, PartialEq, Eq)]
pub struct Introspection {
    /// What all authenticators have.
    pub common: Common,
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// How.
    pub protocol: IntrospectionProtocol,
    /// What of the answer names the caller: a literal name, or a JSON pointer.
    pub subject: String,
    /// Put before the subject.
    pub subject_prefix: String,
    /// What of the answer holds roles at scope `*`: a list of words, or words in one string.
    pub roles: Option<String>,
    /// What of the answer holds roles by scope: an object of pattern and word.
    pub bindings: Option<String>,
    /// The roles that the policy knows.
    pub ladder: RoleHierarchy,
    /// The strongest role that an answer can give; without it they give none.
    pub max_role: Option<Role>,
    /// For how long an answer is good.
    pub cache: Duration,
}

/// What is sent, and what an answer looks like.
#[derive(Debug, PartialEq, Eq)]
pub enum IntrospectionProtocol {
    /// The app's own "who am I": `GET`, with these cookies and headers of the caller's request.
    Session {
        /// The cookies that are passed on.
        cookies: Vec<String>,
        /// The headers that are passed on.
        headers: Vec<HeaderName>,
    },
    /// OAuth 2.0 token introspection (RFC 7662).
    Token {
        /// The id and secret that this program shows as HTTP Basic authentication, if it does.
        client: Option<(String, Secret)>,
        /// What the token's `aud` must hold one of, if it is looked at.
        audience: Option<Vec<String>>,
        /// What else a token must be.
        rules: TokenRules,
    },
    /// LeanCloud's `/1.1/users/me`.
    LeanCloud {
        /// The app's id.
        app_id: String,
        /// The app's key; not the master key.
        app_key: Secret,
        /// Whether only a hash of the key is sent (`X-LC-Sign`) and not the key itself.
        sign: bool,
    },
}

impl Introspection {
    /// The header that is the request's explicit credential for this authenticator, if there is one.
    ///
    /// Cookies are ambient: browsers send them by themselves. Where some are passed on, other headers go along with them and are no
    /// credential of their own, but for `Authorization`.
    pub(super) fn explicit<'a>(&'a self, headers: &HeaderMap) -> Option<&'a HeaderName> {
        match &self.protocol {
            IntrospectionProtocol::Session { cookies, headers: own } => {
                own.iter().find(|name| (cookies.is_empty() || **name == AUTHORIZATION) && headers.contains_key(*name))
            }
            IntrospectionProtocol::Token { .. } => Some(&AUTHORIZATION),
            IntrospectionProtocol::LeanCloud { .. } => headers.contains_key(&X_LC_SESSION).then_some(&X_LC_SESSION),
        }
    }

    /// Whether it passes on cookies, which browsers send by themselves.
    pub(super) fn takes_cookies(&self) -> bool {
        match &self.protocol {
            IntrospectionProtocol::Session { cookies, .. } => !cookies.is_empty(),
            IntrospectionProtocol::Token { .. } | IntrospectionProtocol::LeanCloud { .. } => false,
        }
    }

    /// What its tokens must be besides known, if it takes tokens.
    pub(super) fn token_rules(&self) -> Option<&TokenRules> {
        match &self.protocol {
            IntrospectionProtocol::Token { rules, .. } => Some(rules),
            IntrospectionProtocol::Session { .. } | IntrospectionProtocol::LeanCloud { .. } => None,
        }
    }

    /// The headers that it reads, but for cookies.
    pub(super) fn headers(&self) -> &[HeaderName] {
        match &self.protocol {
            IntrospectionProtocol::Session { headers, .. } => headers,
            IntrospectionProtocol::Token { .. } => std::slice::from_ref(&AUTHORIZATION),
            IntrospectionProtocol::LeanCloud { .. } => std::slice::from_ref(&X_LC_SESSION),
        }
    }

    /// What to ask for the request's explicit credential.
    pub(super) fn ask_explicit(self: &Arc<Self>, header: &HeaderName, headers: &HeaderMap) -> IdentifyError {
        if headers.get(header).is_none_or(|value| value.as_bytes().trim_ascii().is_empty()) {
            return AuthnError::new(format!("the header `{header}` is empty")).by(&self.common.name).into();
        }
        let names = match &self.protocol {
            IntrospectionProtocol::Session { headers, .. } => headers.as_slice(),
            _ => std::slice::from_ref(header),
        };
        self.ask(passed(names, headers).collect())
    }

    /// What to ask for the request's cookies, if it has any that are passed on.
    pub(super) fn ask_ambient(self: &Arc<Self>, headers: &HeaderMap) -> Option<IdentifyError> {
        let IntrospectionProtocol::Session { cookies, headers: names } = &self.protocol else { return None };
        let cookies = cookies::only(headers, cookies)?;
        Some(self.ask(std::iter::once(cookies).chain(passed(names, headers)).collect()))
    }

    /// The credentials that it takes, in words for a request that has none.
    pub(super) fn wanted(&self) -> String {
        let ticked = |name: &dyn std::fmt::Display| format!("`{name}`");
        match &self.protocol {
            IntrospectionProtocol::Session { cookies, .. } if !cookies.is_empty() => {
                let names: Vec<_> = cookies.iter().map(|name| ticked(name)).collect();
                format!("the cookie {}", names.join(" or "))
            }
            IntrospectionProtocol::Session { headers, .. } => {
                let names: Vec<_> = headers.iter().map(|name| ticked(name)).collect();
                format!("the header {}", names.join(" or "))
            }
            IntrospectionProtocol::Token { .. } => "`authorization: Bearer <token>`".to_owned(),
            IntrospectionProtocol::LeanCloud { .. } => ticked(&X_LC_SESSION),
        }
    }

    fn ask(self: &Arc<Self>, passed: Vec<(HeaderName, HeaderValue)>) -> IdentifyError {
        IdentifyError::Unknown(PendingLookup::Session(IntrospectionQuery { asker: Arc::clone(self), passed }))
    }
}

/// Of these headers those that the request has.
fn passed(names: &[HeaderName], headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    names.iter().flat_map(|name| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())))
}
