//! Callers that another server identifies by their credential. The server is the backend of the app (with a session),
//! an authorization server (with an opaque token, RFC 7662), or LeanCloud (with the session of a user).
//!
//! This module builds the queries and interprets the answers. The module `upstream` sends the queries.

mod answer;
mod query;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};

pub use answer::IntrospectionAnswer;
pub use query::IntrospectionQuery;

use super::audience::Audience;
use super::common::Common;
use super::endpoint::Endpoint;
use super::identity_mapping::IdentityMapping;
use super::purpose::TokenRules;
use crate::secret::Secret;

/// The header with the session of a LeanCloud user.
static X_LC_SESSION: HeaderName = HeaderName::from_static("x-lc-session");

/// Accepts callers that another server identifies.
#[derive(Debug, PartialEq, Eq)]
pub struct Introspection {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The server to ask.
    pub endpoint: Endpoint,
    /// The protocol of the server.
    pub protocol: IntrospectionProtocol,
    /// How the members of the answer give the identity of the caller.
    pub identity: IdentityMapping,
    /// The maximum time for which an answer is cached.
    pub cache_lifetime: Duration,
}

/// The protocol of the queries and answers.
#[derive(Debug, PartialEq, Eq)]
pub enum IntrospectionProtocol {
    /// The "who am I" route of the app: `GET`, with these cookies and headers of the request of the caller.
    Session {
        /// The cookies that are passed on.
        cookies: Vec<String>,
        /// The headers that are passed on.
        headers: Vec<HeaderName>,
        /// Further statuses that mean that nobody is signed in, beside 401 and 403.
        signed_out: Vec<StatusCode>,
    },
    /// OAuth 2.0 token introspection (RFC 7662).
    Token {
        /// The client id and secret for HTTP Basic authentication, if the server needs them.
        client: Option<(String, Secret)>,
        /// The accepted audiences. `None` means that the audience is not checked.
        audience: Option<Audience>,
        /// The further rules for tokens.
        rules: TokenRules,
    },
    /// The route `/1.1/users/me` of LeanCloud.
    LeanCloud {
        /// The id of the app.
        app_id: String,
        /// The key of the app, not its master key.
        app_key: Secret,
        /// Whether the program sends only a hash of the key (`X-LC-Sign`) and not the key itself.
        sign: bool,
    },
}

impl Introspection {
    /// Returns the header that is the explicit credential of the request for this authenticator, if there is one.
    ///
    /// Cookies are ambient, because browsers send them automatically. If cookies are passed on, the other headers are
    /// passed on with them and are not credentials themselves. The exception is `Authorization`.
    pub(super) fn explicit<'a>(&'a self, headers: &HeaderMap) -> Option<&'a HeaderName> {
        match &self.protocol {
            IntrospectionProtocol::Session { cookies, headers: own, .. } => {
                own.iter().find(|name| (cookies.is_empty() || **name == AUTHORIZATION) && headers.contains_key(*name))
            }
            IntrospectionProtocol::Token { .. } => Some(&AUTHORIZATION),
            IntrospectionProtocol::LeanCloud { .. } => headers.contains_key(&X_LC_SESSION).then_some(&X_LC_SESSION),
        }
    }

    /// Returns whether cookies are passed on, which browsers send automatically.
    pub(super) fn passes_cookies(&self) -> bool {
        match &self.protocol {
            IntrospectionProtocol::Session { cookies, .. } => !cookies.is_empty(),
            IntrospectionProtocol::Token { .. } | IntrospectionProtocol::LeanCloud { .. } => false,
        }
    }

    /// Returns the further rules for known tokens, if the server checks tokens.
    pub(super) fn token_rules(&self) -> Option<&TokenRules> {
        match &self.protocol {
            IntrospectionProtocol::Token { rules, .. } => Some(rules),
            IntrospectionProtocol::Session { .. } | IntrospectionProtocol::LeanCloud { .. } => None,
        }
    }

    /// Returns the headers that the authenticator reads, without cookies.
    pub(super) fn headers(&self) -> &[HeaderName] {
        match &self.protocol {
            IntrospectionProtocol::Session { headers, .. } => headers,
            IntrospectionProtocol::Token { .. } => std::slice::from_ref(&AUTHORIZATION),
            IntrospectionProtocol::LeanCloud { .. } => std::slice::from_ref(&X_LC_SESSION),
        }
    }

    /// Describes the accepted credentials, for the error about a request without a credential.
    pub(super) fn describe_credentials(&self) -> String {
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
}
