//! A key set that is fetched from its issuer and changes while the program runs.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::token_cache::KeyGeneration;
use super::{UnverifiedToken, VerificationKeys};
use crate::authn::algorithm::Algorithm;
use crate::authn::endpoint::Endpoint;
use crate::authn::error::AuthnError;
use crate::authn::lookup::{IdentifyError, PendingLookup};

/// Where an authenticator's keys come from.
#[derive(Debug)]
pub enum KeySource {
    /// They are given once and for all.
    Fixed(VerificationKeys),
    /// They are fetched.
    Fetched(Arc<KeySet>),
}

/// A JWK set behind a URL: how to fetch it, and the keys as last fetched.
pub struct KeySet {
    /// The name of the authenticator whose keys these are.
    pub authenticator: Arc<str>,
    /// Where the set is, or where it is told where the set is.
    pub endpoint: Endpoint,
    /// Whether the endpoint has the issuer's metadata, which name this issuer and where the set is (OpenID Connect Discovery 1.0,
    /// section 4).
    pub discovery: Option<String>,
    /// What the keys must fit.
    pub algorithms: Vec<Algorithm>,
    /// For how long the last good keys serve while no newer ones can be had.
    pub stale_if_error: Duration,
    /// Nothing before the first fetch, and when the keys have become too old.
    current: ArcSwapOption<VerificationKeys>,
}

impl KeySet {
    /// One that has not been fetched yet.
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

    /// Whether all but the keys is the same.
    pub(in crate::authn) fn is_configured_like(&self, other: &KeySet) -> bool {
        let KeySet { authenticator, endpoint, discovery, algorithms, stale_if_error, current: _ } = self;
        (authenticator, endpoint) == (&other.authenticator, &other.endpoint)
            && (discovery, algorithms, stale_if_error) == (&other.discovery, &other.algorithms, &other.stale_if_error)
    }

    /// Puts other keys in their place.
    pub fn replace(&self, keys: Option<VerificationKeys>) {
        self.current.store(keys.map(Arc::new));
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.current.load().as_ref().map_or(0, |keys| keys.len())
    }

    /// Whether there are keys.
    pub fn is_loaded(&self) -> bool {
        self.current.load().is_some()
    }

    /// Whether these are its keys at the moment.
    pub(super) fn has(&self, keys: &Weak<VerificationKeys>) -> bool {
        self.current.load().as_ref().is_some_and(|current| Arc::as_ptr(current) == keys.as_ptr())
    }

    /// Checks the token's signature, and tells under which keys it holds. Where there are no keys, or not the one that it names, they are to be looked up first, unless
    /// that `was_tried`.
    pub(super) fn verify(
        self: &Arc<KeySet>,
        token: &UnverifiedToken<'_>,
        algorithm: Algorithm,
        was_tried: bool,
    ) -> Result<KeyGeneration, IdentifyError> {
        match &*self.current.load() {
            Some(keys) if was_tried || keys.have(token.key_id()?) => {
                keys.verify(token, algorithm)?;
                Ok(KeyGeneration::Fetched(Arc::clone(self), Arc::downgrade(keys)))
            }
            None if was_tried => {
                Err(AuthnError::unavailable("the keys that verify this token can't be had at the moment").into())
            }
            _ => Err(IdentifyError::Unknown(PendingLookup::Keys(Arc::clone(self)))),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.endpoint.url)
    }
}
