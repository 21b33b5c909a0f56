//! The texts that are signed and answered: byte-exact JSON objects, and the compact form of JSON Web Tokens (RFC 7515).

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::crypto;

/// A JSON object under construction: members in the given order, without white space.
pub(super) struct JsonObject(Vec<u8>);

impl JsonObject {
    pub(super) fn new() -> JsonObject {
        let mut text = Vec::with_capacity(256);
        text.push(b'{');
        JsonObject(text)
    }

    pub(super) fn string(self, name: &str, value: &str) -> JsonObject {
        self.member(name, value)
    }

    pub(super) fn number(self, name: &str, value: u64) -> JsonObject {
        self.member(name, &value)
    }

    pub(super) fn value(self, name: &str, value: &Value) -> JsonObject {
        self.member(name, value)
    }

    fn member(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> JsonObject {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        // Writing strings, numbers and JSON values to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push(b'}');
        // serde_json writes valid UTF-8.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_escapes_only_what_must_be() {
        let text = JsonObject::new().string("b", "q\"\\\n\u{7f}é🚀").number("a", u64::MAX).finish();
        assert_eq!(text, "{\"b\":\"q\\\"\\\\\\n\u{7f}é🚀\",\"a\":18446744073709551615}");
        assert_eq!(JsonObject::new().finish(), "{}");
    }
}
