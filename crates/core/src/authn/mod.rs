//! Who is calling: turns the credential in a request's headers into a [`Caller`], or a [`AuthnError`] that says what was wrong.
//!
//! A request carries at most one explicit credential: one `Authorization` header or one API key. Two are refused, as they could
//! name two callers. Ambient credentials, which others than the request's author add to it, count only where no explicit one is
//! there: what a proxy forwards, and what the connection tells. They don't count for what another site's page had the browser send.
//!
//! A credential that is there and bad is refused, never passed over in favour of something else.

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

pub use address::is_address;
pub use algorithm::{ALGORITHMS, Algorithm, algorithm, is_symmetric};
pub use api_key::ApiKey;
pub use binding::{Thumbprint, TokenCaller};
pub use certificate::{CertificateNames, ClientCertificate, VerifiedCertificate, validity};
pub use endpoint::{BearerToken, Endpoint, is_safe};
pub use error::AuthnError;
pub use forwarded::Forwarded;
pub use introspection::{Introspection, IntrospectionAnswer, IntrospectionProtocol, IntrospectionQuery};
pub use jwt::{Jwt, KeySet, KeySource, UnusableKey, VerificationKeys};
pub use lookup::{IdentifyError, LookupResult, PendingLookup};
pub use mtls::{CertificateSubject, Mtls, SanType};
pub use origin::{CrossSite, OwnHosts, RequestTarget, host_name};
pub use purpose::{TokenRules, media_type};
pub use request_credentials::{ConnectionPeer, PeerAddress, ProcessIds, RequestCredentials, TlsPeer};
pub use role_mapping::strongest;
pub use trusted_proxies::{TrustedProxies, TrustedProxy};
pub use unix_peer::UnixPeer;

use crate::model::{Caller, CallerKind, Millis, Pattern, Role};
use dates::Dates;
use jwt::TokenCache;

const NOT_FOR_THIS_APP: &str = "these callers are not accepted for this app";

/// All authenticators of a configuration, in its order. With none, everyone is refused.
#[derive(Debug)]
pub struct Authenticators {
    all: Vec<Authenticator>,
    /// The tokens that came before, if they are remembered.
    verified: Option<TokenCache>,
    /// The headers that hold API keys, each once.
    key_headers: Vec<HeaderName>,
}

/// One way to find out who is calling.
#[derive(Debug)]
pub enum Authenticator {
    /// A signed token.
    Jwt(Jwt),
    /// A key in a header.
    ApiKey(ApiKey),
    /// A proxy's word.
    Forwarded(Forwarded),
    /// Another server's word.
    Introspection(Arc<Introspection>),
    /// A client certificate.
    Mtls(Mtls),
    /// A process on this machine.
    Process(UnixPeer),
}

/// What all authenticators have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What its callers are.
    pub kind: CallerKind,
    /// The apps that its callers may use; `None` is all.
    pub apps: Option<Vec<String>>,
}

impl Authenticators {
    /// Takes them in the order of the configuration.
    pub fn new(all: Vec<Authenticator>) -> Authenticators {
        let mut key_headers = Vec::new();
        for authenticator in &all {
            if let Authenticator::ApiKey(ApiKey { header, .. }) = authenticator
                && !key_headers.contains(header)
            {
                key_headers.push(header.clone());
            }
        }
        Authenticators { all, verified: None, key_headers }
    }

    /// Has tokens remembered from now on: one that was verified is not verified again while that would come to the same. Takes
    /// about 16 MiB at most. The key must be random and nobody else's.
    #[must_use]
    pub fn remembering(self, key: &[u8; 32]) -> Authenticators {
        Authenticators { verified: Some(TokenCache::new(key)), ..self }
    }

    /// Finds out who sent a request to this app, or to whichever: then it remains to be [admitted](Self::admit).
    ///
    /// # Errors
    /// A refusal if there is no credential, more than one, or one that doesn't hold; or what must be looked up first.
    pub fn identify<'a>(
        &self,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, IdentifyError> {
        self.attempt(presented, app.into(), now, false)
    }

