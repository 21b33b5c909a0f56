//! The signature algorithms that tokens may use (RFC 7518, section 3; EdDSA: RFC 8037), and the keys that fit them.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, VerificationAlgorithm};
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use super::key_name::KeyNames;
use super::token::UnverifiedToken;
use super::{ed25519, rsa};
use crate::crypto;
use crate::secret::Secret;

/// All algorithms, as tokens and the configuration spell them.
pub const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// A verification key.
pub(super) struct VerificationKey {
    pub(super) names: KeyNames,
    pub(super) key_type: KeyType,
    /// The only algorithm of the key, if its JWK names an algorithm.
    pub(super) algorithm: Option<Algorithm>,
    material: KeyMaterial,
    /// A public key: the modulus, the uncompressed point or the Ed25519 key. Empty for a shared secret.
    pub(super) public_bytes: Vec<u8>,
}

/// The data that verifies a signature.
enum KeyMaterial {
    /// A shared secret, prepared for its algorithm. The library for tokens would prepare it again for every token,
    /// which costs twice as much as the verification itself.
    Shared(Box<hmac::Key>),
    Public(DecodingKey),
}

/// The type of a key, which decides which algorithms the key fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl VerificationKey {
    fn new(shape: KeyType, key: DecodingKey, public_bytes: &[u8]) -> VerificationKey {
        VerificationKey {
            names: KeyNames::default(),
            key_type: shape,
            algorithm: None,
            material: KeyMaterial::Public(key),
            public_bytes: public_bytes.to_vec(),
        }
    }

    /// Creates a key from a shared secret, for a symmetric algorithm.
    pub(super) fn shared(secret: &Secret, algorithm: Algorithm) -> VerificationKey {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA512,
        };
        let material = KeyMaterial::Shared(Box::new(hmac::Key::new(hash, secret.expose())));
        VerificationKey {
            names: KeyNames::default(),
            key_type: KeyType::Secret,
            algorithm: Some(algorithm),
            material,
            public_bytes: Vec::new(),
        }
    }

    /// Creates an RSA key from its modulus and exponent, both big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<VerificationKey, String> {
        let (modulus, exponent) = (strip_leading_zeros(modulus), strip_leading_zeros(exponent));
        rsa::check(modulus, exponent)?;
        Ok(VerificationKey::new(KeyType::Rsa, DecodingKey::from_rsa_raw_components(modulus, exponent), modulus))
    }

    /// Creates a P-256 key from an uncompressed point (SEC 1, section 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<VerificationKey, String> {
        let point = check_on_curve(check_uncompressed(point, 65)?, &ECDSA_P256_SHA256_FIXED)?;
        Ok(VerificationKey::new(KeyType::P256, DecodingKey::from_ec_der(point), point))
    }

    /// Creates a P-384 key from an uncompressed point.
    pub(super) fn p384(point: &[u8]) -> Result<VerificationKey, String> {
        let point = check_on_curve(check_uncompressed(point, 97)?, &ECDSA_P384_SHA384_FIXED)?;
        Ok(VerificationKey::new(KeyType::P384, DecodingKey::from_ec_der(point), point))
    }

    /// Creates an Ed25519 key (RFC 8032).
    pub(super) fn ed25519(bytes: &[u8]) -> Result<VerificationKey, String> {
        let key = bytes.try_into().map_err(|_| format!("an Ed25519 key has 32 bytes, not {}", bytes.len()))?;
        ed25519::check(key)?;
        Ok(VerificationKey::new(KeyType::Ed25519, DecodingKey::from_ed_der(key), key))
    }

    pub(super) fn supports(&self, algorithm: Algorithm) -> bool {
        KeyType::for_algorithm(algorithm) == Some(self.key_type) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, token: &UnverifiedToken<'_>, algorithm: Algorithm) -> bool {
        match &self.material {
            KeyMaterial::Shared(key) => crypto::base64url_decode(token.signature())
                .is_some_and(|signature| hmac::verify(key, token.message(), &signature).is_ok()),
            KeyMaterial::Public(key) => {
                jsonwebtoken::crypto::verify(token.signature(), token.message(), key, algorithm).unwrap_or(false)
            }
        }
    }
}

impl KeyType {
    /// Returns the key type for this algorithm.
    pub(super) fn for_algorithm(algorithm: Algorithm) -> Option<KeyType> {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Some(KeyType::Secret),
            Algorithm::ES256 => Some(KeyType::P256),
            Algorithm::ES384 => Some(KeyType::P384),
            Algorithm::EdDSA => Some(KeyType::Ed25519),
            _ => (algorithm.family() == AlgorithmFamily::Rsa).then_some(KeyType::Rsa),
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyType::Secret => "a shared secret",
            KeyType::Rsa => "an RSA key",
            KeyType::P256 => "a P-256 key",
            KeyType::P384 => "a P-384 key",
            KeyType::Ed25519 => "an Ed25519 key",
        })
    }
}

/// Returns the algorithm with exactly this spelling. There is no `none`.
pub fn parse_algorithm(word: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == word).map(|(_, algorithm)| *algorithm)
}

/// Returns whether the algorithm signs and verifies with the same secret.
pub fn is_symmetric(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

/// Joins the names of the algorithms for a message: `RS256 or ES256`.
pub(super) fn join_names(algorithms: &[Algorithm]) -> String {
    let words: Vec<_> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    words.join(" or ")
}

fn check_uncompressed(point: &[u8], length: usize) -> Result<&[u8], String> {
    let whole = point.len() == length && point.first() == Some(&4);
    whole.then_some(point).ok_or_else(|| "the EC key must be an uncompressed point of its curve".to_owned())
}

/// Returns the point, if it is on the curve of the algorithm. Without this check, the library would check it again for
/// each token.
fn check_on_curve<'a>(point: &'a [u8], algorithm: &'static dyn VerificationAlgorithm) -> Result<&'a [u8], String> {
    let parsed = ParsedPublicKey::new(algorithm, point);
    parsed.map(|_| point).map_err(|_| "the EC key is not a point of its curve".to_owned())
}

fn strip_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_what_the_library_calls_it() {
        for (word, algorithm) in ALGORITHMS {
            assert_eq!(format!("{algorithm:?}"), word);
            assert_eq!(super::parse_algorithm(word), Some(algorithm));
            assert_eq!(is_symmetric(algorithm), word.starts_with("HS"));
        }
        for word in ["none", "None", "", "hs256", "HS256 ", "ES512", "ES256K"] {
            assert_eq!(parse_algorithm(word), None, "{word:?}");
        }
    }
}
