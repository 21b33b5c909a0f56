//! Tokens of the callers in the configuration of most tests.

use serde_json::json;

use crate::configuration::CALLER_SECRET;
use crate::now;

/// Returns a token of this user.
pub fn token(user: &str) -> String {
    token_by(user, CALLER_SECRET)
}

/// Returns a token of this user, signed with this secret.
pub fn token_by(user: &str, secret: &str) -> String {
    let now = now().seconds();
    let claims = json!({"iss": "https://id.example.com/", "aud": "chat", "sub": user, "iat": now, "exp": now + 300});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}
