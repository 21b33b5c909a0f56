//! Keys that sign JSON Web Tokens (RFC 7518).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use super::constant_time_eq;
use super::mac::HmacSha256;

/// An algorithm that signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA with SHA-256 (PKCS #1 v1.5).
    Rs256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl TokenAlgorithm {
    /// Every algorithm.
    pub const ALL: [TokenAlgorithm; 4] =
        [TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa];

    /// Returns the name in the header of a token.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenAlgorithm::Hs256 => "HS256",
            TokenAlgorithm::Rs256 => "RS256",
            TokenAlgorithm::Es256 => "ES256",
            TokenAlgorithm::EdDsa => "EdDSA",
        }
    }
}

/// A key that signs tokens.
pub struct SigningKey(Kind);

enum Kind {
    Hmac(HmacSha256),
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Sets up a shared secret.
    pub fn from_secret(secret: &[u8]) -> SigningKey {
        SigningKey(Kind::Hmac(HmacSha256::new(secret)))
    }

    /// Reads a private key in PKCS #8 (RFC 5208). Returns `None` if it is not a key for this algorithm, if an RSA key has
    /// fewer than 2048 bits, or if the algorithm has no private keys.
    pub fn from_pkcs8(algorithm: TokenAlgorithm, der: &[u8]) -> Option<SigningKey> {
        let kind = match algorithm {
            TokenAlgorithm::Hs256 => return None,
            TokenAlgorithm::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(der).ok()?;
                (key.public_modulus_len() >= 256).then_some(Kind::Rsa(key))?
            }
            TokenAlgorithm::Es256 => Kind::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?),
            TokenAlgorithm::EdDsa => Kind::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?),
        };
        Some(SigningKey(kind))
    }

    /// Signs the message. An ECDSA signature contains a random number, which the library takes from its own generator.
    /// Returns `None` if the generator fails.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Kind::Hmac(key) => Some(key.mac(message).to_vec()),
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
            Kind::Ecdsa(key) => Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Kind::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }

    /// Returns whether this key made the signature of the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.0 {
            Kind::Hmac(key) => constant_time_eq(&key.mac(message), signature),
            Kind::Rsa(key) => check(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()),
            Kind::Ecdsa(key) => check(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref()),
            Kind::Ed25519(key) => check(&ED25519, key.public_key().as_ref()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;

    use super::*;

    /// A new private key in PKCS #8.
    fn generate(algorithm: TokenAlgorithm) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            TokenAlgorithm::Hs256 => Vec::new(),
            TokenAlgorithm::Rs256 => {
                let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref().to_vec()
            }
            TokenAlgorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref().to_vec()
            }
            TokenAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec(),
        }
    }

    #[test]
    fn each_key_verifies_its_own_signatures_and_fits_its_algorithm_only() {
        for algorithm in TokenAlgorithm::ALL.into_iter().filter(|algorithm| *algorithm != TokenAlgorithm::Hs256) {
            let der = generate(algorithm);
            let key = SigningKey::from_pkcs8(algorithm, &der).unwrap();
            let signature = key.sign(b"message").unwrap();
            assert!(key.verifies(b"message", &signature) && !key.verifies(b"other", &signature), "{algorithm:?}");
            assert!(!SigningKey::from_secret(b"secret").verifies(b"message", &signature));
            for other in TokenAlgorithm::ALL {
                assert_eq!(
                    SigningKey::from_pkcs8(other, &der).is_some(),
                    other == algorithm,
                    "{algorithm:?} {other:?}"
                );
            }
            assert_eq!(format!("{key:?}"), "SigningKey(…)");
        }
        let key = SigningKey::from_secret(b"secret");
        assert!(key.verifies(b"message", &key.sign(b"message").unwrap()) && !key.verifies(b"message", b""));
    }
}
