//! Helpers for all tests of this module: generated keys, tokens signed with them, and an authenticator to modify.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

mod claims;
mod credentials;
mod introspection;
mod keys;
mod tokens;
mod verified;
mod weak_keys;

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, signature::RsaEncoding};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::crypto;
use crate::model::{Caller, CallerKind, Millis, Role, RoleHierarchy};
use crate::secret::Secret;

const NOW: Millis = Millis(1_800_000_000_000);
const ISSUER: &str = "https://id.example.com/";
/// This secret is long enough for every algorithm.
const SECRET: &[u8] = b"a-secret-that-is-only-for-tests-and-long-enough-for-HS512-as-well";

static SHARED: LazyLock<Signer> = LazyLock::new(|| Signer::shared(SECRET));
static RSA: LazyLock<Signer> = LazyLock::new(Signer::rsa);
static OTHER_RSA: LazyLock<Signer> = LazyLock::new(Signer::rsa);
static P256: LazyLock<Signer> = LazyLock::new(|| Signer::ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"));
static P384: LazyLock<Signer> = LazyLock::new(|| Signer::ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"));
static ED25519: LazyLock<Signer> = LazyLock::new(Signer::ed25519);

/// The key of an issuer: the public key in both formats, and the signing function.
struct Signer {
    der: Vec<u8>,
    jwk: Value,
    sign: Box<Sign>,
}

type Sign = dyn Fn(Algorithm, &[u8]) -> Vec<u8> + Send + Sync;

impl Signer {
    fn shared(secret: &[u8]) -> Signer {
        let secret = secret.to_vec();
        let sign = move |algorithm, message: &[u8]| {
            let hash = match algorithm {
                Algorithm::HS384 => hmac::HMAC_SHA384,
                Algorithm::HS512 => hmac::HMAC_SHA512,
                _ => hmac::HMAC_SHA256,
            };
            hmac::sign(&hmac::Key::new(hash, &secret), message).as_ref().to_vec()
        };
        Signer { der: Vec::new(), jwk: Value::Null, sign: Box::new(sign) }
    }

    fn rsa() -> Signer {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        let jwk = json!({"kty": "RSA", "n": crypto::base64url(&public.n), "e": crypto::base64url(&public.e)});
        let sign = move |algorithm, message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(rsa_encoding(algorithm), &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        Signer { der, jwk, sign: Box::new(sign) }
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> Signer {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": crypto::base64url(x), "y": crypto::base64url(y)});
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        let sign = move |_, message: &[u8]| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
        Signer { der, jwk, sign: Box::new(sign) }
    }

    fn ed25519() -> Signer {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": crypto::base64url(pair.public_key().as_ref())});
        let der = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Signer { der, jwk, sign: Box::new(move |_, message: &[u8]| pair.sign(message).as_ref().to_vec()) }
    }

    /// Returns the key that signs with this algorithm.
    fn for_algorithm(algorithm: Algorithm) -> &'static Signer {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => &SHARED,
            Algorithm::ES256 => &P256,
            Algorithm::ES384 => &P384,
            Algorithm::EdDSA => &ED25519,
            _ => &RSA,
        }
    }

    fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }

    /// Returns the public key as a JWK with further members.
    fn jwk(&self, more: Value) -> Value {
        merge(self.jwk.clone(), more)
    }

    fn token(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        self.sign_text(algorithm, &header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", crypto::base64url(header.as_bytes()), crypto::base64url(claims.as_bytes()));
        let signature = (self.sign)(algorithm, message.as_bytes());
        format!("{message}.{}", crypto::base64url(&signature))
    }
}

fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PKCS1_SHA256,
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in crypto::base64(der).as_bytes().chunks(64) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    writeln!(text, "-----END {label}-----").unwrap();
    text
}

fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Returns `base` with the members of `changes`. A member with the value `"(none)"` is removed.
fn merge(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { unreachable!("changes are an object") };
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes {
        if value == "(none)" {
            members.remove(&name)
        } else {
            members.insert(name, value)
        };
    }
    base
}

fn header(algorithm: Algorithm) -> Value {
    json!({"typ": "JWT", "alg": format!("{algorithm:?}")})
}

/// Returns claims that are valid at [`NOW`], with these changes.
fn claims(changes: Value) -> Value {
    merge(json!({"iss": ISSUER, "aud": "chat", "sub": "tom", "exp": NOW.seconds() + 60}), changes)
}

/// Returns a token signed with the shared secret, with these changes to its claims.
fn token(changes: Value) -> String {
    SHARED.token(Algorithm::HS256, &header(Algorithm::HS256), &claims(changes))
}

/// Returns an authenticator that accepts the tokens of [`token`].
fn jwt() -> Jwt {
    let algorithms = vec![Algorithm::HS256];
    let keys = VerificationKeys::from_secrets(&[Secret::new(SECRET.to_vec())], &algorithms).unwrap();
    jwt_with(keys, algorithms)
}

fn jwt_with(keys: VerificationKeys, algorithms: Vec<Algorithm>) -> Jwt {
    Jwt {
        common: Common { name: "app-users".into(), kind: CallerKind::User, apps: None },
        issuer: Issuer::Exact(ISSUER.to_owned()),
        audience: audience(&["chat"]),
        algorithms,
        keys: KeySource::Fixed(keys),
        shared_secrets: None,
        identity: identity(),
        leeway_seconds: 30,
        accepted_types: Vec::new(),
        rules: TokenRules::default(),
    }
}

fn audience(accepted: &[&str]) -> Audience {
    Audience { claim: AudienceClaim::Aud, accepted: accepted.iter().map(ToString::to_string).collect() }
}

fn identity() -> IdentityMapping {
    IdentityMapping {
        subject: vec!["sub".to_owned()],
        numeric_subject: false,
        subject_prefix: SubjectPrefix::default(),
        required: Vec::new(),
        roles: roles(),
    }
}

fn roles() -> RoleMapping {
    RoleMapping {
        roles: Some("roles".to_owned()),
        bindings: Some("/chat/bindings".to_owned()),
        role_hierarchy: RoleHierarchy::new(["guest", "member", "moderator", "owner"].map(str::to_owned)),
        max_role: Some(Role(2)),
    }
}

/// Returns an authenticator whose callers are named by this claim.
fn jwt_by(subject: &str) -> Jwt {
    Jwt { identity: IdentityMapping { subject: vec![subject.to_owned()], ..identity() }, ..jwt() }
}

/// Returns an authenticator with this prefix.
fn jwt_prefixed(prefix: &str) -> Jwt {
    Jwt { identity: IdentityMapping { subject_prefix: SubjectPrefix::parse(prefix).unwrap(), ..identity() }, ..jwt() }
}

/// Returns an authenticator with these roles.
fn jwt_with_roles(roles: RoleMapping) -> Jwt {
    Jwt { identity: IdentityMapping { roles, ..identity() }, ..jwt() }
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// Identifies the caller of this token with only this authenticator.
fn identify_token(jwt: Jwt, token: &str) -> Result<Caller, AuthnError> {
    let authenticators = Authenticators::new(vec![Authenticator::Jwt(jwt)]);
    let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
    authenticators
        .identify(&RequestCredentials::from_headers(&headers), "ably", NOW)
        .map(Arc::unwrap_or_clone)
        .map_err(IdentifyError::into_refusal)
}

/// Returns the public error for this token.
fn error_message(jwt: Jwt, token: &str) -> String {
    identify_token(jwt, token).unwrap_err().public_message()
}
