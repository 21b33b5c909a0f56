//! Callers' tokens, well made and not.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use chat_signer::crypto::mac::HmacSha256;
use chat_signer::crypto::{base64, base64url};
use serde_json::{Value, json};

/// The key pair of an issuer that signs with RS256.
pub static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// Now, in Unix seconds.
pub fn now() -> u64 {
    chat_signer::clock::now().seconds()
}

/// These claims, good for five minutes from now, with `more` put in; a null takes a claim out.
pub fn claims(issuer: &str, audience: &str, subject: &str, more: &Value) -> Value {
    let claims = json!({"iss": issuer, "aud": audience, "sub": subject, "iat": now(), "exp": now() + 300});
    merged(claims, more)
}

/// A token signed with HS256.
pub fn hs256(secret: &[u8], claims: &Value) -> String {
    sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, hmac(secret))
}

/// A token signed with RS256 by [`RSA`].
pub fn rs256(claims: &Value) -> String {
    sign(&json!({"alg": "RS256"}), claims, rsa)
}

/// A token of this header and these claims.
pub fn sign(header: &Value, claims: &Value, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
    sign_text(&header.to_string(), &claims.to_string(), signature)
}

/// A token of this header and payload, JSON or not.
pub fn sign_text(header: &str, payload: &str, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
    let signature = base64url(&signature(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Signs with HMAC-SHA256.
pub fn hmac(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = HmacSha256::new(secret);
    move |message| key.mac(message).to_vec()
}

/// Signs with RSASSA-PKCS1-v1_5 and SHA-256 by [`RSA`].
pub fn rsa(message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; RSA.public_modulus_len()];
    RSA.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

/// The public half of [`RSA`].
pub fn pem() -> String {
    let der = base64(RSA.public_key().as_der().unwrap().as_ref());
    let mut text = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in der.as_bytes().chunks(64) {
        writeln!(text, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    text + "-----END PUBLIC KEY-----\n"
}

fn merged(mut claims: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    if let Value::Object(claims) = &mut claims {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}
