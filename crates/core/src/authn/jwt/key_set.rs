//! A key set that is fetched from its issuer and changes while the program runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::key::Algorithm;
use super::token::UnverifiedToken;
use super::verification_keys::VerificationKeys;
use crate::authn::endpoint::Endpoint;
use crate::authn::error::AuthnError;

/// The source of the keys of an authenticator.
#[derive(Debug)]
pub enum KeySource {
    /// The keys are fixed in the configuration.
    Fixed(VerificationKeys),
    /// The keys are fetched. All tenants have the same keys.
    Fetched(Arc<KeySet>),
    /// Each tenant has its own keys, which are fetched.
    PerTenant(BTreeMap<String, Arc<KeySet>>),
}

/// The keys for a token.
#[derive(Debug)]
pub(super) enum KeysInUse<'a> {
    Fixed(&'a VerificationKeys),
    Fetched(&'a Arc<KeySet>),
}

impl KeySource {
    /// Returns the keys for this tenant.
    pub(super) fn find(&self, tenant: Option<&str>) -> Option<KeysInUse<'_>> {
        match self {
            KeySource::Fixed(keys) => Some(KeysInUse::Fixed(keys)),
            KeySource::Fetched(set) => Some(KeysInUse::Fetched(set)),
            KeySource::PerTenant(sets) => Some(KeysInUse::Fetched(sets.get(tenant?)?)),
        }
    }

    /// Returns the key sets that are fetched.
    pub(in crate::authn) fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        let (shared, own) = match self {
            KeySource::Fixed(_) => (None, None),
            KeySource::Fetched(set) => (Some(set), None),
            KeySource::PerTenant(sets) => (None, Some(sets.values())),
        };
        shared.into_iter().chain(own.into_iter().flatten())
    }

    /// Replaces each key set by the known one with the same configuration, if `find` returns one.
    pub(in crate::authn) fn reuse_from<'k>(&mut self, find: impl Fn(&KeySet) -> Option<&'k Arc<KeySet>>) {
        let replace = |set: &mut Arc<KeySet>| {
            if let Some(known) = find(set) {
                *set = Arc::clone(known);
            }
        };
        match self {
            KeySource::Fixed(_) => {}
            KeySource::Fetched(set) => replace(set),
            KeySource::PerTenant(sets) => sets.values_mut().for_each(replace),
        }
    }
}

/// A JWK set at a URL: how to fetch it, and the keys of the last fetch.
pub struct KeySet {
    /// How to fetch the set.
    pub config: KeySetConfig,
    /// `None` before the first fetch, and after the keys have become too old.
    current: ArcSwapOption<VerificationKeys>,
}

/// How to fetch a JWK set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetConfig {
    /// The name of the authenticator that uses the keys, followed by `/` and the tenant if the keys belong to one.
    pub name: Arc<str>,
    /// The URL of the set, or of the metadata that contain the URL of the set.
    pub endpoint: Endpoint,
    /// The issuer, if the endpoint serves the metadata of the issuer. The metadata must name this issuer and contain
    /// the URL of the set (OpenID Connect Discovery 1.0, section 4).
    pub discovery: Option<String>,
    /// The algorithms that the keys must fit.
    pub algorithms: Vec<Algorithm>,
    /// The time for which the last good keys are used if newer keys cannot be fetched.
    pub stale_if_error: Duration,
    /// Whether the process is ready without the keys.
    pub is_optional: bool,
}

/// The keys that verified a signature.
#[derive(Clone, Debug)]
pub(super) enum KeyGeneration {
    /// The fixed keys of the authenticator.
    Fixed,
    /// The keys that this key set had at that time.
    Fetched(Arc<KeySet>, Weak<VerificationKeys>),
}

impl KeySet {
    /// Creates a key set that has not been fetched yet.
    pub fn new(config: KeySetConfig) -> KeySet {
        KeySet { config, current: ArcSwapOption::empty() }
    }

    /// Returns whether everything except the keys is equal.
    pub(in crate::authn) fn has_same_config(&self, other: &KeySet) -> bool {
        self.config == other.config
    }

    /// Replaces the keys.
    pub fn replace(&self, keys: Option<VerificationKeys>) {
        self.current.store(keys.map(Arc::new));
    }

    /// Returns the number of keys.
    pub fn count(&self) -> usize {
        self.current.load().as_ref().map_or(0, |keys| keys.len())
    }

    /// Returns whether there are keys.
    pub fn is_loaded(&self) -> bool {
        self.current.load().is_some()
    }

    /// Checks the signature of the token, and returns the keys that verified it. Returns `None` if the keys must be
    /// fetched first: there are no keys, or the key that the token names is missing. If `was_tried` is true, the result
    /// is never `None`.
    pub(super) fn verify(
        self: &Arc<KeySet>,
        token: &UnverifiedToken<'_>,
        algorithm: Algorithm,
        was_tried: bool,
    ) -> Result<Option<KeyGeneration>, AuthnError> {
        match &*self.current.load() {
            Some(keys) if was_tried || keys.has_key_for(token)? => {
                keys.verify(token, algorithm)?;
                Ok(Some(KeyGeneration::Fetched(Arc::clone(self), Arc::downgrade(keys))))
            }
            None if was_tried => {
                Err(AuthnError::unavailable("the keys for this token are not available at the moment"))
            }
            _ => Ok(None),
        }
    }
}

impl KeyGeneration {
    /// Returns whether a new verification would use the same keys.
    pub(super) fn is_current(&self) -> bool {
        match self {
            KeyGeneration::Fixed => true,
            KeyGeneration::Fetched(set, keys) => {
                set.current.load().as_ref().is_some_and(|current| Arc::as_ptr(current) == keys.as_ptr())
            }
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.config.endpoint.url)
    }
}
