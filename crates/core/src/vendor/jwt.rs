//! The compact form of JSON Web Tokens (RFC 7515).

use std::fmt;

use crate::crypto;

/// The text under a token's signature: base64url header, `.`, base64url payload (RFC 7515, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningInput(String);

impl SigningInput {
    /// Encodes these JSON texts exactly as they are.
    pub fn new(header: &str, payload: &str) -> SigningInput {
        SigningInput(format!("{}.{}", crypto::base64url(header.as_bytes()), crypto::base64url(payload.as_bytes())))
    }

    /// Returns the text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the token with this MAC as its signature.
    #[must_use]
    pub fn token(&self, mac: &[u8]) -> String {
        format!("{}.{}", self.0, crypto::base64url(mac))
    }
}

impl fmt::Display for SigningInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
