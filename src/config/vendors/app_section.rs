//! The section of an app while it is read, with the keys that several vendors have.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::reader::{ConfigItem, Section};
use crate::config::secret::SecretResolver;
use crate::config::signing::SigningSecret;
use crate::config::{text, value};
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::Ttl;

/// The least length of a key in a header, in bytes.
const MIN_HEADER_KEY_BYTES: usize = 32;

/// Values that must not occur in two apps.
#[derive(Default)]
pub(in crate::config) struct UsedIdentifiers {
    /// The ids of the apps at their vendors, each with the name of the app in this file.
    pub(super) ids: HashMap<(Vendor, String), String>,
    /// The keys of each app as configured, by the name of the app.
    pub(in crate::config) secrets: Vec<(String, Vec<Secret>)>,
}

/// The section of an app.
pub(in crate::config) struct AppSection<'s, 'a> {
    pub(in crate::config) section: &'s mut Section<'a>,
    /// The name of the app.
    pub(in crate::config) name: &'s str,
    pub(in crate::config) vendor: Vendor,
    pub(in crate::config) vault: &'s mut SecretResolver,
    pub(in crate::config) taken: &'s mut UsedIdentifiers,
}

impl<'a> AppSection<'_, 'a> {
    /// Reads the id of the app at the vendor.
    pub(super) fn app_id(&mut self) -> Option<String> {
        self.vendor_id("app_id", "the app's id from the vendor's console")
    }

    /// Reads a text that identifies the app at the vendor. Two apps must not have the same id, because two sets of rules
    /// would then apply to one vendor app. `what` says where to find the id.
    pub(super) fn vendor_id(&mut self, key: &'static str, what: &str) -> Option<String> {
        let help = format!("write {what}");
        let item = self.section.require(key, &help)?;
        let id = text::identifier(&item, &help)?;
        if id.contains(':') {
            return item.mistake("must not hold a `:`", &help);
        }
        self.record_id(&item, id.to_owned())?;
        text::warn_if_unchanged(&item, what);
        Some(id.to_owned())
    }

    /// Records the id of the app at the vendor. Notes a mistake if another app has it.
    pub(super) fn record_id(&mut self, item: &ConfigItem<'_>, id: String) -> Option<()> {
        match self.taken.ids.insert((self.vendor, id), self.name.to_owned()) {
            None => Some(()),
            Some(other) => item.mistake(
                format!("is already the id of [apps.{}]", other.escape_debug()),
                "configure each app of the vendor only once",
            ),
        }
    }

    /// Reads the keys of the app. Also returns the item, for further checks.
    pub(super) fn keys(&mut self, key: &'static str) -> Option<(ConfigItem<'a>, Vec<Secret>)> {
        let help = format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
        let item = self.section.require(key, &help)?;
        let secrets = self.vault.signing_secrets(&item)?;
        if secrets.iter().any(|secret| secret.expose().trim_ascii().iter().any(u8::is_ascii_control)) {
            let message = format!("the secret `{key}` has control characters, but vendors' keys have none");
            item.file.mistake(&item.key, message, "copy it again from the vendor's console");
            return None;
        }
        self.record_keys(&item, &secrets);
        Some((item, secrets))
    }

    /// Reads secrets that may have several lines, such as private keys.
    pub(super) fn signing_secrets(&mut self, item: &ConfigItem<'_>) -> Option<Vec<Secret>> {
        let secrets = self.vault.signing_secrets(item)?;
        self.record_keys(item, &secrets);
        Some(secrets)
    }

    /// Reads keys that the vendor's server shows in a header. They sign nothing.
    pub(super) fn header_keys(&mut self, item: &ConfigItem<'_>) -> Option<Vec<Secret>> {
        let secrets = self.vault.signing_secrets(item)?;
        let is_strong = |key: &[u8]| key.len() >= MIN_HEADER_KEY_BYTES && key.iter().all(u8::is_ascii_graphic);
        if !secrets.iter().all(|secret| is_strong(secret.expose())) {
            let message = format!(
                "the secret `{}` must have at least {MIN_HEADER_KEY_BYTES} characters: letters, digits and signs",
                item.name
            );
            item.file.mistake(&item.key, message, "make a new one: openssl rand -hex 32");
            return None;
        }
        self.record_signing_secrets(item, &secrets);
        Some(secrets)
    }

    fn record_keys(&mut self, item: &ConfigItem<'_>, secrets: &[Secret]) {
        self.record_signing_secrets(item, secrets);
        self.taken.secrets.push((self.name.to_owned(), secrets.to_vec()));
    }

    /// Records the signing secrets of an app. Two apps with the same key cause a warning, because vendors give each app
    /// its own key.
    fn record_signing_secrets(&mut self, item: &ConfigItem<'_>, secrets: &[Secret]) {
        let owner = format!("[apps.{}]", self.name.escape_debug());
        let parts = || secrets.iter().map(Secret::expose).flat_map(|key| [Some(key), secret_part(key)]).flatten();
        if let Some(other) = parts().find_map(|key| self.vault.owner_signing_with(key, None)) {
            let message = format!("`{}` is also the key of {other}: anyone who knows it can sign for both", item.name);
            item.file.warning(&item.key, message, "copy each app's own key from its vendor's console");
        }
        self.vault.signing.extend(parts().map(|key| SigningSecret::new(key, &owner, &item.key)));
    }

    /// Reads the lifetimes of tokens, from `least` to `most`. The default of `max_ttl` is `max`. The default of
    /// `default_ttl` is 1 hour, or `max_ttl` if that is shorter.
    pub(super) fn ttl(&mut self, least: &str, most: &str, max: &str) -> Option<Ttl> {
        let given = [self.section.get("max_ttl"), self.section.get("default_ttl")];
        let [max_given, default_given] =
            given.each_ref().map(|item| item.as_ref().and_then(|item| item.duration(least, most)));
        let max = max_given.or(value::duration(max))?;
        let min = value::duration(least)?;
        let default = default_given.unwrap_or(max.min(Duration::from_secs(3600)));
        if let ([_, Some(item)], true) = (given, default > max) {
            let longest = value::show_duration(max);
            return item
                .mistake("is longer than `max_ttl`", format!("write at most \"{longest}\", or raise `max_ttl`"));
        }
        Some(Ttl { min_seconds: min.as_secs(), default_seconds: default.as_secs(), max_seconds: max.as_secs() })
    }

    /// Reads a list of names of claims of the caller's token. It is empty by default.
    pub(super) fn claim_names(&mut self, key: &'static str) -> Vec<String> {
        let name = |item: &ConfigItem<'_>| item.non_empty_text().map(str::to_owned);
        self.section.get(key).and_then(|item| item.read_unique_list(name)).unwrap_or_default()
    }

    /// Reads a switch, which is off by default.
    pub(super) fn switch(&mut self, key: &'static str) -> bool {
        self.section.get(key).and_then(|item| item.boolean()).unwrap_or(false)
    }
}

/// Returns the part of a key that is a secret on its own too: the part after the `:` of an Ably key.
pub(super) fn secret_part(key: &[u8]) -> Option<&[u8]> {
    let colon = key.iter().position(|byte| *byte == b':')?;
    key.get(colon + 1..)
}
