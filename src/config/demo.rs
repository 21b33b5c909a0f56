//! The secrets of the demonstration, and tokens for its callers. The secrets are public, so the program knows them by
//! value: a configuration that trusts them must be a demonstration and nothing else.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use crate::authn::{Algorithm, AudienceClaim, Jwt, is_symmetric};
use crate::crypto::mac::KeyBlocks;
use crate::secret::Secret;

/// The secret that signs the tokens of the demonstration's callers.
const CALLER_SECRET: &[u8] = b"demonstration-only-caller-secret-not-for-production-use-0000000000";

/// All secrets of the demonstration. For the Ably key, also the part that signs.
const SECRETS: [&[u8]; 12] = [
    CALLER_SECRET,
    b"demonstration-only-leancloud-master-key",
    b"demonstration-only-talkjs-secret-key",
    b"demoapp.demokey:demonstration-only-ably-key-secret",
    b"demonstration-only-ably-key-secret",
    b"demonstration-only-stream-secret",
    b"demonstration-only-centrifugo-secret",
    b"demonstration-only-livekit-secret",
    b"demonstration-only-pusher-secret",
    b"demonstration-only-tencent-secret",
    b"de3057a7100de3057a7100de3057a710",
    b"demonstration-only-jwt-secret-not-for-production",
];

/// The API key of the demonstration.
const API_KEY: &str = "demo-service-key-not-for-production";

/// The SHA-256 of the API key in hex, as in the configuration.
const API_KEY_SHA256: &str = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";

/// Returns whether this is the demonstration's caller secret, or makes the same signatures.
pub(super) fn is_demo_caller_secret(secret: &Secret) -> bool {
    KeyBlocks::new(secret.expose()).overlaps(&KeyBlocks::new(CALLER_SECRET))
}

/// Returns whether this is a secret of the demonstration, or makes the same signatures. An Ably key is compared as a
/// whole and by its secret part.
pub(super) fn is_demo_secret(bytes: &[u8]) -> bool {
    let behind_name = bytes.iter().position(|byte| *byte == b':').and_then(|colon| bytes.get(colon + 1..));
    let blocks: Vec<_> = std::iter::once(bytes).chain(behind_name).map(KeyBlocks::new).collect();
    let is_one = |secret: &[u8]| blocks.iter().any(|blocks| blocks.overlaps(&KeyBlocks::new(secret)));
    SECRETS.into_iter().any(is_one)
}

/// Returns whether this is the hash of the demonstration's API key.
pub(super) fn is_demo_api_key(sha256: &[u8; 32]) -> bool {
    hex::encode(sha256) == API_KEY_SHA256
}

/// Returns the API key with this hash, if it is the demonstration's.
pub fn demo_api_key(sha256: &[u8; 32]) -> Option<&'static str> {
    is_demo_api_key(sha256).then_some(API_KEY)
}

/// The data to make a token that the demonstration's authenticator accepts.
#[derive(Clone, Debug)]
pub struct DemoCaller {
    /// The value of `iss`.
    pub issuer: String,
    /// The value of `aud`.
    pub audience: String,
    /// The signature algorithm.
    pub algorithm: Algorithm,
    /// The claim that names the caller.
    pub subject: String,
    /// The claim with the roles of the caller, if the authenticator reads roles.
    pub roles: Option<String>,
    /// The secret of the demonstration, which is public.
    pub secret: Secret,
}

/// The reason why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoTokenError {
    /// There are roles, but the authenticator reads no roles.
    #[error("the authenticator has no `roles`, so it reads no roles from tokens")]
    NoRoles,
    /// The token could not be signed.
    #[error("the token can't be signed: {0}")]
    Unsigned(#[from] jsonwebtoken::errors::Error),
}

impl DemoCaller {
    /// Returns the data for this authenticator, which trusts `secret`. Returns `None` if its tokens need other claims.
    pub(super) fn from_jwt(jwt: &Jwt, secret: Secret) -> Option<DemoCaller> {
        if jwt.audience.claim != AudienceClaim::Aud || !jwt.identity.required.is_empty() {
            return None;
        }
        Some(DemoCaller {
            issuer: jwt.issuer.exact()?.to_owned(),
            audience: jwt.audience.accepted.first()?.clone(),
            algorithm: *jwt.algorithms.iter().find(|algorithm| is_symmetric(**algorithm))?,
            subject: jwt.identity.subject.first()?.clone(),
            roles: jwt.identity.roles.roles.clone(),
            secret,
        })
    }

    /// Makes a token for this subject with these roles in all conversations, valid from `issued_at` to `expires_at`,
    /// both in Unix seconds.
    ///
    /// # Errors
    /// Returns an error if there are roles and the authenticator reads none, or if signing fails.
    pub fn token(
        &self,
        subject: &str,
        roles: &[String],
        issued_at: u64,
        expires_at: u64,
    ) -> Result<String, DemoTokenError> {
        let mut claims = self.claims(subject, roles)?;
        claims.insert("iat".to_owned(), json!(issued_at));
        claims.insert("exp".to_owned(), json!(expires_at));
        Ok(encode(&Header::new(self.algorithm), &claims, &EncodingKey::from_secret(self.secret.expose()))?)
    }

    fn claims(&self, subject: &str, roles: &[String]) -> Result<Map<String, Value>, DemoTokenError> {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("aud".to_owned(), json!(self.audience));
        put(&mut claims, &self.subject, json!(subject));
        if !roles.is_empty() {
            put(&mut claims, self.roles.as_ref().ok_or(DemoTokenError::NoRoles)?, json!(roles));
        }
        Ok(claims)
    }
}

/// Inserts a claim at a literal name or a JSON pointer.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    let Some(pointer) = name.strip_prefix('/') else {
        claims.insert(name.to_owned(), value);
        return;
    };
    let segment = |text: &str| text.replace("~1", "/").replace("~0", "~");
    match pointer.split_once('/') {
        None => _ = claims.insert(segment(pointer), value),
        Some((first, _)) => {
            let inner = claims.entry(segment(first)).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, &pointer[first.len()..], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim;

    #[test]
    fn claims_are_put_where_they_are_read() {
        for name in ["sub", "/sub", "/user/id", "/a~1b/c~0d/0", "https://claims.example/sub"] {
            let mut claims = Map::new();
            put(&mut claims, name, json!("tom"));
            assert_eq!(claim(&claims, name), Some(&json!("tom")), "{name}");
        }
    }
}
