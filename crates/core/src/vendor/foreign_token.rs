//! Tokens of other programs, and the comparison of their claims with the expected claims.

use serde_json::{Map, Value};

use super::variants::SECONDS_LIMIT;
use crate::crypto::base64url_decode;
use crate::model::{Millis, json};

/// A token that another program made: a JSON Web Token, or a token in a form of the vendor.
#[derive(Debug)]
pub struct ForeignToken<'a> {
    /// The whole token.
    pub text: &'a str,
    /// The text under the signature.
    pub message: String,
    /// The signature, in base64url.
    pub signature: String,
    /// The header. It is empty if the form of the token has none.
    pub header: TokenPart,
    /// The claims.
    pub claims: TokenPart,
}

/// The header or the claims of a token.
#[derive(Debug, Default)]
pub struct TokenPart(pub(super) Map<String, Value>);

impl<'a> ForeignToken<'a> {
    /// Splits a token. Returns `None` if it is not a JSON Web Token.
    pub fn parse(text: &'a str) -> Option<ForeignToken<'a>> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let object = |part: &str| json::parse_object(&base64url_decode(part)?).ok().map(TokenPart);
        let (header, claims) = (object(header)?, object(payload)?);
        Some(ForeignToken { text, message: message.to_owned(), signature: signature.to_owned(), header, claims })
    }

    /// Describes what is wrong with the times: `exp`, which is required, and `nbf`, which is optional. If the time of
    /// the signature is known, the expiry must match it exactly.
    pub(super) fn check_times(&self, now: Millis, signed_at: Option<Millis>, lives: u64) -> Vec<String> {
        let expiry = match self.claims.seconds("exp") {
            Err(wrong) => Some(wrong),
            Ok(expiry) if expiry <= now.seconds() => {
                Some(format!("`exp` has passed: {}", Millis::from_seconds(expiry)))
            }
            Ok(expiry) => {
                let right = signed_at.map(|at| at.seconds().saturating_add(lives));
                right.filter(|right| *right != expiry).map(|right| format!("`exp` is {expiry}, not {right}"))
            }
        };
        let start = match self.claims.get("nbf").map(|_| self.claims.seconds("nbf")) {
            Some(Ok(start)) if start > now.seconds() => {
                Some(format!("`nbf` is in the future: {}", Millis::from_seconds(start)))
            }
            Some(Err(wrong)) => Some(wrong),
            _ => None,
        };
        expiry.into_iter().chain(start).collect()
    }
}

impl TokenPart {
    /// Returns a member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the names of the members.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Reads a member that is a time in seconds.
    ///
    /// # Errors
    /// Returns the flaw, as a clause of a sentence.
    pub(super) fn seconds(&self, name: &str) -> Result<u64, String> {
        let value = self.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        match value.as_u64() {
            Some(seconds) if seconds >= SECONDS_LIMIT => {
                Err(format!("`{name}` is in milliseconds, and must be in seconds"))
            }
            Some(seconds) => Ok(seconds),
            None => Err(format!("`{name}` is {}, and must be a whole number of seconds", json_kind(value))),
        }
    }

    /// Describes how a member differs from the expected text.
    pub fn difference(&self, name: &str, right: &str) -> Option<String> {
        match self.get(name) {
            Some(Value::String(found)) if found == right => None,
            None => Some(format!("`{name}` is missing, and must be \"{right}\"")),
            Some(Value::String(found)) => Some(format!("`{name}` is \"{}\", not \"{right}\"", found.escape_debug())),
            Some(other) => Some(format!("`{name}` is {}, and must be a string: \"{right}\"", json_kind(other))),
        }
    }
}

/// Returns the type of a JSON value in words.
pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
