//! Authenticates requests: turns the credential in the headers of a request into a [`Caller`], or returns an
//! [`AuthnError`] with the reason.
//!
//! A request carries at most one explicit credential: one `Authorization` header or one API key. A request with two
//! explicit credentials is refused, because they could name two callers. Ambient credentials are added to a request by
//! somebody other than its author: the headers of a proxy, cookies, and properties of the connection. They are used
//! only if there is no explicit credential. They are ignored if a page of another site made the browser send the
//! request.
//!
//! An invalid credential is always refused. The program never ignores it and tries another credential.

mod address;
mod algorithm;
mod api_key;
mod binding;
mod certificate;
mod credential;
mod dates;
mod endpoint;
mod error;
mod forwarded;
mod introspection;
mod jwt;
mod lookup;
mod mtls;
mod origin;
mod purpose;
mod renewal;
mod request_credentials;
mod role_mapping;
mod subject;
#[cfg(test)]
mod tests;
mod trusted_proxies;
mod unix_peer;

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};

pub use address::is_address_claim;
pub use algorithm::{ALGORITHMS, Algorithm, is_symmetric, parse_algorithm};
pub use api_key::ApiKey;
pub use binding::{Thumbprint, TokenCaller};
pub use certificate::{CertificateNames, ClientCertificate, VerifiedCertificate, validity};
pub use endpoint::{BearerToken, Endpoint, is_trustworthy};
pub use error::AuthnError;
pub use forwarded::Forwarded;
pub use introspection::{Introspection, IntrospectionAnswer, IntrospectionProtocol, IntrospectionQuery};
pub use jwt::{Jwt, KeySet, KeySource, UnusableKey, VerificationKeys};
pub use lookup::{IdentifyError, LookupResult, PendingLookup};
pub use mtls::{CertificateSubject, Mtls, SanType};
pub use origin::{CrossSite, OwnHosts, RequestTarget, host_name};
pub use purpose::{TokenRules, normalize_media_type};
pub use request_credentials::{ConnectionPeer, PeerAddress, ProcessIds, RequestCredentials, TlsPeer};
pub use role_mapping::strongest_roles;
pub use trusted_proxies::{TrustedProxies, TrustedProxy};
pub use unix_peer::UnixPeer;

use crate::model::{Caller, CallerKind, Millis, Pattern, Role};
use dates::Dates;
use jwt::TokenCache;

const NOT_FOR_THIS_APP: &str = "these callers are not accepted for this app";

/// All authenticators of a configuration, in the order of the configuration. If there are none, every request is
/// refused.
#[derive(Debug)]
pub struct Authenticators {
    all: Vec<Authenticator>,
    /// The cache of verified tokens, if the cache is enabled.
    token_cache: Option<TokenCache>,
    /// The headers that hold API keys, without duplicates.
    key_headers: Vec<HeaderName>,
}

/// A way to authenticate a request.
#[derive(Debug)]
pub enum Authenticator {
    /// A signed token.
    Jwt(Jwt),
    /// A key in a header.
    ApiKey(ApiKey),
    /// A header from a trusted proxy.
    Forwarded(Forwarded),
    /// The answer of another server.
    Introspection(Arc<Introspection>),
    /// A client certificate.
    Mtls(Mtls),
    /// A process on this machine, connected through a Unix socket.
    UnixPeer(UnixPeer),
}

/// The settings that all authenticators have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// The name of the authenticator in the configuration.
    pub name: Arc<str>,
    /// The kind of the callers.
    pub kind: CallerKind,
    /// The apps that the callers may use; `None` means all apps.
    pub apps: Option<Vec<String>>,
}

impl Authenticators {
    /// Takes the authenticators in the order of the configuration.
    pub fn new(all: Vec<Authenticator>) -> Authenticators {
        let mut key_headers = Vec::new();
        for authenticator in &all {
            if let Authenticator::ApiKey(ApiKey { header, .. }) = authenticator
                && !key_headers.contains(header)
            {
                key_headers.push(header.clone());
            }
        }
        Authenticators { all, token_cache: None, key_headers }
    }

    /// Enables the cache of verified tokens. A cached token is not verified again while the result would be the same.
    /// The cache takes about 16 MiB at most. The key must be random, and no other part of the program may use it.
    #[must_use]
    pub fn with_token_cache(self, key: &[u8; 32]) -> Authenticators {
        Authenticators { token_cache: Some(TokenCache::new(key)), ..self }
    }

    /// Returns the caller of a request to this app. If `app` is `None`, call [`admit`](Self::admit) afterwards with the
    /// apps of the request.
    ///
    /// # Errors
    /// Returns an error if there is no credential, if there is more than one, or if the credential is invalid. Returns
    /// the pending lookup if the program must look something up first.
    pub fn identify<'a>(
        &self,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, IdentifyError> {
        self.authenticate(presented, app.into(), now, false)
    }

    /// Returns the caller of a request after the lookup that [`identify`](Self::identify) asked for.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`identify`](Self::identify).
    pub fn identify_with<'a>(
        &self,
        lookup_result: LookupResult,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, AuthnError> {
        match lookup_result {
            LookupResult::Keys => {
                self.authenticate(presented, app.into(), now, true).map_err(IdentifyError::into_refusal)
            }
            LookupResult::Caller(result) => {
                self.check_caller_subject(result?.confirm(self.caller_certificate(presented))?)
            }
        }
    }

