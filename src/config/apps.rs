//! `[apps.*]` of `signer.toml`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::enforcement::{self, Enforcement, EnforcementContext};
use super::reader::{ConfigItem, Section, quoted};
use super::secret::SecretResolver;
use super::signing::{SigningSecret, warn_if_weak};
use super::{ably_options, demo, text, value};
use crate::model::Vendor;
use crate::policy::LintApp;
use crate::secret::Secret;
use crate::vendor::{App, Ttl, ably, leancloud, talkjs};

/// The configured apps.
#[derive(Default)]
pub(super) struct ConfiguredApps {
    /// The apps without a mistake.
    pub(super) valid: Vec<App>,
    /// The names of all apps, also of those with a mistake, in the order of the file.
    pub(super) names: Vec<String>,
    /// The name and vendor of each app with a known vendor.
    pub(super) for_lint: Vec<LintApp>,
    /// The keys of each app as configured, by the name of the app.
    pub(super) secrets: Vec<(String, Vec<Secret>)>,
    /// The apps whose bans and mutes the program carries out at their vendor.
    pub(super) enforcements: Vec<Enforcement>,
}

impl ConfiguredApps {
    /// Returns the names of the LeanCloud apps.
    pub(super) fn leancloud_names(&self) -> Vec<String> {
        let ours = self.for_lint.iter().filter(|app| app.vendor == Vendor::LeanCloud);
        ours.map(|app| app.name.clone()).collect()
    }
}

/// Reads the name of a LeanCloud app.
pub(super) fn leancloud_app<'a>(item: &ConfigItem<'a>, leancloud: &[String]) -> Option<&'a str> {
    let name = item.known_word("a configured LeanCloud app", leancloud)?;
    if leancloud.is_empty() {
        return item.mistake(format!("names {}, and there is no LeanCloud app", quoted(name)), NO_LEANCLOUD);
    }
    Some(name)
}

/// Returns the LeanCloud app id of the app with this name.
pub(super) fn leancloud_app_id(apps: &[App], name: &str) -> Option<String> {
    apps.iter().find_map(|app| match app {
        App::LeanCloud(app) if **app.name() == *name => Some(app.app_id().to_owned()),
        _ => None,
    })
}

const NO_LEANCLOUD: &str = "add one: [apps.NAME] with vendor = \"leancloud\"; or leave this out";

/// Values that must not occur in two apps.
#[derive(Default)]
struct UsedIdentifiers {
    /// The ids of the apps at their vendors, each with the name of the app in this file.
    ids: HashMap<(Vendor, String), String>,
    /// The same as in [`ConfiguredApps`].
    secrets: Vec<(String, Vec<Secret>)>,
}

/// Reads every app.
pub(super) fn apps(root: &mut Section<'_>, vault: &mut SecretResolver) -> ConfiguredApps {
    let mut apps = ConfiguredApps::default();
    let mut taken = UsedIdentifiers::default();
    let section = root.section("apps");
    let entries = section.as_ref().map(Section::entries).unwrap_or_default();
    if entries.is_empty() && section.is_some() == root.contains_key("apps") {
        let place = section.map_or(root.span.clone(), |section| section.span);
        let help = "add one: [apps.NAME] with vendor = \"leancloud\", \"talkjs\" or \"ably\"";
        root.file.missing(&place, "there is no app to sign for", help);
    }
    for item in entries {
        check_name(&item);
        apps.names.push(item.name.to_owned());
        let Some(mut section) = item.section(format!("[apps.{}]", item.name.escape_debug())) else { continue };
        let Some(vendor) = vendor(&mut section) else { continue };
        apps.for_lint.push(LintApp { name: item.name.to_owned(), vendor });
        let app = app(&mut section, item.name, vendor, vault, &mut taken);
        let keys = taken.secrets.iter().find(|(name, _)| name == item.name).map_or(&[][..], |(_, keys)| keys);
        let of = EnforcementContext { vendor, app: app.as_ref(), keys, has_store: root.contains_key("store") };
        apps.enforcements.extend(enforcement::enforcement(&mut section, &of, vault));
        apps.valid.extend(app);
        section.report_unknown_keys();
    }
    apps.secrets = taken.secrets;
    apps
}

/// Checks the name of an app. The name is a part of its routes.
fn check_name(item: &ConfigItem<'_>) {
    let name = item.name;
    if name == "moderation" || name == "openapi.json" {
        let message = format!("an app can't be called `{name}`: the server uses this path itself");
        item.file.mistake(&item.key, message, "give it another name");
        return;
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with('-') || name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
        let message = format!("an app can't be called {}", quoted(name));
        let help = "use at most 64 small letters, digits and `-`, as the name is a part of the path";
        item.file.mistake(&item.key, message, help);
    }
}

