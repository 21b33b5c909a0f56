//! The authenticators of a configuration, and which of them owns a subject: two different credentials must not have the
//! same subject.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::api_key::ApiKey;
use super::authenticator::Authenticator;
use super::common::NOT_FOR_THIS_APP;
use super::dates::Dates;
use super::error::AuthnError;
use super::forwarded::Forwarded;
use super::introspection::Introspection;
use super::jwt::{Jwt, KeySet, TokenCache};
use super::mtls::Mtls;
use crate::model::{Caller, CallerKind, Millis};

/// The longest accepted token if the configuration does not set another limit, in bytes.
pub const DEFAULT_MAX_TOKEN_BYTES: usize = 8 << 10;

/// All authenticators of a configuration, in the order of the configuration. If there are none, every request is
/// refused.
#[derive(Debug)]
pub struct Authenticators {
    pub(super) all: Vec<Authenticator>,
    /// The cache of verified tokens, if the cache is enabled.
    pub(super) token_cache: Option<TokenCache>,
    /// The headers that hold API keys, without duplicates.
    pub(super) key_headers: Vec<HeaderName>,
    /// The longest accepted token, in bytes.
    pub(super) max_token_bytes: usize,
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
        Authenticators { all, token_cache: None, key_headers, max_token_bytes: DEFAULT_MAX_TOKEN_BYTES }
    }

    /// Enables the cache of verified tokens. A cached token is not verified again while the result would be the same.
    /// The cache takes about 16 MiB at most. The key must be random, and no other part of the program may use it.
    #[must_use]
    pub fn with_token_cache(self, key: &[u8; 32]) -> Authenticators {
        Authenticators { token_cache: Some(TokenCache::new(key)), ..self }
    }

    /// Sets the longest accepted token, in bytes.
    #[must_use]
    pub fn with_max_token_bytes(self, max_token_bytes: usize) -> Authenticators {
        Authenticators { max_token_bytes, ..self }
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
        let dates = Dates::read_answer(&caller.claims).ok()?;
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

    /// Reuses the state of authenticators that are configured the same way: the fetched keys of key sets, and the
    /// cached answers of other servers.
    pub fn reuse_state_from(&mut self, before: &Authenticators) {
        for authenticator in &mut self.all {
            match authenticator {
                Authenticator::Jwt(jwt) => {
                    jwt.keys.reuse_from(|set| before.key_sets().find(|known| known.has_same_config(set)));
                }
                Authenticator::Introspection(one) => {
                    let same = before.introspections().find(|known| known == &one);
                    *one = Arc::clone(same.unwrap_or(one));
                }
                Authenticator::ApiKey(_)
                | Authenticator::Forwarded(_)
                | Authenticator::Mtls(_)
                | Authenticator::UnixPeer(_) => {}
            }
        }
    }

    /// Returns the key sets that are fetched.
    pub fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.jwts().flat_map(|jwt| jwt.keys.key_sets())
    }

    /// Returns the authenticators that ask other servers.
    pub fn introspections(&self) -> impl Iterator<Item = &Arc<Introspection>> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Introspection(introspection) => Some(introspection),
            _ => None,
        })
    }

    /// Checks that a credential of this authenticator can have this subject.
    ///
    /// # Errors
    /// Returns an error that says why no credential can have this subject.
    pub fn check_subject(&self, authenticator: &Authenticator, subject: &str) -> Result<(), AuthnError> {
        match authenticator {
            Authenticator::Jwt(jwt) => {
                jwt.check_subject(subject)?;
                self.check_subject_owner(jwt.common.kind, Some(authenticator), subject)
            }
            Authenticator::ApiKey(api_key) if api_key.has_id(subject) => Ok(()),
            Authenticator::ApiKey(_) => Err(AuthnError::invalid("it has no API key with this id")),
            Authenticator::Forwarded(forwarded) => {
                forwarded.check_subject(subject)?;
                self.check_subject_owner(forwarded.common.kind, Some(authenticator), subject)
            }
            Authenticator::Introspection(introspection) => {
                introspection.check_subject(subject)?;
                self.check_subject_owner(introspection.common.kind, Some(authenticator), subject)
            }
            Authenticator::Mtls(mtls) if mtls.has_subject(subject) => Ok(()),
            Authenticator::Mtls(_) => Err(AuthnError::invalid("it lists no certificate for this subject")),
            Authenticator::UnixPeer(process) if process.can_have_subject(subject) => Ok(()),
            Authenticator::UnixPeer(_) => Err(AuthnError::invalid("its processes have another subject")),
        }
    }

    /// Returns the caller, if its subject does not belong to another caller.
    pub(super) fn check_caller_subject(&self, caller: Arc<Caller>) -> Result<Arc<Caller>, AuthnError> {
        let by = self.vouching(&caller);
        let checked = self.check_subject_owner(caller.kind, by, &caller.subject);
        checked.map_err(|refusal| refusal.with_authenticator(&caller.authenticator))?;
        Ok(caller)
    }

    /// Returns the authenticator that authenticated the caller.
    pub(super) fn vouching(&self, caller: &Caller) -> Option<&Authenticator> {
        self.all.iter().find(|one| one.common().name == caller.authenticator)
    }

    /// Refuses a subject that belongs to another caller: two different credentials must not have the same subject.
    fn check_subject_owner(
        &self,
        kind: CallerKind,
        by: Option<&Authenticator>,
        subject: &str,
    ) -> Result<(), AuthnError> {
        if self.has_foreign_prefix(kind, by, subject) {
            return Err(AuthnError::invalid("the caller's subject starts with the prefix of another authenticator"));
        }
        let mut same_kind = self.all.iter().filter(|one| one.common().kind == kind);
        match same_kind.find_map(|one| one.reserved_for(subject)) {
            Some(whose) => Err(AuthnError::invalid(format!("the caller's subject is {whose}"))),
            None => Ok(()),
        }
    }

    /// Returns whether the subject belongs to another issuer, proxy or server: another authenticator has a longer
    /// prefix that matches, too, or another prefix of the same length. Without this check, a user who registers with
    /// the first issuer as `partner.alice` would get the subject of alice at the issuer with the prefix `partner.`, and
    /// so would alice of the tenant `partner` if the first prefix is `{tenant}.`.
    fn has_foreign_prefix(&self, kind: CallerKind, by: Option<&Authenticator>, subject: &str) -> bool {
        let own = by.and_then(|by| by.prefix_length(subject)).unwrap_or(0);
        let mut others = self.all.iter().filter(|one| one.common().kind == kind);
        let own_prefix = by.and_then(Authenticator::subject_prefix);
        others.any(|other| {
            let has_other_prefix = own_prefix.is_some_and(|own| other.subject_prefix() != Some(own));
            let length = other.prefix_length(subject);
            length.is_some_and(|length| length > own || length == own && has_other_prefix)
        })
    }

    pub(super) fn jwts(&self) -> impl Iterator<Item = &Jwt> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Jwt(jwt) => Some(jwt),
            _ => None,
        })
    }

    pub(super) fn api_keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::ApiKey(api_key) => Some(api_key),
            _ => None,
        })
    }

    pub(super) fn mtls(&self) -> impl Iterator<Item = &Mtls> {
        self.all.iter().filter_map(|authenticator| match authenticator {
            Authenticator::Mtls(mtls) => Some(mtls),
            _ => None,
        })
    }

    pub(super) fn forwarded(&self) -> impl Iterator<Item = &Forwarded> + Clone {
        self.all.iter().filter_map(Authenticator::as_forwarded)
    }
}
