//! Explains a token of TalkJS or Ably by the usual mistakes in its key, header and claims.

use serde_json::{Map, Value};

use super::finding::VerifyResult;
use super::keys::CandidateKeys;
use super::search::{CandidateMessage, MacAlgorithm, MacEncoding, SECONDS_LIMIT, SignatureStyle, search};
use crate::crypto::base64url_decode;
use crate::model::{Millis, SigningRequest, json};
use crate::vendor::ably::Capability;
use crate::vendor::{App, SigningJob, ably, talkjs};

const STYLE: SignatureStyle =
    SignatureStyle { algorithm: MacAlgorithm::HmacSha256, encoding: MacEncoding::OtherBase64, tried: "" };

/// The longest lifetime that Ably accepts, in seconds.
const MAX_ABLY_TTL_SECONDS: u64 = 24 * 60 * 60;

type TokenClaims = Map<String, Value>;

/// The expected token.
pub(super) struct ExpectedToken<'a> {
    pub(super) app: &'a App,
    pub(super) signing_request: &'a SigningRequest,
    pub(super) signing_job: &'a SigningJob,
    /// The time of the signature, if it was given.
    pub(super) signed_at: Option<Millis>,
    pub(super) now: Millis,
}

/// Compares a token with the expected token. If the time of the signature was given, the expiry must match it exactly.
pub(super) fn find(token: &str, wanted: &ExpectedToken<'_>, keys: &CandidateKeys) -> VerifyResult {
    let mut finding = VerifyResult::default();
    let text = token.trim();
    if text != token {
        finding
            .differences
            .push("there is white space around it, and clients keep it as a part of the token".to_owned());
    }
    let Some((message, header, claims)) = parts(text) else {
        finding
            .differences
            .push("it is not a JSON Web Token: three parts in base64url, the first two with JSON objects".to_owned());
        return finding;
    };
    let signature = text.get(message.len() + 1..).unwrap_or_default();
    finding.key = find_signing_key(message, signature, keys, &mut finding.differences);
    finding.differences.extend(wrong_header(&header, finding.key, wanted.app, keys));
    finding.differences.extend(match wanted.signing_job {
        SigningJob::Ably(_) => ably_claims(&claims, text, wanted),
        _ => talkjs_claims(&claims, wanted),
    });
    finding
}

/// Splits a token into the signed text, the header and the claims.
fn parts(token: &str) -> Option<(&str, TokenClaims, TokenClaims)> {
    let (message, _) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    let object = |part: &str| json::parse_object(&base64url_decode(part)?).ok();
    Some((message, object(header)?, object(payload)?))
}

/// Returns the index of the app's key that signed the token. Adds mistakes to `differences`.
fn find_signing_key(
    message: &str,
    signature: &str,
    keys: &CandidateKeys,
    differences: &mut Vec<String>,
) -> Option<usize> {
    let message = CandidateMessage { changes: Vec::new(), text: message.to_owned() };
    let Some(found) = search(signature, STYLE, &[message], &keys.all()) else {
        differences.push("no key of this configuration made its signature with HMAC-SHA256".to_owned());
        return None;
    };
    differences.extend(found.changes);
    found.key
}

fn wrong_header(header: &TokenClaims, key: Option<usize>, app: &App, keys: &CandidateKeys) -> Vec<String> {
    let alg = describe_difference(header, "alg", "HS256");
    let App::Ably(_) = app else { return alg.into_iter().collect() };
    let names: Vec<String> = keys.each().map(|(name, _)| name).collect();
    let kid = match key.and_then(|place| names.get(place)).or(names.first()) {
        Some(name) => describe_difference(header, "kid", name),
        None => None,
    };
    alg.into_iter().chain(kid).collect()
}

fn talkjs_claims(claims: &TokenClaims, wanted: &ExpectedToken<'_>) -> Vec<String> {
    let App::TalkJs(app) = wanted.app else { return Vec::new() };
    let (kind, lives) = match wanted.signing_job {
        SigningJob::TalkJs(talkjs::SigningJob::Token { ttl_seconds }) => ("user", *ttl_seconds),
        _ => ("app", talkjs::APP_TOKEN_SECONDS),
    };
    let subject = match kind {
        "user" => describe_difference(claims, "sub", &wanted.signing_request.client),
        _ => claims.contains_key("sub").then(|| "`sub` is present, but a server's token has none".to_owned()),
    };
    let expiry = check_times(claims, wanted, lives);
    [describe_difference(claims, "tokenType", kind), describe_difference(claims, "iss", app.app_id()), subject]
        .into_iter()
        .flatten()
        .chain(expiry)
        .collect()
}

