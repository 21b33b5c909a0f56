//! Callers' tokens, well made and not.

use chat_signer::crypto::base64url;
use chat_signer::crypto::mac::HmacSha256;
use serde_json::{Value, json};

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

/// A token of this header and these claims.
pub fn sign(header: &Value, claims: &Value, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = base64url(&signature(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Signs with HMAC-SHA256.
pub fn hmac(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let key = HmacSha256::new(secret);
    move |message| key.mac(message).to_vec()
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
