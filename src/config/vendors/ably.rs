//! `[apps.*]` with `vendor = "ably"`.

use std::sync::Arc;
use std::time::Duration;

use super::app_section::secret_part;
use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::reader::{ConfigItem, Section, quoted};
use crate::config::signing::warn_if_weak;
use crate::config::text::warn_of_regular_expression;
use crate::config::{demo, value};
use crate::model::{Action, ActionSet, Template, check_identifier};
use crate::vendor::ably::{self, AblyKey, UserClaims, check_wildcard};
use crate::vendor::{App, Ttl};

const SECRET_KEY: &str = "key";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Ably),
    enforcement: Some(EnforcementConfig {
        default_url: Some("https://main.realtime.ably.net"),
        obstacle: |app, _| match app {
            App::Ably(app) if !app.is_revocable() => Some((
                "has no effect with a key whose tokens can't be revoked",
                "turn on revocable tokens for the key in Ably's dashboard, then write revocable = true for the app",
            )),
            _ => None,
        },
        moderation_api: |section| Some(Box::new(ably::ModerationApi::new(section.keys))),
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<ably::App> {
    let keys = keys(section);
    let revocable = section.switch("revocable");
    let most = if revocable { "1h" } else { "24h" };
    let ttl = section.ttl("1m", most, most);
    let ttl = min_ttl(section.section, ttl, most);
    let capability = capability(section.section);
    let user_claims = user_claims(section.section);
    let forward_claims = forward_claims(section.section);
    Some(ably::App::new(Arc::from(section.name), keys?, ttl?, revocable, capability, user_claims, forward_claims))
}

/// Reads the API keys, which must all be keys of one Ably app.
fn keys(section: &mut AppSection<'_, '_>) -> Option<Vec<AblyKey>> {
    let (item, secrets) = section.keys(SECRET_KEY)?;
    let note = |message: String, help: &str| item.file.mistake(&item.key, message, help);
    let mut keys = Vec::new();
    for secret in &secrets {
        match AblyKey::parse(secret) {
            Ok(key) => {
                if let Some(part) = secret_part(secret.expose()).filter(|_| !demo::is_demo_secret(secret.expose())) {
                    warn_if_weak(item.file, &item.key, "the secret part of `key`", part);
                }
                section.vault.public_parts.push(key.name().to_owned());
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
        let other = section.taken.ids.insert((section.vendor, id.to_owned()), section.name.to_owned());
        if let Some(other) = other.filter(|other| other != section.name) {
            let other = other.escape_debug();
            let message = format!("the secret `key` is for the same Ably app as the key of [apps.{other}]");
            item.file.conflict(&item.key, message, "configure each Ably app once");
        }
    }
    (keys.len() == secrets.len()).then_some(keys)
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

/// Reads the capability of tokens whose request names no channels. The limits are the same as for a request.
fn capability(section: &mut Section<'_>) -> Vec<(Template, ActionSet)> {
    let Some(item) = section.get("capability") else { return Vec::new() };
    let Some(section) = item.section("`capability`".to_owned()) else { return Vec::new() };
    let entries = section.entries();
    if entries.is_empty() {
        let help = "name channels and operations: capability = { \"chat:*\" = [\"subscribe\"] }";
        item.mistake::<()>("must not be empty", help);
    }
    let grants: Vec<_> = entries.iter().filter_map(|item| resource(item).zip(operations(item))).collect();
    if grants.iter().map(|(_, operations)| operations.len()).sum::<usize>() > 100 {
        let help = "name fewer, or use patterns such as \"chat:*\"; \"*\" counts as all 17 operations";
        item.mistake::<()>("has more than 100 pairs of channel and operation", help);
    }
    grants
}

fn resource(item: &ConfigItem<'_>) -> Option<Template> {
    let template = Template::parse(item.name).and_then(|template| check_wildcard(item.name).map(|()| template));
    let flaw = match (check_identifier(item.name, 255), template) {
        (Err(flaw), _) => flaw.to_string(),
        (_, Err(flaw)) => flaw,
        _ if item.name.starts_with(':') => "must not start with `:`".to_owned(),
        _ if item.name.starts_with('[') && item.name.ends_with('*') => {
            "must not end with `*`, because it starts with `[`".to_owned()
        }
        (_, Ok(template)) => {
            warn_of_regular_expression(item.file, &item.key, item.name);
            return Some(template);
        }
    };
    let help = "write a channel's name, \"ns:*\" or \"*\", with {client} or {claim:NAME} only as whole segments";
    item.file.mistake(&item.key, format!("the channel {} {flaw}", quoted(item.name)), help);
    None
}

fn operations(item: &ConfigItem<'_>) -> Option<ActionSet> {
    let items = item.list()?;
    if items.iter().any(|item| item.value.as_str() == Some("*")) {
        return match items.len() {
            1 => Some(ActionSet::CHANNEL_OPERATIONS),
            _ => {
                item.mistake("has \"*\" together with other operations", "write [\"*\"] alone, or list each operation")
            }
        };
    }
    let words: Vec<_> = ActionSet::CHANNEL_OPERATIONS.iter().map(|action| (action.as_str(), action)).collect();
    item.read_unique_list(|item| item.keyword::<Action>(&words)).map(|operations| operations.into_iter().collect())
}

/// Reads the kinds of channels for which tokens get the claims of the user.
fn user_claims(section: &mut Section<'_>) -> UserClaims {
    let families = section
        .get("user_claims")
        .and_then(|item| item.read_unique_list(|item| item.keyword(&[("channel", 'c'), ("room", 'r')])));
    let families = families.unwrap_or_default();
    UserClaims { channel: families.contains(&'c'), room: families.contains(&'r') }
}

/// Reads the names of the claims that are copied from the token of the caller into the Ably token.
fn forward_claims(section: &mut Section<'_>) -> Vec<String> {
    section.get("forward_claims").and_then(|item| item.read_unique_list(forward_claim)).unwrap_or_default()
}

/// Reads the name of a claim that is copied from the token of the caller into the Ably token.
fn forward_claim(item: &ConfigItem<'_>) -> Option<String> {
    const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
    let name = item.non_empty_text()?;
    let folded = name.to_ascii_lowercase();
    if folded.starts_with("x-ably-") || folded.starts_with("ably.") {
        return item.mistake(format!("can't have {}: Ably uses this claim itself", quoted(name)), "leave it out");
    }
    if REGISTERED.contains(&folded.as_str()) {
        return item
            .mistake(format!("can't have {}: this claim describes the token itself", quoted(name)), "leave it out");
    }
    Some(name.to_owned())
}
