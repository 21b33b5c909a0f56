//! A JWK set: public keys as JSON (RFC 7517; their parameters: RFC 7518, section 6, and RFC 8037).

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::key::{Algorithm, KeyType, VerificationKey, parse_algorithm};
use super::key_name::KeyNames;
use crate::authn::error::quote;
use crate::crypto;
use crate::model::json;

/// The maximum number of unusable keys that are listed. A set can hold thousands of keys.
const MAX_LISTED: usize = 32;

type Jwk = Map<String, Value>;

/// A set with unparsed keys, so that an entry with invalid JSON does not make the other keys unreadable.
#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// A key of a set that has a wanted type but is unusable: it is damaged, too weak, or secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// The `kid` of the key, or its place in the set if it has no `kid`.
    label: String,
    /// The `kid` of the key, if it has one.
    pub(super) id: Option<String>,
    reason: String,
}

impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label, self.reason)
    }
}

/// Returns the keys that fit one of these algorithms, without duplicates, and the unusable keys.
pub(super) fn keys(set: &[u8], algorithms: &[Algorithm]) -> Result<(Vec<VerificationKey>, Vec<UnusableKey>), String> {
    let set: JwkSet<'_> = serde_json::from_slice(json::strip_bom(set))
        .map_err(|error| format!("it is not a JWK set, which is a JSON object with a list of `keys`: {error}"))?;
    let (mut keys, mut unusable, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (i, entry) in set.keys.into_iter().enumerate() {
        let (jwk, flaw) = match json::parse_object(entry.get().as_bytes()) {
            Ok(jwk) => (without_nulls(jwk), None),
            Err(error) => (Jwk::new(), Some(format!("it must be an object, each member once: {error}"))),
        };
        match flaw.map_or_else(|| parse_key(&jwk, algorithms), Err) {
            Ok(Some(key)) if seen.insert(Value::Object(jwk.clone()).to_string()) => keys.push(key),
            Err(reason) if unusable.len() < MAX_LISTED => unusable.push(unusable_key(i + 1, &jwk, reason)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok((keys, unusable))
}

/// Describes an unusable key at this place, counted from 1.
fn unusable_key(place: usize, jwk: &Jwk, reason: String) -> UnusableKey {
    let id = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    let label = id.as_deref().map_or_else(|| format!("key {place} of the set"), |id| format!("the key {}", quote(id)));
    UnusableKey { label, id, reason }
}

/// Returns the key, or `None` if it is for another purpose.
fn parse_key(jwk: &Jwk, algorithms: &[Algorithm]) -> Result<Option<VerificationKey>, String> {
    if ["d", "k"].iter().any(|secret| jwk.contains_key(*secret)) {
        return Err("it is private or a shared secret: keep only public keys in it".to_owned());
    }
    let only = match jwk.get("alg") {
        None => None,
        Some(word) => match word.as_str().and_then(parse_algorithm) {
            None => return Ok(None),
            known => known,
        },
    };
    let Some(shape) = key_type(jwk) else {
        return Ok(None);
    };
    let fits = |own: &Algorithm| KeyType::for_algorithm(*own) == Some(shape) && only.is_none_or(|only| only == *own);
    if !may_verify(jwk) || !algorithms.iter().any(fits) {
        return Ok(None);
    }
    let mut key = verification_key(jwk, shape)?;
    (key.names, key.algorithm) = (KeyNames::read(jwk)?, only);
    Ok(Some(key))
}

/// Returns the type of the key, if the type is supported.
fn key_type(jwk: &Jwk) -> Option<KeyType> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    match (text("kty")?, text("crv")) {
        ("RSA", _) => Some(KeyType::Rsa),
        ("EC", Some("P-256")) => Some(KeyType::P256),
        ("EC", Some("P-384")) => Some(KeyType::P384),
        ("OKP", Some("Ed25519")) => Some(KeyType::Ed25519),
        _ => None,
    }
}

/// Returns whether the key may verify the signatures of tokens. A key without such metadata may. Bundles of SPIFFE mark
/// these keys as `jwt-svid` (SPIFFE trust domain and bundle, section 4.2.2).
fn may_verify(jwk: &Jwk) -> bool {
    let signs = jwk.get("use").is_none_or(|purpose| purpose == "sig" || purpose == "jwt-svid");
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    signs && verifies
}

/// Removes members without a value. Some programs write null for each member that a key does not have.
fn without_nulls(mut jwk: Jwk) -> Jwk {
    jwk.retain(|_, value| !value.is_null());
    jwk
}

fn verification_key(jwk: &Jwk, shape: KeyType) -> Result<VerificationKey, String> {
    match shape {
        KeyType::Rsa => VerificationKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
        KeyType::P256 => VerificationKey::p256(&point(jwk, 32)?),
        KeyType::P384 => VerificationKey::p384(&point(jwk, 48)?),
        KeyType::Ed25519 => VerificationKey::ed25519(&bytes(jwk, "x")?),
        KeyType::Secret => Err("it is a shared secret".to_owned()),
    }
}

/// Returns the point in the uncompressed form of SEC 1: the byte 4, x, y. Each coordinate has the length of the curve
/// (RFC 7518, section 6.2.1.2).
fn point(jwk: &Jwk, length: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(format!("its `x` and `y` must have {length} bytes each"));
    }
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}

fn bytes(jwk: &Jwk, name: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(name).and_then(Value::as_str);
    text.and_then(crypto::base64url_decode).ok_or_else(|| format!("its `{name}` must be base64url without padding"))
}
