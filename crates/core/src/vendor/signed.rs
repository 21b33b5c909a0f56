//! The answers.

use std::fmt;

use super::ably::TokenRequest;
use super::leancloud::StringToSign;
use super::object::JsonObject;

/// What was signed, ready to be answered. `Debug` shows only what kind of thing it is.
#[derive(Clone, PartialEq, Eq)]
pub enum SignedResult {
    /// LeanCloud's, for every action.
    Signature {
        /// HMAC-SHA1, in lower-case hex.
        signature: String,
        /// In the app's unit, milliseconds or seconds.
        timestamp: u64,
        /// As signed.
        nonce: String,
        /// What was signed, for clients of LeanCloud's demo servers, which tell it.
        message: StringToSign,
    },
    /// TalkJS's, of a user id.
    UserSignature {
        /// As signed.
        user_id: String,
        /// HMAC-SHA256, in lower-case hex.
        signature: String,
    },
    /// TalkJS's and Ably's JSON Web Tokens.
    Token {
        /// The token.
        token: String,
        /// When it runs out, in Unix seconds.
        expires_at: u64,
    },
    /// Ably's, to be exchanged for a token there.
    TokenRequest(TokenRequest),
}

impl SignedResult {
    /// The answer as JSON.
    pub fn to_json(&self) -> String {
        match self {
            SignedResult::Signature { signature, timestamp, nonce, .. } => JsonObject::new()
                .string("signature", signature)
                .number("timestamp", *timestamp)
                .string("nonce", nonce)
                .finish(),
            SignedResult::UserSignature { user_id, signature } => {
                JsonObject::new().string("user_id", user_id).string("signature", signature).finish()
            }
            SignedResult::Token { token, expires_at } => {
                JsonObject::new().string("token", token).number("expires_at", *expires_at).finish()
            }
            SignedResult::TokenRequest(request) => request.to_json(),
        }
    }

    /// The answer as LeanCloud's demo servers give it: with the text that was signed.
    pub fn to_compat_json(&self) -> String {
        match self {
            SignedResult::Signature { signature, timestamp, nonce, message } => JsonObject::new()
                .string("nonce", nonce)
                .number("timestamp", *timestamp)
                .string("signature", signature)
                .string("msg", message.as_str())
                .finish(),
            _ => self.to_json(),
        }
    }

    /// The token alone, for an answer in plain text.
    pub fn token(&self) -> Option<&str> {
        match self {
            SignedResult::Token { token, .. } => Some(token),
            _ => None,
        }
    }

    /// The nonce, if one was signed.
    pub fn nonce(&self) -> Option<&str> {
        match self {
            SignedResult::Signature { nonce, .. } => Some(nonce),
            SignedResult::TokenRequest(request) => Some(&request.params.nonce),
            SignedResult::UserSignature { .. } | SignedResult::Token { .. } => None,
        }
    }
}

impl fmt::Debug for SignedResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignedResult::Signature { .. } => "Signature(…)",
            SignedResult::UserSignature { .. } => "UserSignature(…)",
            SignedResult::Token { .. } => "Token(…)",
            SignedResult::TokenRequest(_) => "TokenRequest(…)",
        })
    }
}