fn ably_claims(claims: &TokenClaims, token: &str, wanted: &ExpectedToken<'_>) -> Vec<String> {
    let lives = match wanted.signing_job {
        SigningJob::Ably(ably::SigningJob::Token { ttl_ms, .. }) => (ttl_ms / 1000).max(1),
        _ => 0,
    };
    let issued = seconds(claims, "iat");
    let (issued, wrong) = match issued {
        Ok(issued) => (Some(issued), None),
        Err(wrong) => (None, Some(wrong)),
    };
    let expiry = seconds(claims, "exp").ok();
    let too_long = issued.zip(expiry).filter(|(issued, expiry)| expiry.saturating_sub(*issued) > MAX_ABLY_TTL_SECONDS);
    let too_long = too_long.map(|_| "it is valid for more than the 24 hours that Ably accepts".to_owned());
    let early = issued.filter(|issued| *issued > wanted.now.seconds());
    let early = early.map(|issued| format!("`iat` is in the future: {}", Millis::from_seconds(issued)));
    let too_large =
        (token.len() > ably::MAX_TOKEN_BYTES).then(|| format!("it has {} bytes; keep it under 6 KB", token.len()));
    let unknown = claims.keys().filter(|name| name.starts_with("x-ably-") && !ABLY_CLAIMS.contains(&name.as_str()));
    let unknown = unknown.map(|name| format!("`{name}` is not a claim of Ably, but only those may start with x-ably-"));
    let all = [
        wrong,
        early,
        too_long,
        too_large,
        capability(claims, wanted),
        describe_difference(claims, "x-ably-clientId", &wanted.signing_request.client),
    ];
    all.into_iter().flatten().chain(unknown).chain(check_times(claims, wanted, lives)).collect()
}

const ABLY_CLAIMS: [&str; 3] = ["x-ably-capability", "x-ably-clientId", "x-ably-revocation-key"];

/// Describes how the capability of the token differs from the expected one. Order and white space do not matter.
fn capability(claims: &TokenClaims, wanted: &ExpectedToken<'_>) -> Option<String> {
    const NAME: &str = "x-ably-capability";
    let right = Capability::from_grants(&wanted.signing_request.requested_grants);
    let text = match claims.get(NAME) {
        None => return Some(format!("`{NAME}` is missing, so the token can do everything that the key can do")),
        Some(Value::String(text)) => text,
        Some(other) => {
            return Some(format!("`{NAME}` is {}, and must be the capability's JSON in a string", json_kind(other)));
        }
    };
    match Capability::parse(text) {
        Err(flaw) => Some(format!("`{NAME}`: {flaw}")),
        Ok(found) => (found != right).then(|| format!("`{NAME}` is {found}, not {right}")),
    }
}

/// Describes what is wrong with the times: `exp`, which is required, and `nbf`, which is optional.
fn check_times(claims: &TokenClaims, wanted: &ExpectedToken<'_>, lives: u64) -> Vec<String> {
    let expiry = match seconds(claims, "exp") {
        Err(wrong) => Some(wrong),
        Ok(expiry) if expiry <= wanted.now.seconds() => {
            Some(format!("`exp` has passed: {}", Millis::from_seconds(expiry)))
        }
        Ok(expiry) => {
            let right = wanted.signed_at.map(|at| at.seconds().saturating_add(lives));
            right.filter(|right| *right != expiry).map(|right| format!("`exp` is {expiry}, not {right}"))
        }
    };
    let start = match claims.get("nbf").map(|_| seconds(claims, "nbf")) {
        Some(Ok(start)) if start > wanted.now.seconds() => {
            Some(format!("`nbf` is in the future: {}", Millis::from_seconds(start)))
        }
        Some(Err(wrong)) => Some(wrong),
        _ => None,
    };
    expiry.into_iter().chain(start).collect()
}

/// Reads a claim that is a time in seconds.
fn seconds(claims: &TokenClaims, name: &str) -> Result<u64, String> {
    let value = claims.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    match value.as_u64() {
        Some(seconds) if seconds >= SECONDS_LIMIT => {
            Err(format!("`{name}` is in milliseconds, and must be in seconds"))
        }
        Some(seconds) => Ok(seconds),
        None => Err(format!("`{name}` is {}, and must be a whole number of seconds", json_kind(value))),
    }
}

/// Describes how a claim differs from the expected text.
fn describe_difference(claims: &TokenClaims, name: &str, right: &str) -> Option<String> {
    match claims.get(name) {
        Some(Value::String(found)) if found == right => None,
        None => Some(format!("`{name}` is missing, and must be \"{right}\"")),
        Some(Value::String(found)) => Some(format!("`{name}` is \"{}\", not \"{right}\"", found.escape_debug())),
        Some(other) => Some(format!("`{name}` is {}, and must be a string: \"{right}\"", json_kind(other))),
    }
}

fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
