//! The keys that tokens are verified with, read and checked once.

mod ed25519;
mod jwks;
mod key;
mod pem;
mod rsa;

use std::fmt;

use super::UnverifiedToken;
use crate::authn::algorithm::{Algorithm, is_symmetric, words};
use crate::authn::error::{AuthnError, quoted};
use crate::secret::Secret;
use key::VerificationKey;

/// How many keys of a set are tried at most for one token: those with the key id that it names, or all if it names none. Each costs a
/// stranger nothing and us a public key operation.
const MOST_TRIED: usize = 4;

/// The keys of one authenticator: shared secrets or public keys, never both.
pub struct VerificationKeys {
    usable: Vec<VerificationKey>,
    /// Whether they come from a set in which a token's `kid` picks them. Elsewhere there is no id to compare it with.
    named: bool,
    /// The keys of the set that were left out because they can't be used.
    unusable: Vec<UnusableKey>,
}

/// A key of a set that is of a wanted type, but can't be used: it is damaged, too weak, or secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// Its `kid`, or its place in the set if it has none.
    label: String,
    /// The `kid`, if it has one.
    id: Option<String>,
    reason: String,
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.reason)
    }
}

impl VerificationKeys {
    /// Shared secrets, all of which verify. Each must be at least as long as every algorithm's hash, as RFC 7518,
    /// section 3.2 requires.
    ///
    /// # Errors
    /// A sentence that names the secret by its place in the list.
    pub fn secrets(secrets: &[Secret], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check(algorithms, true)?;
        if secrets.is_empty() {
            return Err("there must be at least one secret".to_owned());
        }
        for (i, secret) in secrets.iter().enumerate() {
            let too_short = algorithms.iter().find(|algorithm| secret.expose().len() < shortest_secret(**algorithm));
            if let Some(algorithm) = too_short {
                let (place, least) = (i + 1, shortest_secret(*algorithm));
                return Err(format!("secret {place} is too short: {algorithm:?} needs at least {least} bytes"));
            }
        }
        let keys = secrets
            .iter()
            .flat_map(|secret| algorithms.iter().map(|algorithm| VerificationKey::shared(secret, *algorithm)));
        Ok(VerificationKeys { usable: keys.collect(), named: false, unusable: Vec::new() })
    }

    /// One public key in a PEM file, as `SubjectPublicKeyInfo` (RFC 7468, section 13).
    ///
    /// # Errors
    /// A sentence that says what the file holds instead, and how to make it right.
    pub fn pem(file: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check(algorithms, false)?;
        let key = pem::key(file)?;
        match algorithms.iter().find(|algorithm| !key.fits(**algorithm)) {
            None => Ok(VerificationKeys { usable: vec![key], named: false, unusable: Vec::new() }),
            Some(odd) => Err(format!("the file holds {}, which {odd:?} can't use", key.shape)),
        }
    }

    /// A JWK set in a file of the operator's (RFC 7517, section 5). Keys for other purposes or of other types are left out. A key that
    /// can't be used is a mistake in the file.
    ///
    /// # Errors
    /// A sentence that names the key by its place in the set or its `kid`; also if no key is left.
    pub fn jwks(file: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        let keys = VerificationKeys::set(file, algorithms)?;
        if let Some(unusable) = keys.unusable.first() {
            return Err(unusable.to_string());
        }
        if keys.is_empty() {
            return Err(format!("the key set has no key that {} can use", words(algorithms)));
        }
        Ok(keys)
    }

    /// A JWK set of an issuer. Keys that can't be used are left out (RFC 7517, section 5) and [listed](Self::unusable). The set may hold
    /// no key at all: an issuer can withdraw all of them.
    ///
    /// # Errors
    /// If it is no key set, or if all its keys for these algorithms can't be used.
    pub fn fetched(set: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        let keys = VerificationKeys::set(set, algorithms)?;
        match keys.unusable.first() {
            Some(unusable) if keys.is_empty() => Err(format!("the key set has no key that can be used: {unusable}")),
            _ => Ok(keys),
        }
    }

    fn set(set: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check(algorithms, false)?;
        let (usable, unusable) = jwks::keys(set, algorithms)?;
        Ok(VerificationKeys { usable, named: true, unusable })
    }

    /// The keys that were left out because they can't be used.
    pub fn unusable(&self) -> &[UnusableKey] {
        &self.unusable
    }

    /// Whether no token could hold.
    pub fn is_empty(&self) -> bool {
        self.usable.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.usable.len()
    }

    /// Whether the key of this id is there, or none is asked for.
    pub(super) fn have(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.usable.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    /// Checks the token's signature, under the keys that have its `kid` and fit its algorithm. Without a `kid`, those that fit the
    /// algorithm are tried, if they are few.
    pub(super) fn verify(&self, token: &UnverifiedToken<'_>, algorithm: Algorithm) -> Result<(), AuthnError> {
        let fitting = match token.key_id()? {
            Some(id) if self.named => self.find(id, algorithm)?,
            _ => self.fitting(algorithm)?,
        };
        if fitting.iter().any(|key| key.verifies(token, algorithm)) {
            return Ok(());
        }
        Err(AuthnError::new("the token's signature does not hold"))
    }

    /// The keys with this id that fit the algorithm.
    fn find(&self, id: &str, algorithm: Algorithm) -> Result<Vec<&VerificationKey>, AuthnError> {
        let named = || self.usable.iter().filter(|key| key.id.as_deref() == Some(id));
        let fitting: Vec<_> = named().filter(|key| key.fits(algorithm)).collect();
        match (named().next(), fitting.len()) {
            (None, _) => Err(self.unknown(id)),
            (Some(other), 0) => {
                let text = "the token's key (kid) is not for its algorithm (alg)";
                Err(AuthnError::new(text).detail(format!("{algorithm:?} with {}", other.shape)))
            }
            (Some(_), 1..=MOST_TRIED) => Ok(fitting),
            (Some(_), _) => Err(AuthnError::new("too many keys of the issuer have the token's key id (kid)")),
        }
    }

    /// The refusal of a token whose key is not there, or can't be used.
    fn unknown(&self, id: &str) -> AuthnError {
        match self.unusable.iter().find(|key| key.id.as_deref() == Some(id)) {
            Some(unusable) => AuthnError::new("the token's key (kid) can't be used").detail(unusable.to_string()),
            None => AuthnError::new("the token's key (kid) is not known here").detail(quoted(id)),
        }
    }

    /// The keys that fit the algorithm.
    fn fitting(&self, algorithm: Algorithm) -> Result<Vec<&VerificationKey>, AuthnError> {
        let fitting: Vec<_> = self.usable.iter().filter(|key| key.fits(algorithm)).collect();
        if self.named && fitting.len() > MOST_TRIED {
            return Err(AuthnError::new("the token must say which key signed it (kid)"));
        }
        Ok(fitting)
    }
}

impl fmt::Debug for VerificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} keys)", self.usable.len())
    }
}

/// Checks that there are algorithms and that all are symmetric, or none is: a public key must never serve as a shared secret.
fn check(algorithms: &[Algorithm], symmetric: bool) -> Result<(), String> {
    match algorithms.iter().find(|algorithm| is_symmetric(**algorithm) != symmetric) {
        Some(odd) if symmetric => Err(format!("{odd:?} is verified with a public key, not with a shared secret")),
        Some(odd) => Err(format!("{odd:?} is verified with a shared secret, not with a public key")),
        None if algorithms.is_empty() => Err("there must be at least one algorithm".to_owned()),
        None => Ok(()),
    }
}

/// The length of the algorithm's hash, in bytes.
fn shortest_secret(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        _ => 64,
    }
}
