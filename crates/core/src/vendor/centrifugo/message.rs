//! The texts that are signed for Centrifugo.
//!
//! One key signs both kinds of tokens. Centrifugo tells them apart by `channel`: it refuses a connection token with this
//! claim, and a subscription token without it.

use serde_json::{Map, Value};

use crate::crypto::signing_key::TokenAlgorithm;
use crate::vendor::signing_input::{JsonObject, SigningInput};

/// The claims of a token. A connection token has no other claims than these: `channels` and `subs` would subscribe the
/// user, and `expire_at` would make a connection that never expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims<'a> {
    /// The user. An empty text would be an anonymous user.
    pub user: &'a str,
    /// The channel, for a subscription token.
    pub channel: Option<&'a str>,
    /// The time of issue in Unix seconds.
    pub issued_at: u64,
    /// The expiry time in Unix seconds. Without it, a connection never expires.
    pub expires_at: u64,
    /// What other users see. If it is empty, there is no claim `info`.
    pub info: &'a Map<String, Value>,
}

impl TokenClaims<'_> {
    /// Returns the text to sign with this algorithm.
    pub fn signing_input(&self, algorithm: TokenAlgorithm) -> SigningInput {
        let mut payload = JsonObject::new().string("sub", self.user);
        if let Some(channel) = self.channel {
            payload = payload.string("channel", channel);
        }
        payload = payload.number("exp", self.expires_at).number("iat", self.issued_at);
        if !self.info.is_empty() {
            payload = payload.object("info", self.info);
        }
        let header = JsonObject::new().string("alg", algorithm.as_str()).string("typ", "JWT").finish();
        SigningInput::new(&header, &payload.finish())
    }
}
