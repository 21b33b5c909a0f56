//! The keys that verify tokens. They are read and checked once.

use std::fmt;

use super::jwks::{self, UnusableKey};
use super::key::{Algorithm, VerificationKey, is_symmetric, join_names};
use super::key_name::KeyName;
use super::pem;
use super::token::UnverifiedToken;
use crate::authn::error::AuthnError;
use crate::secret::Secret;

/// The maximum number of keys of a set that are tried for a token: the keys with the key id in the token, or all keys
/// if the token has no key id. A stranger can send a token for free, but each attempt costs this program a public-key
/// operation.
const MAX_TRIED: usize = 4;

/// The keys of an authenticator: only shared secrets or only public keys.
pub struct VerificationKeys {
    usable: Vec<VerificationKey>,
    /// Whether the keys come from a set in which the `kid` of a token selects a key. Other keys have no id.
    has_key_ids: bool,
    /// The keys of the set that were skipped because they are unusable.
    unusable: Vec<UnusableKey>,
}

impl VerificationKeys {
    /// Takes shared secrets; each of them can verify a token. Each must be at least as long as the hash of every
    /// algorithm, as RFC 7518, section 3.2 requires.
    ///
    /// # Errors
    /// Returns a sentence that names the secret by its place in the list.
    pub fn from_secrets(secrets: &[Secret], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check_algorithms(algorithms, true)?;
        if secrets.is_empty() {
            return Err("there must be at least one secret".to_owned());
        }
        for (i, secret) in secrets.iter().enumerate() {
            let too_short = algorithms.iter().find(|algorithm| secret.expose().len() < min_secret_bytes(**algorithm));
            if let Some(algorithm) = too_short {
                let (place, least) = (i + 1, min_secret_bytes(*algorithm));
                return Err(format!("secret {place} is too short: {algorithm:?} needs at least {least} bytes"));
            }
        }
        let keys = secrets
            .iter()
            .flat_map(|secret| algorithms.iter().map(|algorithm| VerificationKey::shared(secret, *algorithm)));
        Ok(VerificationKeys { usable: keys.collect(), has_key_ids: false, unusable: Vec::new() })
    }

    /// Reads a public key in a PEM file, as `SubjectPublicKeyInfo` (RFC 7468, section 13).
    ///
    /// # Errors
    /// Returns a sentence that says what the file holds instead, and how to correct it.
    pub fn from_pem_file(file: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check_algorithms(algorithms, false)?;
        let key = pem::key(file)?;
        match algorithms.iter().find(|algorithm| !key.supports(**algorithm)) {
            None => Ok(VerificationKeys { usable: vec![key], has_key_ids: false, unusable: Vec::new() }),
            Some(odd) => Err(format!("the file holds {}, which {odd:?} can't use", key.key_type)),
        }
    }

    /// Reads a JWK set in a file of the operator (RFC 7517, section 5). Keys for other purposes or of other types are
    /// skipped. An unusable key is an error.
    ///
    /// # Errors
    /// Returns a sentence that names the key by its `kid` or its place in the set. Returns an error, too, if no key is
    /// left.
    pub fn from_jwks_file(file: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        let keys = VerificationKeys::read_set(file, algorithms)?;
        if let Some(unusable) = keys.unusable.first() {
            return Err(unusable.to_string());
        }
        if keys.is_empty() {
            return Err(format!("the key set has no key that {} can use", join_names(algorithms)));
        }
        Ok(keys)
    }

    /// Reads a JWK set of an issuer. Unusable keys are skipped (RFC 7517, section 5) and [listed](Self::unusable). The
    /// set may be empty, because an issuer can withdraw all keys.
    ///
    /// # Errors
    /// Returns an error if it is not a key set, or if all keys for these algorithms are unusable.
    pub fn from_fetched_set(set: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        let keys = VerificationKeys::read_set(set, algorithms)?;
        match keys.unusable.first() {
            Some(unusable) if keys.is_empty() => Err(format!("the key set has no key that can be used: {unusable}")),
            _ => Ok(keys),
        }
    }

    fn read_set(set: &[u8], algorithms: &[Algorithm]) -> Result<VerificationKeys, String> {
        check_algorithms(algorithms, false)?;
        let (usable, unusable) = jwks::keys(set, algorithms)?;
        Ok(VerificationKeys { usable, has_key_ids: true, unusable })
    }

    /// Returns the keys that were skipped because they are unusable.
    pub fn unusable(&self) -> &[UnusableKey] {
        &self.unusable
    }

    /// Returns whether there are no usable keys.
    pub fn is_empty(&self) -> bool {
        self.usable.is_empty()
    }

