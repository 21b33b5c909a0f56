//! What other programs sign for Ably by mistake.

use serde_json::Value;

use super::{AblyKey, Capability, MAX_TOKEN_BYTES, SigningJob, TokenParams, TokenRequestText};
use crate::model::Millis;
use crate::secret::Secret;
use crate::vendor::foreign_token::{ForeignToken, json_kind};
use crate::vendor::variants::{
    ForeignRequest, KeyVariant, MacEncoding, MessageVariant, SignatureFormat, key_variants, message_variants,
    other_unit,
};

/// The form of the `mac` of a token request.
pub(super) const TOKEN_REQUEST: SignatureFormat = SignatureFormat {
    encoding: MacEncoding::Base64,
    has_time: true,
    tried: "the capability as given; fields left out; seconds instead of milliseconds; no newline at the end",
};

/// The longest lifetime that Ably accepts, in seconds.
const MAX_TTL_SECONDS: u64 = 24 * 60 * 60;

const OWN_CLAIMS: [&str; 3] = ["x-ably-capability", "x-ably-clientId", "x-ably-revocation-key"];

/// Returns the key that signs, which is the secret part of an API key, and its misreadings.
pub(super) fn secret_variants(key: &Secret) -> Vec<KeyVariant> {
    let whole = key.expose();
    let start = whole.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    let part = Secret::new(whole.get(start..).unwrap_or_default().to_vec());
    key_variants(&part, Some(("the whole key was used, not the part after `:`", whole.to_vec())))
}

/// Returns the text of a token request and its variants.
pub(super) fn token_request_variants(ttl_ms: u64, foreign: &ForeignRequest<'_>, key: &Secret) -> Vec<MessageVariant> {
    let right = TokenParams {
        key_name: AblyKey::parse(key).map(|key| key.name().to_owned()).unwrap_or_default(),
        ttl: Some(ttl_ms),
        capability: Some(Capability::from_grants(&foreign.request.requested_grants).to_string()),
        client_id: Some(foreign.request.client.clone()),
        timestamp: foreign.at.unwrap_or(foreign.now).0,
        nonce: foreign.nonce.map(|nonce| nonce.as_str().to_owned()).unwrap_or_default(),
    };
    let params = || right.clone();
    let (other_unit, timestamp) = other_unit(right.timestamp);
    let as_given = foreign.capability.map(|given| {
        let capability = Some(given.to_owned());
        ("the capability was signed as given, not in canonical form", TokenParams { capability, ..params() })
    });
    let changed = [
        ("the ttl was left out", TokenParams { ttl: None, ..params() }),
        (
            "the capability was left out, so the token can do everything that the key can do",
            TokenParams { capability: None, ..params() },
        ),
        ("the clientId was left out", TokenParams { client_id: None, ..params() }),
        ("the ttl is in seconds, not milliseconds", TokenParams { ttl: Some(ttl_ms / 1000), ..params() }),
        ("the keyName was left out", TokenParams { key_name: String::new(), ..params() }),
        (other_unit, TokenParams { timestamp, ..params() }),
    ];
    let text = |params: &TokenParams| TokenRequestText::new(params).map(|text| text.to_string()).unwrap_or_default();
    let changed = as_given.into_iter().chain(changed).map(|(change, params)| (change, text(&params)));
    let unended = ("the newline at the end was left out", text(&right).trim_end_matches('\n').to_owned());
    message_variants(text(&right), changed.chain([unended]))
}

/// Describes how the header and the claims of a token differ from the expected ones.
pub(super) fn token_differences(
    signing_job: &SigningJob,
    foreign: &ForeignRequest<'_>,
    token: &ForeignToken<'_>,
    key: &Secret,
) -> Vec<String> {
    let lives = match signing_job {
        SigningJob::Token { ttl_ms, .. } | SigningJob::TokenRequest { ttl_ms } => (ttl_ms / 1000).max(1),
    };
    let kid = AblyKey::parse(key).ok().and_then(|key| token.header.difference("kid", key.name()));
    let claims = &token.claims;
    let (issued, wrong) = match claims.seconds("iat") {
        Ok(issued) => (Some(issued), None),
        Err(wrong) => (None, Some(wrong)),
    };
    let expiry = claims.seconds("exp").ok();
    let too_long = issued.zip(expiry).filter(|(issued, expiry)| expiry.saturating_sub(*issued) > MAX_TTL_SECONDS);
    let early = issued.filter(|issued| *issued > foreign.now.seconds());
    let size = token.text.len();
    let all = [
        kid,
        wrong,
        early.map(|issued| format!("`iat` is in the future: {}", Millis::from_seconds(issued))),
        too_long.map(|_| "it is valid for more than the 24 hours that Ably accepts".to_owned()),
        (size > MAX_TOKEN_BYTES).then(|| format!("it has {size} bytes; keep it under 6 KB")),
        capability_difference(foreign, token),
        claims.difference("x-ably-clientId", &foreign.request.client),
    ];
    let unknown = claims.names().filter(|name| name.starts_with("x-ably-") && !OWN_CLAIMS.contains(&name.as_str()));
    let unknown = unknown.map(|name| format!("`{name}` is not a claim of Ably, but only those may start with x-ably-"));
    all.into_iter().flatten().chain(unknown).chain(token.check_times(foreign.now, foreign.at, lives)).collect()
}

/// Describes how the capability of the token differs from the expected one. Order and white space do not matter.
fn capability_difference(foreign: &ForeignRequest<'_>, token: &ForeignToken<'_>) -> Option<String> {
    const NAME: &str = "x-ably-capability";
    let right = Capability::from_grants(&foreign.request.requested_grants);
    let text = match token.claims.get(NAME) {
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
