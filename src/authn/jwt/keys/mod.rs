//! The keys that tokens are verified with, read and checked once.

mod jwks;
mod pem;

use std::fmt;

use aws_lc_rs::hmac;
use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use super::Token;
use crate::authn::algorithm::{Algorithm, is_symmetric, words};
use crate::authn::refusal::{Refusal, quoted};
use crate::crypto;
use crate::secret::Secret;

/// How many keys of a set are tried for a token that doesn't say which one signed it. Each costs a stranger nothing and us a public
/// key operation.
const MOST_TRIED: usize = 4;

/// The keys of one authenticator: shared secrets or public keys, never both.
pub struct Keys {
    keys: Vec<Key>,
    /// Whether they come from a set in which a token's `kid` picks one. Elsewhere there is no id to compare it with.
    named: bool,
}

impl Keys {
    /// Shared secrets, all of which verify. Each must be at least as long as every algorithm's hash, as RFC 7518,
    /// section 3.2 requires.
    ///
    /// # Errors
    /// A sentence that names the secret by its place in the list.
    pub fn secrets(secrets: &[Secret], algorithms: &[Algorithm]) -> Result<Keys, String> {
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
        let keys = secrets.iter().flat_map(|secret| algorithms.iter().map(|algorithm| Key::shared(secret, *algorithm)));
        Ok(Keys { keys: keys.collect(), named: false })
    }

    /// One public key in a PEM file, as `SubjectPublicKeyInfo` (RFC 7468, section 13).
    ///
    /// # Errors
    /// A sentence that says what the file holds instead, and how to make it right.
    pub fn pem(file: &[u8], algorithms: &[Algorithm]) -> Result<Keys, String> {
        check(algorithms, false)?;
        let key = pem::key(file)?;
        match algorithms.iter().find(|algorithm| !key.fits(**algorithm)) {
            None => Ok(Keys { keys: vec![key], named: false }),
            Some(odd) => Err(format!("the file holds {}, which {odd:?} can't use", key.shape)),
        }
    }

    /// A JWK set (RFC 7517, section 5). Keys for other purposes or of other types are left out.
    ///
    /// # Errors
    /// A sentence that names the key by its place in the set; also if no key is left.
    pub fn jwks(file: &[u8], algorithms: &[Algorithm]) -> Result<Keys, String> {
        check(algorithms, false)?;
        let keys = Keys { keys: jwks::keys(file, algorithms)?, named: true };
        if keys.is_empty() {
            return Err(format!("the key set has no key that {} can use", words(algorithms)));
        }
        Ok(keys)
    }

    /// A JWK set that may have come to hold no key that can be used: an issuer can take all of them back.
    ///
    /// # Errors
    /// A sentence that names the key by its place in the set.
    pub fn fetched(set: &[u8], algorithms: &[Algorithm]) -> Result<Keys, String> {
        check(algorithms, false)?;
        Ok(Keys { keys: jwks::keys(set, algorithms)?, named: true })
    }

    /// Whether no token could hold.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the key of this id is there, or none is asked for.
    pub(super) fn have(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.keys.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    /// Checks the token's signature.
    ///
    /// A `kid` picks one key of a set. Without one, those that fit the algorithm are tried, if they are few.
    pub(super) fn verify(&self, token: &Token<'_>, algorithm: Algorithm) -> Result<(), Refusal> {
        let holds = match token.key_id()? {
            Some(id) if self.named => self.find(id, algorithm)?.verifies(token, algorithm),
            _ => self.try_all(token, algorithm)?,
        };
        if holds { Ok(()) } else { Err(Refusal::new("the token's signature does not hold")) }
    }

    fn find(&self, id: &str, algorithm: Algorithm) -> Result<&Key, Refusal> {
        let Some(key) = self.keys.iter().find(|key| key.id.as_deref() == Some(id)) else {
            return Err(Refusal::new("the token's key (kid) is not known here").detail(quoted(id)));
        };
        if !key.fits(algorithm) {
            let text = "the token's key (kid) is not for its algorithm (alg)";
            return Err(Refusal::new(text).detail(format!("{algorithm:?} with {}", key.shape)));
        }
        Ok(key)
    }

    fn try_all(&self, token: &Token<'_>, algorithm: Algorithm) -> Result<bool, Refusal> {
        let fitting = || self.keys.iter().filter(|key| key.fits(algorithm));
        if self.named && fitting().count() > MOST_TRIED {
            return Err(Refusal::new("the token must say which key signed it (kid)"));
        }
        Ok(fitting().any(|key| key.verifies(token, algorithm)))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} keys)", self.keys.len())
    }
}

