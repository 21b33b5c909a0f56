//! A key set that is fetched from its issuer and changes while the program runs.

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
    /// The keys are fetched.
    Fetched(Arc<KeySet>),
}

/// A JWK set at a URL: how to fetch it, and the keys of the last fetch.
pub struct KeySet {
    /// The name of the authenticator that uses the keys.
    pub authenticator: Arc<str>,
    /// The URL of the set, or of the metadata that contain the URL of the set.
    pub endpoint: Endpoint,
    /// The issuer, if the endpoint serves the metadata of the issuer. The metadata must name this issuer and contain
    /// the URL of the set (OpenID Connect Discovery 1.0, section 4).
    pub discovery: Option<String>,
    /// The algorithms that the keys must fit.
    pub algorithms: Vec<Algorithm>,
    /// The time for which the last good keys are used if newer keys cannot be fetched.
    pub stale_if_error: Duration,
    /// `None` before the first fetch, and after the keys have become too old.
    current: ArcSwapOption<VerificationKeys>,
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
    pub fn new(
        authenticator: Arc<str>,
        endpoint: Endpoint,
        discovery: Option<String>,
        algorithms: Vec<Algorithm>,
        stale_if_error: Duration,
    ) -> KeySet {
        let current = ArcSwapOption::empty();
        KeySet { authenticator, endpoint, discovery, algorithms, stale_if_error, current }
    }

    /// Returns whether everything except the keys is equal.
    pub(in crate::authn) fn has_same_config(&self, other: &KeySet) -> bool {
        let KeySet { authenticator, endpoint, discovery, algorithms, stale_if_error, current: _ } = self;
        (authenticator, endpoint) == (&other.authenticator, &other.endpoint)
            && (discovery, algorithms, stale_if_error) == (&other.discovery, &other.algorithms, &other.stale_if_error)
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
            Some(keys) if was_tried || keys.has_id(token.key_id()?) => {
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
        write!(f, "KeySet({})", self.endpoint.url)
    }
}