fn vendor(section: &mut Section<'_>) -> Option<Vendor> {
    let item = section.require("vendor", "write vendor = \"leancloud\", \"talkjs\" or \"ably\"");
    let vendor = item.and_then(|item| item.keyword(&Vendor::ALL.map(|vendor| (vendor.as_str(), vendor))));
    if vendor.is_none() {
        section.hide_unread_values();
    }
    vendor
}

fn app(
    section: &mut Section<'_>,
    name: &str,
    vendor: Vendor,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<App> {
    match vendor {
        Vendor::LeanCloud => leancloud(section, name, vault, taken).map(App::LeanCloud),
        Vendor::TalkJs => talkjs(section, name, vault, taken).map(App::TalkJs),
        Vendor::Ably => ably(section, name, vault, taken).map(App::Ably),
    }
}

fn leancloud(
    section: &mut Section<'_>,
    name: &str,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<leancloud::App> {
    use leancloud::{HistoryOrder, TimestampUnit};
    let app_id = app_id(section, name, Vendor::LeanCloud, taken);
    let keys = keys(section, "master_key", name, vault, taken);
    let units = [("ms", TimestampUnit::Milliseconds), ("s", TimestampUnit::Seconds)];
    let unit = section.get("timestamp").and_then(|item| item.keyword(&units)).unwrap_or(TimestampUnit::Milliseconds);
    let orders = [("nonce-timestamp", HistoryOrder::NonceTimestamp), ("timestamp-nonce", HistoryOrder::TimestampNonce)];
    let order =
        section.get("history_order").and_then(|item| item.keyword(&orders)).unwrap_or(HistoryOrder::NonceTimestamp);
    Some(leancloud::App::new(Arc::from(name), app_id?, &keys?, unit, order))
}

fn talkjs(
    section: &mut Section<'_>,
    name: &str,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<talkjs::App> {
    let app_id = app_id(section, name, Vendor::TalkJs, taken);
    let keys = keys(section, "secret_key", name, vault, taken);
    let ttl = ttl(section, "10m", "365d", "24h");
    let legacy_signatures = section.get("legacy_signatures").and_then(|item| item.boolean()).unwrap_or(false);
    Some(talkjs::App::new(Arc::from(name), app_id?, &keys?, ttl?, legacy_signatures))
}

fn ably(
    section: &mut Section<'_>,
    name: &str,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<ably::App> {
    let keys = ably_keys(section, name, vault, taken);
    let revocable = section.get("revocable").and_then(|item| item.boolean()).unwrap_or(false);
    let most = if revocable { "1h" } else { "24h" };
    let ttl = ttl(section, "1m", most, most);
    let ttl = min_ttl(section, ttl, most);
    let capability = ably_options::capability(section);
    let user_claims = ably_options::user_claims(section);
    let forward_claims = ably_options::forward_claims(section);
    Some(ably::App::new(Arc::from(name), keys?, ttl?, revocable, capability, user_claims, forward_claims))
}

/// Reads the id of the app at the vendor. Two apps must not have the same id, because two sets of rules would then
/// apply to one vendor app.
fn app_id(section: &mut Section<'_>, name: &str, vendor: Vendor, taken: &mut UsedIdentifiers) -> Option<String> {
    const HELP: &str = "write the app's id from the vendor's console";
    let item = section.require("app_id", HELP)?;
    let id = text::identifier(&item, HELP)?;
    if id.contains(':') {
        return item.mistake("must not hold a `:`", HELP);
    }
    if let Some(other) = taken.ids.insert((vendor, id.to_owned()), name.to_owned()) {
        return item.mistake(
            format!("is already the id of [apps.{}]", other.escape_debug()),
            "configure each app of the vendor only once",
        );
    }
    text::warn_if_unchanged(&item, "the app's id from the vendor's console");
    Some(id.to_owned())
}

fn keys(
    section: &mut Section<'_>,
    key: &'static str,
    name: &str,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<Vec<Secret>> {
    let help = format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
    let item = section.require(key, &help)?;
    let secrets = vault.signing_secrets(&item)?;
    if secrets.iter().any(|secret| secret.expose().trim_ascii().iter().any(u8::is_ascii_control)) {
        let message = format!("the secret `{key}` has control characters, but vendors' keys have none");
        item.file.mistake(&item.key, message, "copy it again from the vendor's console");
        return None;
    }
    record_signing_secrets(&item, &secrets, &format!("[apps.{}]", name.escape_debug()), vault);
    taken.secrets.push((name.to_owned(), secrets.clone()));
    Some(secrets)
}

/// Records the signing secrets of an app. Two apps with the same key cause a warning, because vendors give each app its
/// own key.
fn record_signing_secrets(item: &ConfigItem<'_>, secrets: &[Secret], owner: &str, vault: &mut SecretResolver) {
    let parts = || secrets.iter().map(Secret::expose).flat_map(|key| [Some(key), secret_part(key)]).flatten();
    if let Some(other) = parts().find_map(|key| vault.owner_signing_with(key, None)) {
        let message = format!("`{}` is also the key of {other}: anyone who knows it can sign for both", item.name);
        item.file.warning(&item.key, message, "copy each app's own key from its vendor's console");
    }
    vault.signing.extend(parts().map(|key| SigningSecret::new(key, owner, &item.key)));
}

/// Returns the secret part of an Ably key, which is a secret on its own too.
fn secret_part(key: &[u8]) -> Option<&[u8]> {
    let colon = key.iter().position(|byte| *byte == b':')?;
    key.get(colon + 1..)
}

fn ably_keys(
    section: &mut Section<'_>,
    name: &str,
    vault: &mut SecretResolver,
    taken: &mut UsedIdentifiers,
) -> Option<Vec<ably::AblyKey>> {
    let secrets = keys(section, "key", name, vault, taken)?;
    let item = section.get("key")?;
    let note = |message: String, help: &str| item.file.mistake(&item.key, message, help);
    let mut keys = Vec::new();
    for secret in &secrets {
        match ably::AblyKey::parse(secret) {
            Ok(key) => {
                if let Some(part) = secret_part(secret.expose()).filter(|_| !demo::is_demo_secret(secret.expose())) {
                    warn_if_weak(item.file, &item.key, "the secret part of `key`", part);
                }
                vault.public_parts.push(key.name().to_owned());
                keys.push(key);
            }
            Err(flaw) => note(format!("the secret `key` {flaw}"), "copy the whole key from Ably's dashboard"),
        }
    }
    let mut own: Vec<_> = keys.iter().filter_map(|key| key.name().split_once('.')).map(|(app, _)| app).collect();
    own.dedup();
    if own.len() > 1 {
        note("the secret `key` holds keys of different apps".to_owned(), "configure each Ably app as a separate app");
    }
    for id in own {
        let other = taken.ids.insert((Vendor::Ably, id.to_owned()), name.to_owned());
        if let Some(other) = other.filter(|other| other != name) {
            let other = other.escape_debug();
            note(
                format!("the secret `key` is for the same Ably app as the key of [apps.{other}]"),
                "configure each Ably app once",
            );
        }
    }
    (keys.len() == secrets.len()).then_some(keys)
}

/// Reads the lifetimes of tokens, from `least` to `most`. The default of `max_ttl` is `max`. The default of
/// `default_ttl` is 1 hour, or `max_ttl` if that is shorter.
fn ttl(section: &mut Section<'_>, least: &str, most: &str, max: &str) -> Option<Ttl> {
    let given = [section.get("max_ttl"), section.get("default_ttl")];
    let [max_given, default_given] =
        given.each_ref().map(|item| item.as_ref().and_then(|item| item.duration(least, most)));
    let max = max_given.or(value::duration(max))?;
    let min = value::duration(least)?;
    let default = default_given.unwrap_or(max.min(Duration::from_secs(3600)));
    if let ([_, Some(item)], true) = (given, default > max) {
        let longest = value::show_duration(max);
        return item.mistake("is longer than `max_ttl`", format!("write at most \"{longest}\", or raise `max_ttl`"));
    }
    Some(Ttl { min_seconds: min.as_secs(), default_seconds: default.as_secs(), max_seconds: max.as_secs() })
}

/// Applies `min_ttl`, if the file has it. If the file has no `default_ttl`, the default lifetime is at least `min_ttl`.
fn min_ttl(section: &mut Section<'_>, ttl: Option<Ttl>, most: &str) -> Option<Ttl> {
    let Some(item) = section.get("min_ttl") else { return ttl };
    let (min_seconds, ttl) = (item.duration("1s", most)?.as_secs(), ttl?);
    let refuse = |key: &str, seconds| {
        let longest = value::show_duration(Duration::from_secs(seconds));
        item.mistake(format!("is longer than `{key}`"), format!("write at most \"{longest}\", or raise `{key}`"))
    };
    if min_seconds > ttl.max_seconds {
        return refuse("max_ttl", ttl.max_seconds);
    }
    if section.contains_key("default_ttl") && min_seconds > ttl.default_seconds {
        return refuse("default_ttl", ttl.default_seconds);
    }
    Some(Ttl { min_seconds, default_seconds: ttl.default_seconds.max(min_seconds), ..ttl })
}
