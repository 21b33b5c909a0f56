//! `[[webhooks]]`: the receivers of moderation events.

use zeroize::Zeroizing;

use super::endpoint;
use super::enforcement::NO_STORE;
use super::reader::{ConfigItem, Section};
use super::secret::SecretResolver;
use super::signing::{SigningSecret, warn_if_weak};
use crate::authn::Endpoint;
use crate::crypto::base64_decode;
use crate::crypto::mac::HmacSha256;

/// The prefix of a secret, and the number of bytes in its Base64 part:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
const PREFIX: &str = "whsec_";
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The owner of webhook secrets in messages about signing secrets.
const OWNER: &str = "[[webhooks]]";

const NEEDS_STORE: &str = "[[webhooks]] needs [store]: events are kept there until the receiver accepts them";

/// The default number of requests per second.
const DEFAULT_RATE: u32 = 500;

/// The default number of events that are sent at once.
const DEFAULT_IN_FLIGHT: u32 = 32;

/// A receiver of moderation events.
#[derive(Debug)]
pub struct Webhook {
    /// The address.
    pub endpoint: Endpoint,
    /// The signing keys. Each event is signed with all keys, so receivers can change from the old key to the new key.
    pub keys: Vec<HmacSha256>,
    /// The maximum number of requests per second of each process.
    pub rate: u32,
    /// The maximum number of events that each process sends at once.
    pub max_in_flight: u32,
}

impl Webhook {
    /// Creates a webhook with the default limits.
    pub fn new(endpoint: Endpoint, keys: Vec<HmacSha256>) -> Webhook {
        Webhook { endpoint, keys, rate: DEFAULT_RATE, max_in_flight: DEFAULT_IN_FLIGHT }
    }
}

/// Reads all webhooks.
pub(super) fn webhooks(root: &mut Section<'_>, vault: &mut SecretResolver) -> Vec<Webhook> {
    let has_store = root.contains_key("store");
    let (mut webhooks, mut urls) = (Vec::new(), Vec::new());
    for section in root.sections("webhooks") {
        webhooks.extend(webhook(section, &mut urls, has_store, vault));
    }
    webhooks
}

fn webhook(
    mut section: Section<'_>,
    urls: &mut Vec<http::Uri>,
    has_store: bool,
    vault: &mut SecretResolver,
) -> Option<Webhook> {
    let item = section.require("url", "write the address of the receiver: url = \"https://…\"");
    let url = item.as_ref().and_then(|item| url(item, urls));
    // The path of the address can be a secret, and the name is shown.
    let host = url.as_ref().and_then(http::Uri::host);
    let _part = host.map(|host| section.file.enter(&format!("webhooks.{host}")));
    let authorities = endpoint::authorities(&mut section, vault);
    let item = section.require("secret", "write secret = { env = \"NAME\" } or { file = \"PATH\" }");
    let keys = item.and_then(|item| keys(&item, vault));
    let rate = section.integer_or("rate", 1..=10_000, DEFAULT_RATE);
    let max_in_flight = section.integer_or("max_in_flight", 1..=1000, DEFAULT_IN_FLIGHT);
    if !has_store {
        section.file.mistake(&section.span, NEEDS_STORE, NO_STORE);
    }
    section.report_unknown_keys();
    let (url, keys) = url.zip(keys)?;
    let endpoint = Endpoint { authorities, proxy: vault.proxy.clone(), ..Endpoint::new(url) };
    Some(Webhook { endpoint, keys, rate, max_in_flight })
}

/// Reads the address of a webhook. It must be unique, because it identifies the webhook in the store.
fn url(item: &ConfigItem<'_>, urls: &mut Vec<http::Uri>) -> Option<http::Uri> {
    let url = endpoint::url(item)?;
    if urls.contains(&url) {
        return item.mistake("is already the address of another webhook", "configure each webhook once");
    }
    urls.push(url.clone());
    Some(url)
}

fn keys(item: &ConfigItem<'_>, vault: &mut SecretResolver) -> Option<Vec<HmacSha256>> {
    let secrets = vault.signing_secrets(item)?;
    let keys: Option<Vec<Zeroizing<Vec<u8>>>> = secrets.iter().map(|secret| key(secret.expose())).collect();
    if keys.is_none() {
        let message = format!("the secret `{}` is not a webhook secret", item.name);
        let help = "write whsec_ and 24 to 64 random bytes in Base64 into it: echo whsec_$(openssl rand -base64 32)";
        item.file.mistake(&item.key, message, help);
    }
    let keys = keys?;
    for key in &keys {
        check_key_is_unshared(item, key, vault);
    }
    vault.signing.extend(keys.iter().map(|key| SigningSecret::new(key, OWNER, &item.key)));
    Some(keys.iter().map(|key| HmacSha256::new(key)).collect())
}

/// Checks that only webhooks are signed with this key, because the receivers know it.
fn check_key_is_unshared(item: &ConfigItem<'_>, key: &[u8], vault: &SecretResolver) {
    warn_if_weak(item.file, &item.key, &format!("the secret `{}`", item.name), key);
    if let Some(other) = vault.owner_signing_with(key, None).filter(|other| *other != OWNER) {
        let message = format!(
            "`{}` is also the signing secret of {other}, so the receiver of the webhook can sign for both",
            item.name
        );
        item.file.conflict(
            &item.key,
            message,
            "make a secret only for webhooks: echo whsec_$(openssl rand -base64 32)",
        );
    }
}

/// Decodes the bytes of a secret.
fn key(secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(secret).ok()?.strip_prefix(PREFIX)?;
    base64_decode(text).filter(|bytes| LENGTHS.contains(&bytes.len())).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::base64;

    #[test]
    fn secrets_are_of_some_length_and_say_what_they_are() {
        let secret = |length: usize| format!("{PREFIX}{}", base64(&vec![7; length]));
        for (text, good) in [
            (secret(24), true),
            (secret(64), true),
            (secret(23), false),
            (secret(65), false),
            (base64(&[7; 32]), false),
            ("whsec_fake".to_owned(), false),
        ] {
            assert_eq!(key(text.as_bytes()).is_some(), good, "{text}");
        }
        assert!(key(b"whsec_\xff").is_none());
    }
}
