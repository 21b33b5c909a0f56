//! The issuers whose tokens are attacked, one of each make, with their keys and those of an attacker.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair,
};
use chat_signer::crypto::{base64, base64url};
use serde_json::{Value, json};

use crate::abuse::token::{self, hmac};
use crate::token_attacks::draft::Draft;

pub(crate) const SECRET: &[u8] = b"NotReal-Narwhal3Cobalt7Sextant9Fjord-Narwhal3Cobalt7Sextant9Fjord";

/// Whose tokens are attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// HS256 with a shared secret.
    Shared,
    /// RS256 with a key in a PEM file.
    Pem,
    /// RS256 with a key of a set in a file, which the next three share.
    Rsa,
    /// ES256.
    Ec,
    /// ES384.
    Ec384,
    /// EdDSA.
    Ed,
    /// RS256 with a key of a set that is fetched.
    Fetched,
}

use Issuer::{Ec, Ec384, Ed, Fetched, Pem, Rsa, Shared};

pub(crate) const ALL: &[Issuer] = &[Shared, Pem, Rsa, Ec, Ec384, Ed, Fetched];
/// One of each type of authenticator.
pub(crate) const TYPES: &[Issuer] = &[Shared, Pem, Ed, Fetched];
/// Those with a public key.
pub(crate) const PUBLIC: &[Issuer] = &[Pem, Rsa, Ec, Ec384, Ed, Fetched];
/// Those whose keys have names.
pub(crate) const NAMED: &[Issuer] = &[Rsa, Ec, Ec384, Ed, Fetched];
pub(crate) const RSAS: &[Issuer] = &[Pem, Rsa, Fetched];

impl Issuer {
    /// What it calls itself. One has a letter that Unicode writes in two ways.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shared => "https://id.münchen.example/",
            Pem => "https://pem.example.com/",
            Rsa | Ec | Ec384 | Ed => "https://id.example.com/",
            Fetched => "https://login.example.com/",
        }
    }

    /// Who its tokens are for, here.
    pub(crate) fn subject(self) -> &'static str {
        match self {
            Shared => "tom",
            Pem => "pem.tom",
            Rsa | Ec | Ec384 | Ed => "set.tom",
            Fetched => "fetched.tom",
        }
    }

    pub(crate) fn algorithm(self) -> &'static str {
        match self {
            Shared => "HS256",
            Pem | Rsa | Fetched => "RS256",
            Ec => "ES256",
            Ec384 => "ES384",
            Ed => "EdDSA",
        }
    }

    /// Its key pair, where it has one.
    pub(crate) fn key(self) -> &'static Key {
        static KEYS: LazyLock<[Key; 6]> = LazyLock::new(|| PUBLIC_KEYS.map(|make| make()));
        &KEYS[PUBLIC.iter().position(|issuer| *issuer == self).expect("it has a public key")]
    }

    /// An attacker's key pair of the same type.
    pub(crate) fn evil(self) -> &'static Key {
        static KEYS: LazyLock<[Key; 6]> = LazyLock::new(|| PUBLIC_KEYS.map(|make| make()));
        &KEYS[PUBLIC.iter().position(|issuer| *issuer == self).expect("it has a public key")]
    }

    /// An honest token.
    pub(crate) fn draft(self) -> Draft {
        let header = json!({"typ": "JWT", "alg": self.algorithm(), "kid": self.kid()});
        let now = token::now();
        let claims = json!({"iss": self.name(), "aud": "chat", "sub": "tom", "iat": now, "exp": now + 6000});
        match self {
            Shared => Draft::new(&header, &claims, hmac(SECRET)),
            _ => Draft::new(&header, &claims, move |message| self.key().sign(message)),
        }
    }

    /// What its key is called.
    pub(crate) fn kid(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// How those of [`PUBLIC`] are made, in that order.
const PUBLIC_KEYS: [fn() -> Key; 6] = [
    Key::rsa,
    Key::rsa,
    || Key::ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
    || Key::ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
    Key::ed,
    Key::rsa,
];

/// A key pair.
pub(crate) struct Key {
    pub(crate) jwk: Value,
    /// The public half as `SubjectPublicKeyInfo`.
    pub(crate) der: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    fn rsa() -> Key {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Key { jwk: json!({"kty": "RSA", "n": base64url(&n), "e": base64url(&e)}), der, pair: Pair::Rsa(pair) }
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> Key {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)});
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Key { jwk, der, pair: Pair::Ec(pair) }
    }

    fn ed() -> Key {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())});
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Key { jwk, der, pair: Pair::Ed(pair) }
    }

    /// Signs as its issuer does.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(_) => self.sign_with(&RSA_PKCS1_SHA256, message),
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs in one of RSA's ways.
    pub(crate) fn sign_with(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let Pair::Rsa(pair) = &self.pair else { unreachable!("it is an RSA key") };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    /// The public half with this name.
    pub(crate) fn named(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = kid.into();
        jwk
    }

    pub(crate) fn pem(&self) -> String {
        let lines: Vec<_> = self.der_lines();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn der_lines(&self) -> Vec<String> {
        base64(&self.der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}