    /// Checks that the authenticator of the caller accepts callers for all of these apps.
    ///
    /// # Errors
    /// Returns an error if the caller must not use one of the apps.
    pub fn admit<'a>(&self, caller: &Caller, mut apps: impl Iterator<Item = &'a str>) -> Result<(), AuthnError> {
        let Some(by) = self.vouching(caller) else { return Err(AuthnError::invalid(NOT_FOR_THIS_APP)) };
        match apps.find(|app| !by.common().accepts_app(app)) {
            None => Ok(()),
            Some(app) => Err(AuthnError::invalid(format!("these callers are not accepted for the app {app}"))
                .with_authenticator(&by.common().name)),
        }
    }

    /// Returns the time at which the token of the caller expires or becomes too old, if that time is known.
    pub fn token_end(&self, caller: &Caller) -> Option<Millis> {
        let max_age = self.vouching(caller).and_then(Authenticator::token_rules).and_then(|rules| rules.max_age);
        let dates = Dates::read(|name| caller.claims.get(name).filter(|date| !date.is_null())).ok()?;
        dates.expires_at(max_age).map(Millis)
    }

    /// Returns all authenticators, in order.
    pub fn all(&self) -> &[Authenticator] {
        &self.all
    }

    /// Returns the names of all authenticators, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|authenticator| &*authenticator.common().name)
    }

    /// Returns the headers in which web pages send the credentials of their users, without `Authorization`.
    pub fn page_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let users = self.introspections().filter(|introspection| introspection.common.kind == CallerKind::User);
        users.flat_map(|introspection| introspection.headers()).filter(|name| **name != AUTHORIZATION)
    }

    fn jwts(&self) -> impl Iterator<Item = &Jwt> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(jwt) => Some(jwt),
            _ => None,
        })
    }

    fn api_keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::ApiKey(api_key) => Some(api_key),
            _ => None,
        })
    }

    fn mtls(&self) -> impl Iterator<Item = &Mtls> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Mtls(mtls) => Some(mtls),
            _ => None,
        })
    }

    fn forwarded(&self) -> impl Iterator<Item = &Forwarded> + Clone {
        self.all.iter().filter_map(Authenticator::as_forwarded)
    }
}

impl Authenticator {
    /// Returns the settings that all authenticators have.
    pub fn common(&self) -> &Common {
        match self {
            Authenticator::Jwt(jwt) => &jwt.common,
            Authenticator::ApiKey(api_key) => &api_key.common,
            Authenticator::Forwarded(forwarded) => &forwarded.common,
            Authenticator::Introspection(introspection) => &introspection.common,
            Authenticator::Mtls(mtls) => &mtls.common,
            Authenticator::UnixPeer(process) => &process.common,
        }
    }

    /// Returns the authenticator if it reads the headers of a proxy.
    pub fn as_forwarded(&self) -> Option<&Forwarded> {
        match self {
            Authenticator::Forwarded(forwarded) => Some(forwarded),
            Authenticator::Jwt(_)
            | Authenticator::ApiKey(_)
            | Authenticator::Introspection(_)
            | Authenticator::Mtls(_)
            | Authenticator::UnixPeer(_) => None,
        }
    }

    /// Returns whether the credentials are ambient: a program other than the caller's can add them to a request.
    pub fn is_ambient(&self) -> bool {
        match self {
            Authenticator::Jwt(_) | Authenticator::ApiKey(_) => false,
            Authenticator::Introspection(introspection) => introspection.passes_cookies(),
            Authenticator::Forwarded(_) | Authenticator::Mtls(_) | Authenticator::UnixPeer(_) => true,
        }
    }

    /// Returns the further rules for authentic tokens, if this authenticator accepts tokens.
    pub fn token_rules(&self) -> Option<&TokenRules> {
        match self {
            Authenticator::Jwt(jwt) => Some(&jwt.rules),
            Authenticator::Introspection(introspection) => introspection.token_rules(),
            Authenticator::ApiKey(_)
            | Authenticator::Forwarded(_)
            | Authenticator::Mtls(_)
            | Authenticator::UnixPeer(_) => None,
        }
    }

    /// Returns the prefix that the authenticator puts before the subjects of its callers.
    fn subject_prefix(&self) -> &str {
        match self {
            Authenticator::Jwt(jwt) => &jwt.subject_prefix,
            Authenticator::Forwarded(forwarded) => &forwarded.subject_prefix,
            Authenticator::Introspection(introspection) => &introspection.subject_prefix,
            Authenticator::ApiKey(_) | Authenticator::Mtls(_) | Authenticator::UnixPeer(_) => "",
        }
    }
}

impl Common {
    /// Returns whether the callers may use this app.
    pub fn accepts_app(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Returns whether the callers may use this app. Returns true if there is no app.
    fn accepts_optional_app(&self, app: Option<&str>) -> bool {
        app.is_none_or(|app| self.accepts_app(app))
    }

    fn caller(&self, subject: String, claims: Map<String, Value>, bindings: Vec<(Pattern, Role)>) -> Arc<Caller> {
        let authenticator = Arc::clone(&self.name);
        Arc::new(Caller { kind: self.kind, subject, authenticator, claims, bindings })
    }

    /// Checks every caller last, for all kinds of credentials.
    fn admit(&self, caller: Arc<Caller>, app: Option<&str>) -> Result<Arc<Caller>, AuthnError> {
        if caller.subject == "*" {
            return Err(AuthnError::invalid("a caller's subject must not be `*`"));
        }
        if !self.accepts_optional_app(app) {
            return Err(AuthnError::invalid(NOT_FOR_THIS_APP));
        }
        Ok(caller)
    }
}
