//! `[[authenticators]]` with `type = "api-key"`.

use super::authenticators::Callers;
use super::demo;
use super::later::header;
use super::reader::{Item, Section, quoted};
use crate::authn::{ApiKey, Common};
use crate::model::check_identifier;

/// Reads all but the keys that every authenticator has.
pub(super) fn api_key(section: &mut Section<'_>, common: Option<Common>, callers: &mut Callers) -> Option<ApiKey> {
    let header =
        section.get("header").map_or(Some(http::HeaderName::from_static("x-api-key")), |item| key_header(&item));
    let help = "list them: keys = [{ id = \"orders\", sha256 = \"…\" }]; `chat-signer hash-key` makes them";
    let items = section.need("keys", help).and_then(|item| item.list())?;
    let keys: Vec<_> = items.iter().map(|item| key(item, callers)).collect();
    Some(ApiKey { common: common?, header: header?, keys: keys.into_iter().collect::<Option<_>>()? })
}

/// A header that may hold an API key: one that nothing else is read from.
fn key_header(item: &Item<'_>) -> Option<http::HeaderName> {
    const TAKEN: [&str; 24] = [
        "authorization",
        "cache-control",
        "connection",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "keep-alive",
        "origin",
        "pragma",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-lc-session",
        "x-request-id",
    ];
    const STARTS: [&str; 6] = ["accept", "access-control-", "content-", "if-", "sec-", "x-forwarded-"];
    let name = header(item)?;
    let taken = TAKEN.contains(&name.as_str()) || STARTS.iter().any(|start| name.as_str().starts_with(start));
    if taken {
        return item.refuse(
            format!("can't be {}, which has a meaning of its own", quoted(name.as_str())),
            "write \"x-api-key\"",
        );
    }
    Some(name)
}

fn key(item: &Item<'_>, callers: &mut Callers) -> Option<(String, [u8; 32])> {
    let mut section = item.section("an API key".to_owned())?;
    let id = section
        .need("id", "name whose it is: { id = \"orders\", sha256 = \"…\" }")
        .and_then(|item| key_id(&item, callers));
    let hash = section.need("sha256", "write the key's SHA-256 in hex; `chat-signer hash-key` makes both");
    let hash = hash.and_then(|item| key_hash(&item, callers));
    section.finish();
    Some((id?, hash?))
}

fn key_id(item: &Item<'_>, callers: &mut Callers) -> Option<String> {
    const HELP: &str = "write whose key it is, as rules and logs are to name it";
    let id = item.text()?;
    if let Err(flaw) = check_identifier(id, 255) {
        return item.refuse(flaw.to_string(), HELP);
    }
    if id == "*" {
        return item.refuse("can't be \"*\"", HELP);
    }
    if !callers.key_ids.insert(id.to_owned()) {
        return item.refuse(format!("is {} for another key too", quoted(id)), "give each key an id of its own");
    }
    Some(id.to_owned())
}

/// The hash of a key. What stands in its place may be the key itself, so it isn't shown.
fn key_hash(item: &Item<'_>, callers: &mut Callers) -> Option<[u8; 32]> {
    let text = item.text()?;
    let mut hash = [0; 32];
    if hex::decode_to_slice(text, &mut hash).is_err() {
        item.file.hide_if_guarded(&item.span);
        let help = "write 64 hex digits; `chat-signer hash-key` makes a key and its hash";
        item.file.mistake(&item.key, "`sha256` is not a SHA-256 in hex", help);
        return None;
    }
    if !callers.key_hashes.insert(hash) {
        return item.refuse("is that of another key too", "make each caller a key of its own");
    }
    callers.demo_key |= demo::is_api_key(&hash);
    Some(hash)
}