    /// Returns the number of usable keys.
    pub fn len(&self) -> usize {
        self.usable.len()
    }

    /// Returns the bytes of each public key.
    pub(super) fn public_bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.usable.iter().map(|key| key.public_bytes.as_slice())
    }

    /// Returns whether there is a key with the name that the token gives. Returns true if the token names no key.
    pub(super) fn has_key_for(&self, token: &UnverifiedToken<'_>) -> Result<bool, AuthnError> {
        let name = self.selecting_name(token)?;
        Ok(name.is_none_or(|name| self.usable.iter().any(|key| key.names.contains(name))))
    }

    /// Verifies the signature of the token with the keys that have its name (`kid`, `x5t`) and fit its algorithm. If
    /// the token names no key, all keys that fit the algorithm are tried, if there are only a few.
    pub(super) fn verify(&self, token: &UnverifiedToken<'_>, algorithm: Algorithm) -> Result<(), AuthnError> {
        let fitting = match self.selecting_name(token)? {
            Some(name) => self.find_by_name(name, algorithm)?,
            None => self.keys_for(algorithm)?,
        };
        if fitting.iter().any(|key| key.verifies(token, algorithm)) {
            return Ok(());
        }
        Err(AuthnError::invalid("the token's signature does not hold"))
    }

    /// Returns the name that selects the key of the token. Hashes of certificates select a key only if the set has
    /// hashes of this kind.
    fn selecting_name<'t>(&self, token: &'t UnverifiedToken<'_>) -> Result<Option<KeyName<'t>>, AuthnError> {
        let selects = |name: &KeyName<'_>| match name {
            KeyName::Id(_) => self.has_key_ids,
            KeyName::Sha256(_) | KeyName::Sha1(_) => self.usable.iter().any(|key| key.names.same_kind(*name).is_some()),
        };
        Ok(token.key_name()?.filter(selects))
    }

    /// Returns the keys with this name that fit the algorithm.
    fn find_by_name(&self, name: KeyName<'_>, algorithm: Algorithm) -> Result<Vec<&VerificationKey>, AuthnError> {
        let named = || self.usable.iter().filter(|key| key.names.contains(name));
        let fitting: Vec<_> = named().filter(|key| key.supports(algorithm)).collect();
        match (named().next(), fitting.len()) {
            (None, _) => Err(self.unknown_key_error(name)),
            (Some(other), 0) => {
                let text = format!("the token's key ({}) is not for its algorithm (alg)", name.member());
                Err(AuthnError::invalid(text).with_detail(format!("{algorithm:?} with {}", other.key_type)))
            }
            (Some(_), 1..=MAX_TRIED) => Ok(fitting),
            (Some(_), _) => {
                Err(AuthnError::invalid(format!("too many keys of the issuer have the token's {}", name.noun())))
            }
        }
    }

    /// Returns the error for a token whose key is missing or unusable.
    fn unknown_key_error(&self, name: KeyName<'_>) -> AuthnError {
        let member = name.member();
        match self.unusable.iter().find(|key| matches!(name, KeyName::Id(id) if key.id.as_deref() == Some(id))) {
            Some(unusable) => AuthnError::invalid(format!("the token's key ({member}) can't be used"))
                .with_detail(unusable.to_string()),
            None => AuthnError::invalid(format!("the token's key ({member}) is not known here"))
                .with_detail(name.to_string()),
        }
    }

    /// Returns the keys that fit the algorithm.
    fn keys_for(&self, algorithm: Algorithm) -> Result<Vec<&VerificationKey>, AuthnError> {
        let fitting: Vec<_> = self.usable.iter().filter(|key| key.supports(algorithm)).collect();
        if self.has_key_ids && fitting.len() > MAX_TRIED {
            return Err(AuthnError::invalid("the token must say which key signed it (kid)"));
        }
        Ok(fitting)
    }
}

impl fmt::Debug for VerificationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKeys({} keys)", self.usable.len())
    }
}

/// Checks that there are algorithms, and that all or none of them are symmetric. A public key must never be used as a
/// shared secret.
fn check_algorithms(algorithms: &[Algorithm], symmetric: bool) -> Result<(), String> {
    match algorithms.iter().find(|algorithm| is_symmetric(**algorithm) != symmetric) {
        Some(odd) if symmetric => Err(format!("{odd:?} is verified with a public key, not with a shared secret")),
        Some(odd) => Err(format!("{odd:?} is verified with a shared secret, not with a public key")),
        None if algorithms.is_empty() => Err("there must be at least one algorithm".to_owned()),
        None => Ok(()),
    }
}

/// Returns the length of the hash of the algorithm, in bytes.
fn min_secret_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        _ => 64,
    }
}
