//! `[[authenticators]]` with `type = "api-key"`.

use http::HeaderName;

use super::authenticator_context::ConfiguredAuthenticators;
use super::demo;
use super::headers::HeaderRole;
use super::reader::{ConfigItem, Section, quoted};
use super::text;
use crate::authn::{ApiKey, Common};

/// Reads all keys of the section except those that every authenticator has.
pub(super) fn api_key(
    section: &mut Section<'_>,
    common: Option<Common>,
    callers: &mut ConfiguredAuthenticators,
) -> Option<ApiKey> {
    let header = if let Some(item) = section.get("header") {
        callers.headers.read(&item, HeaderRole::Key)
    } else {
        let name = HeaderName::from_static("x-api-key");
        callers.headers.reserve(section.file, &section.span, name, HeaderRole::Key)
    };
    let help = "list them: keys = [{ id = \"orders\", sha256 = \"…\" }]; `chat-signer hash-key` makes them";
    let items = section.require("keys", help).and_then(|item| item.list())?;
    let keys: Vec<_> = items.iter().map(|item| key(item, callers)).collect();
    Some(ApiKey { common: common?, header: header?, keys: keys.into_iter().collect::<Option<_>>()? })
}

fn key(item: &ConfigItem<'_>, callers: &mut ConfiguredAuthenticators) -> Option<(String, [u8; 32])> {
    let mut section = item.section("an API key".to_owned())?;
    let id = section
        .require("id", "write the id of the caller: { id = \"orders\", sha256 = \"…\" }")
        .and_then(|item| key_id(&item, callers));
    let hash = section.require("sha256", "write the key's SHA-256 in hex; `chat-signer hash-key` makes both");
    let hash = hash.and_then(|item| key_hash(&item, callers));
    section.report_unknown_keys();
    Some((id?, hash?))
}

fn key_id(item: &ConfigItem<'_>, callers: &mut ConfiguredAuthenticators) -> Option<String> {
    let id = text::caller_id(item, "the caller")?;
    if !callers.key_ids.insert(id.clone()) {
        return item.mistake(format!("is already {} for another key", quoted(&id)), "give each key its own id");
    }
    Some(id)
}

/// Reads the hash of a key. The value may be the key itself by mistake, so no message shows it.
fn key_hash(item: &ConfigItem<'_>, callers: &mut ConfiguredAuthenticators) -> Option<[u8; 32]> {
    let text = item.text()?;
    let mut hash = [0; 32];
    if hex::decode_to_slice(text, &mut hash).is_err() {
        item.file.hide_if_guarded(&item.span);
        let help = "write 64 hex digits; `chat-signer hash-key` makes a key and its hash";
        item.file.mistake(&item.key, "`sha256` is not a SHA-256 hash in hex", help);
        return None;
    }
    if !callers.key_hashes.insert(hash) {
        return item.mistake("is already the hash of another key", "make a separate key for each caller");
    }
    callers.accepts_demo_api_key |= demo::is_demo_api_key(&hash);
    Some(hash)
}