/// One key.
struct Key {
    id: Option<String>,
    shape: Shape,
    /// The one algorithm that it is for, where its JWK says so.
    only: Option<Algorithm>,
    material: Material,
}

/// What a signature is checked with.
enum Material {
    /// A shared secret, set up for its algorithm: the library for tokens would do that again for every token, at twice the cost of
    /// the check itself.
    Shared(Box<hmac::Key>),
    Public(DecodingKey),
}

/// What a key is made of, which decides the algorithms that it fits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Key {
    fn new(shape: Shape, key: DecodingKey) -> Key {
        Key { id: None, shape, only: None, material: Material::Public(key) }
    }

    /// A shared secret for one of the symmetric algorithms.
    fn shared(secret: &Secret, algorithm: Algorithm) -> Key {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        let material = Material::Shared(Box::new(hmac::Key::new(hash, secret.expose())));
        Key { id: None, shape: Shape::Secret, only: Some(algorithm), material }
    }

    /// An RSA key of its modulus and exponent, both big-endian.
    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Key, String> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bits(modulus);
        if !(2048..=8192).contains(&bits) {
            return Err(format!("the RSA key has {bits} bits: use one of 2048 to 8192"));
        }
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent == [1] || exponent.len() > 4 {
            return Err("the RSA key's exponent must be odd, at least 3, and below 2^32".to_owned());
        }
        Ok(Key::new(Shape::Rsa, DecodingKey::from_rsa_raw_components(modulus, exponent)))
    }

    /// A P-256 key, as an uncompressed point (SEC 1, section 2.3.3).
    fn p256(point: &[u8]) -> Result<Key, String> {
        Ok(Key::new(Shape::P256, DecodingKey::from_ec_der(uncompressed(point, 65)?)))
    }

    /// A P-384 key, as an uncompressed point.
    fn p384(point: &[u8]) -> Result<Key, String> {
        Ok(Key::new(Shape::P384, DecodingKey::from_ec_der(uncompressed(point, 97)?)))
    }

    /// An Ed25519 key (RFC 8032).
    fn ed25519(bytes: &[u8]) -> Result<Key, String> {
        match bytes.len() {
            32 => Ok(Key::new(Shape::Ed25519, DecodingKey::from_ed_der(bytes))),
            other => Err(format!("an Ed25519 key has 32 bytes, not {other}")),
        }
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        Shape::of(algorithm) == Some(self.shape) && self.only.is_none_or(|only| only == algorithm)
    }

    fn verifies(&self, token: &Token<'_>, algorithm: Algorithm) -> bool {
        match &self.material {
            Material::Shared(key) => crypto::base64url_decode(token.signature())
                .is_some_and(|signature| hmac::verify(key, token.message(), &signature).is_ok()),
            Material::Public(key) => {
                jsonwebtoken::crypto::verify(token.signature(), token.message(), key, algorithm).unwrap_or(false)
            }
        }
    }
}

impl Shape {
    /// What keys for this algorithm are made of.
    fn of(algorithm: Algorithm) -> Option<Shape> {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Some(Shape::Secret),
            Algorithm::ES256 => Some(Shape::P256),
            Algorithm::ES384 => Some(Shape::P384),
            Algorithm::EdDSA => Some(Shape::Ed25519),
            _ => (algorithm.family() == AlgorithmFamily::Rsa).then_some(Shape::Rsa),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Secret => "a shared secret",
            Shape::Rsa => "an RSA key",
            Shape::P256 => "a P-256 key",
            Shape::P384 => "a P-384 key",
            Shape::Ed25519 => "an Ed25519 key",
        })
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

fn uncompressed(point: &[u8], length: usize) -> Result<&[u8], String> {
    let whole = point.len() == length && point.first() == Some(&4);
    whole.then_some(point).ok_or_else(|| "the EC key must be an uncompressed point of its curve".to_owned())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// How many bits this number has, which doesn't begin with a zero byte.
fn bits(number: &[u8]) -> usize {
    let spare = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - spare
}