    /// Finds out who sent a request, now that what [`identify`](Self::identify) wanted to know has been looked up.
    ///
    /// # Errors
    /// A refusal, as there.
    pub fn identify_with<'a>(
        &self,
        found: LookupResult,
        presented: &RequestCredentials<'_>,
        app: impl Into<Option<&'a str>>,
        now: Millis,
    ) -> Result<Arc<Caller>, AuthnError> {
        match found {
            LookupResult::Keys => self.attempt(presented, app.into(), now, true).map_err(IdentifyError::into_refusal),
            LookupResult::Caller(result) => self.own(result?.confirm(self.own_certificate(presented))?),
        }
    }

    /// Whether a caller may use all of these apps, by the authenticator that vouches for it.
    ///
    /// # Errors
    /// A refusal, if it may not.
    pub fn admit<'a>(&self, caller: &Caller, mut apps: impl Iterator<Item = &'a str>) -> Result<(), AuthnError> {
        let Some(by) = self.vouching(caller) else { return Err(AuthnError::new(NOT_FOR_THIS_APP)) };
        match apps.find(|app| !by.common().serves(app)) {
            None => Ok(()),
            Some(app) => {
                Err(AuthnError::new(format!("these callers are not accepted for the app {app}")).by(&by.common().name))
            }
        }
    }

    /// When the caller's token ends, if that is known: it expires, or becomes too old.
    pub fn token_end(&self, caller: &Caller) -> Option<Millis> {
        let max_age = self.vouching(caller).and_then(Authenticator::token_rules).and_then(|rules| rules.max_age);
        let dates = Dates::read(|name| caller.claims.get(name).filter(|date| !date.is_null())).ok()?;
        dates.end(max_age).map(Millis)
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Authenticator] {
        &self.all
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|authenticator| &*authenticator.common().name)
    }

    /// The headers besides `Authorization` in which pages show who their users are.
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
    /// What all authenticators have.
    pub fn common(&self) -> &Common {
        match self {
            Authenticator::Jwt(jwt) => &jwt.common,
            Authenticator::ApiKey(api_key) => &api_key.common,
            Authenticator::Forwarded(forwarded) => &forwarded.common,
            Authenticator::Introspection(introspection) => &introspection.common,
            Authenticator::Mtls(mtls) => &mtls.common,
            Authenticator::Process(process) => &process.common,
        }
    }

    /// The one that takes a proxy's word, if it does.
    pub fn as_forwarded(&self) -> Option<&Forwarded> {
        match self {
            Authenticator::Forwarded(forwarded) => Some(forwarded),
            Authenticator::Jwt(_)
            | Authenticator::ApiKey(_)
            | Authenticator::Introspection(_)
            | Authenticator::Mtls(_)
            | Authenticator::Process(_) => None,
        }
    }

    /// Whether its credentials are ambient: others than the caller's own program can add them to a request.
    pub fn is_ambient(&self) -> bool {
        match self {
            Authenticator::Jwt(_) | Authenticator::ApiKey(_) => false,
            Authenticator::Introspection(introspection) => introspection.takes_cookies(),
            Authenticator::Forwarded(_) | Authenticator::Mtls(_) | Authenticator::Process(_) => true,
        }
    }

    /// What its tokens must be besides authentic, if it takes tokens.
    pub fn token_rules(&self) -> Option<&TokenRules> {
        match self {
            Authenticator::Jwt(jwt) => Some(&jwt.rules),
            Authenticator::Introspection(introspection) => introspection.token_rules(),
            Authenticator::ApiKey(_)
            | Authenticator::Forwarded(_)
            | Authenticator::Mtls(_)
            | Authenticator::Process(_) => None,
        }
    }

    /// What it puts before its callers' subjects.
    fn subject_prefix(&self) -> &str {
        match self {
            Authenticator::Jwt(jwt) => &jwt.subject_prefix,
            Authenticator::Forwarded(forwarded) => &forwarded.subject_prefix,
            Authenticator::Introspection(introspection) => &introspection.subject_prefix,
            Authenticator::ApiKey(_) | Authenticator::Mtls(_) | Authenticator::Process(_) => "",
        }
    }
}

impl Common {
    /// Whether its callers may use this app.
    pub fn serves(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Whether its callers may use this app, if it is about one.
    fn serves_if(&self, app: Option<&str>) -> bool {
        app.is_none_or(|app| self.serves(app))
    }

    fn caller(&self, subject: String, claims: Map<String, Value>, bindings: Vec<(Pattern, Role)>) -> Arc<Caller> {
        let authenticator = Arc::clone(&self.name);
        Arc::new(Caller { kind: self.kind, subject, authenticator, claims, bindings })
    }

    /// The last word on every caller, whatever the credential was.
    fn admit(&self, caller: Arc<Caller>, app: Option<&str>) -> Result<Arc<Caller>, AuthnError> {
        if caller.subject == "*" {
            return Err(AuthnError::new("a caller's subject must not be `*`"));
        }
        if !self.serves_if(app) {
            return Err(AuthnError::new(NOT_FOR_THIS_APP));
        }
        Ok(caller)
    }
}
