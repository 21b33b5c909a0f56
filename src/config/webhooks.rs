//! `[[webhooks]]`: who is told what changes in the moderation entries.

use zeroize::Zeroizing;

use super::endpoint;
use super::enforcement::NO_STORE;
use super::reader::{ConfigItem, Section};
use super::secret::SecretResolver;
use super::signing::{SigningSecret, warn_if_weak};
use crate::authn::Endpoint;
use crate::crypto::base64_decode;
use crate::crypto::mac::HmacSha256;

/// What a secret begins with, and how many bytes it holds in Base64 after that:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
const PREFIX: &str = "whsec_";
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// How webhooks are spoken of where secrets are compared.
const OWNER: &str = "[[webhooks]]";

/// Someone who is told what changes.
#[derive(Debug)]
pub struct Webhook {
    /// Where.
    pub endpoint: Endpoint,
    /// What it is signed with: by each of them, so that receivers can go from one to the next.
    pub keys: Vec<HmacSha256>,
}

/// Reads every webhook.
pub(super) fn webhooks(root: &mut Section<'_>, vault: &mut SecretResolver) -> Vec<Webhook> {
    let has_store = root.has("store");
    let (mut webhooks, mut urls) = (Vec::new(), Vec::new());
    for mut section in root.sections("webhooks") {
        let item = section.need("url", "write where to: url = \"https://…\"");
        let url = item.as_ref().and_then(|item| url(item, &mut urls));
        let authorities = endpoint::authorities(&mut section, vault);
        let item = section.need("secret", "write secret = { env = \"NAME\" } or { file = \"PATH\" }");
        let keys = item.and_then(|item| keys(&item, vault));
        if !has_store {
            let message = "[[webhooks]] needs [store]: what is told is kept there until it was taken";
            section.file.mistake(&section.span, message, NO_STORE);
        }
        section.finish();
        let webhook = url.zip(keys);
        webhooks
            .extend(webhook.map(|(url, keys)| Webhook { endpoint: Endpoint { url, authorities, bearer: None }, keys }));
    }
    webhooks
}

/// An address, each once: what is to be told is known by it.
fn url(item: &ConfigItem<'_>, urls: &mut Vec<http::Uri>) -> Option<http::Uri> {
    let url = endpoint::url(item)?;
    if urls.contains(&url) {
        return item.refuse("is that of another webhook too", "configure each webhook once");
    }
    urls.push(url.clone());
    Some(url)
}

fn keys(item: &ConfigItem<'_>, vault: &mut SecretResolver) -> Option<Vec<HmacSha256>> {
    let secrets = vault.signing_secrets(item)?;
    let keys: Option<Vec<Zeroizing<Vec<u8>>>> = secrets.iter().map(|secret| key(secret.expose())).collect();
    if keys.is_none() {
        let message = format!("the secret `{}` is not as webhooks have it", item.name);
        let help = "write whsec_ and 24 to 64 random bytes in Base64 into it: echo whsec_$(openssl rand -base64 32)";
        item.file.mistake(&item.key, message, help);
    }
    let keys = keys?;
    for key in &keys {
        own_key(item, key, vault);
    }
    vault.signing.extend(keys.iter().map(|key| SigningSecret::new(key, OWNER, &item.key)));
    Some(keys.iter().map(|key| HmacSha256::new(key)).collect())
}

/// Checks that only webhooks are signed with this key: who receives them knows it.
fn own_key(item: &ConfigItem<'_>, key: &[u8], vault: &SecretResolver) {
    warn_if_weak(item.file, &item.key, &format!("the secret `{}`", item.name), key);
    if let Some(other) = vault.signer(key).filter(|other| *other != OWNER) {
        let message = format!(
            "`{}` is what is signed with for {other}, too, so who receives the webhook can sign for both",
            item.name
        );
        item.file.mistake(
            &item.key,
            message,
            "make a secret for webhooks alone: echo whsec_$(openssl rand -base64 32)",
        );
    }
}

/// The bytes that a secret stands for.
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
