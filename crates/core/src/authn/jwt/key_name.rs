//! The names of keys in the headers of tokens and in key sets.

use std::fmt;

use serde_json::{Map, Value};

use crate::authn::error::quote;
use crate::crypto;

/// The name of a key in the header of a token (RFC 7515, sections 4.1.4, 4.1.7 and 4.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyName<'a> {
    /// The key id.
    Id(&'a str),
    /// The SHA-256 hash of the certificate of the key, in base64url.
    Sha256(&'a str),
    /// The SHA-1 hash of the certificate of the key, in base64url.
    Sha1(&'a str),
}

/// Makes a name of a certain kind.
type MakeKeyName = for<'a> fn(&'a str) -> KeyName<'a>;

/// The members of a header that name the key, the most important first.
pub(super) const KEY_NAMES: [(&str, MakeKeyName); 3] = [
    ("kid", |text| KeyName::Id(text)),
    ("x5t#S256", |text| KeyName::Sha256(text)),
    ("x5t", |text| KeyName::Sha1(text)),
];

/// All names of a key of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyNames {
    pub(super) id: Option<String>,
    sha256: Option<String>,
    sha1: Option<String>,
}

impl KeyName<'_> {
    /// Returns the member of the header that holds the name.
    pub(super) fn member(self) -> &'static str {
        match self {
            KeyName::Id(_) => "kid",
            KeyName::Sha256(_) => "x5t#S256",
            KeyName::Sha1(_) => "x5t",
        }
    }

    /// Returns the noun for the name, for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            KeyName::Id(_) => "key id (kid)",
            KeyName::Sha256(_) => "certificate hash (x5t#S256)",
            KeyName::Sha1(_) => "certificate hash (x5t)",
        }
    }
}

impl fmt::Display for KeyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyName::Id(text) | KeyName::Sha256(text) | KeyName::Sha1(text) => f.write_str(&quote(text)),
        }
    }
}

impl KeyNames {
    /// Reads the names of a JWK (RFC 7517, sections 4.5 to 4.9). Hashes that are not in the JWK are those of its first
    /// certificate, if it has one.
    pub(super) fn read(jwk: &Map<String, Value>) -> Result<KeyNames, String> {
        let text = |name: &str| match jwk.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("its `{name}` must be a string")),
        };
        let certificate = jwk.get("x5c").and_then(|chain| crypto::base64_decode(chain.get(0)?.as_str()?));
        let hash = |hash: fn(&[u8]) -> String| certificate.as_deref().map(hash);
        Ok(KeyNames {
            id: text("kid")?,
            sha256: text("x5t#S256")?.or_else(|| hash(|der| crypto::base64url(&crypto::sha256(der)))),
            sha1: text("x5t")?.or_else(|| hash(|der| crypto::base64url(&crypto::sha1(der)))),
        })
    }

    /// Returns the name of the same kind as `name`.
    pub(super) fn same_kind(&self, name: KeyName<'_>) -> Option<&str> {
        match name {
            KeyName::Id(_) => self.id.as_deref(),
            KeyName::Sha256(_) => self.sha256.as_deref(),
            KeyName::Sha1(_) => self.sha1.as_deref(),
        }
    }

    /// Returns whether this is a name of the key.
    pub(super) fn contains(&self, name: KeyName<'_>) -> bool {
        let (KeyName::Id(text) | KeyName::Sha256(text) | KeyName::Sha1(text)) = name;
        self.same_kind(name) == Some(text)
    }
}
