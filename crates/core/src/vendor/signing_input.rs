//! The parts of signed texts: nonces, byte-exact JSON objects, and the compact form of JSON Web Tokens (RFC 7515).

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

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

    pub(super) fn strings(self, name: &str, values: &[&str]) -> JsonObject {
        self.member(name, values)
    }

    pub(super) fn object(self, name: &str, value: &Map<String, Value>) -> JsonObject {
        self.member(name, value)
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
        // Base64 has four characters for three bytes, and the MAC follows.
        let mut text = String::with_capacity((header.len() + payload.len()) / 3 * 4 + 64);
        crypto::push_base64url(&mut text, header.as_bytes());
        text.push('.');
        crypto::push_base64url(&mut text, payload.as_bytes());
        SigningInput(text)
    }

    /// Returns the text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the token with this MAC as its signature.
    #[must_use]
    pub fn token(&self, mac: &[u8]) -> String {
        let mut token = String::with_capacity(self.0.len() + 1 + mac.len().div_ceil(3) * 4);
        token.push_str(&self.0);
        token.push('.');
        crypto::push_base64url(&mut token, mac);
        token
    }
}

impl fmt::Display for SigningInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that makes each signature unique.
///
/// A nonce starts with a letter, so it is never a timestamp. It holds a digit, so it is never one of LeanCloud's action
/// words. It holds no `:`, which would shift the fields of the signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes a nonce of 34 characters that holds all of these 128 random bits.
    pub fn from_entropy(entropy: [u8; 16]) -> Nonce {
        let mut nonce = String::with_capacity(2 + 2 * entropy.len());
        nonce.push_str("n1");
        crypto::push_hex(&mut nonce, &entropy);
        Nonce(nonce)
    }

    /// Reads a nonce that an operator chose: 2 to 128 visible ASCII characters without `:`. The first must be a letter,
    /// and at least one must be a digit.
    ///
    /// # Errors
    /// Returns the flaw, in words that complete "the nonce …".
    pub fn parse(text: &str) -> Result<Nonce, String> {
        let wrong = if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            "must start with a letter from a to z"
        } else if !text.bytes().any(|byte| byte.is_ascii_digit()) {
            "must hold a digit"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            "must hold only visible ASCII characters, and no `:`"
        } else if text.len() > 128 {
            "must have at most 128 characters"
        } else {
            return Ok(Nonce(text.to_owned()));
        };
        Err(wrong.to_owned())
    }

    /// Returns the nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keeps_order_and_escapes_only_what_must_be() {
        let text = JsonObject::new().string("b", "q\"\\\n\u{7f}é🚀").number("a", u64::MAX).finish();
        assert_eq!(text, "{\"b\":\"q\\\"\\\\\\n\u{7f}é🚀\",\"a\":18446744073709551615}");
        assert_eq!(JsonObject::new().finish(), "{}");
    }

    #[test]
    fn keeps_every_random_bit_and_the_rules() {
        for entropy in [[0; 16], [0xff; 16], [0xab; 16]] {
            let nonce = Nonce::from_entropy(entropy);
            assert_eq!(Nonce::parse(nonce.as_str()), Ok(nonce.clone()));
            assert!(nonce.as_str().len() >= 16);
            assert!(nonce.as_str().ends_with(&crypto::hex(&entropy)));
        }
    }

    #[test]
    fn refuses_what_could_be_read_as_something_else() {
        for good in ["a1", "akywke3f28", "A/b+c=9"] {
            assert_eq!(Nonce::parse(good).unwrap().as_str(), good);
        }
        let long = format!("a1{}", "x".repeat(127));
        for bad in ["", "1a", "12345", "invite", "é1", "a1:b", "a1 b", "a1\n", "a1é", "_a1", &long] {
            assert!(Nonce::parse(bad).is_err(), "{bad:?}");
        }
    }
}
