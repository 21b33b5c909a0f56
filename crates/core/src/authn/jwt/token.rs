//! A parsed token whose content is not trusted yet.

use serde_json::{Map, Value};

use super::key_name::{KEY_NAMES, KeyName};
use crate::authn::error::AuthnError;
use crate::crypto;
use crate::model::json;

/// A compact JWS with a JSON object as payload. It is not verified.
pub(in crate::authn) struct UnverifiedToken<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// The header and payload as they were sent. The signature covers this text.
    message: &'a str,
    /// The signature, in Base64.
    signature: &'a str,
}

impl<'a> UnverifiedToken<'a> {
    /// Parses a token of at most `longest` bytes.
    pub(in crate::authn) fn parse(text: &'a str, longest: usize) -> Result<UnverifiedToken<'a>, AuthnError> {
        if text.len() > longest {
            return Err(AuthnError::invalid(format!("the token is longer than {}", describe_size(longest))));
        }
        let (message, header, payload, signature) =
            split_parts(text).ok_or_else(|| AuthnError::invalid("the token must have three parts, divided by dots"))?;
        let header = decode_object(header, "header")?;
        if header.contains_key("crit") {
            return Err(AuthnError::invalid("the token's header names extensions (crit), and none is supported"));
        }
        Ok(UnverifiedToken { header, claims: decode_object(payload, "payload")?, message, signature })
    }

    /// Returns the issuer that the token names.
    pub(in crate::authn) fn issuer(&self) -> Result<&str, AuthnError> {
        let issuer = self.claims.get("iss").and_then(Value::as_str);
        issuer.ok_or_else(|| AuthnError::invalid("the token must name its issuer (iss), as a string"))
    }

    /// Returns the algorithm that the token names.
    pub(super) fn algorithm(&self) -> Result<&str, AuthnError> {
        let algorithm = self.header.get("alg").and_then(Value::as_str);
        algorithm.ok_or_else(|| AuthnError::invalid("the token must name its algorithm (alg), as a string"))
    }

    /// Returns the media type of the token (`typ`), if there is one.
    pub(super) fn media_type(&self) -> Result<Option<&str>, AuthnError> {
        match self.header.get("typ") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(typ)) => Ok(Some(typ)),
            Some(_) => Err(AuthnError::invalid("the type in the token's header (typ) must be a string")),
        }
    }

    /// Returns the name of the key that signed the token, if there is one: the key id (`kid`), or a hash of the
    /// certificate of the key (`x5t#S256`, `x5t`).
    pub(super) fn key_name(&self) -> Result<Option<KeyName<'_>>, AuthnError> {
        for (member, name) in KEY_NAMES {
            match self.header.get(member) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => return Ok(Some(name(text))),
                Some(_) => {
                    return Err(AuthnError::invalid(format!("the token's {} must be a string", name("").noun())));
                }
            }
        }
        Ok(None)
    }

    /// Returns the signed text.
    pub(super) fn message(&self) -> &'a [u8] {
        self.message.as_bytes()
    }

    /// Returns the signature, in Base64.
    pub(super) fn signature(&self) -> &'a str {
        self.signature
    }

    /// Returns the claims to select an authenticator. They are not verified.
    pub(super) fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the claims. They must be used only after the signature is verified.
    pub(super) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

fn describe_size(bytes: usize) -> String {
    if bytes.is_multiple_of(1024) { format!("{} KiB", bytes / 1024) } else { format!("{bytes} bytes") }
}

/// Returns the signed part, its two halves, and the signature.
fn split_parts(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (message, signature) = text.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    (!payload.contains('.')).then_some((message, header, payload, signature))
}

fn decode_object(part: &str, name: &str) -> Result<Map<String, Value>, AuthnError> {
    let bytes = crypto::base64url_decode(part)
        .ok_or_else(|| AuthnError::invalid(format!("the token's {name} is not base64url without padding")))?;
    json::parse_object(&bytes).map_err(|error| {
        AuthnError::invalid(format!("the token's {name} is not a JSON object, each member once"))
            .with_detail(error.to_string())
    })
}
