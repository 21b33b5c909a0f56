//! `[apps.*]` with `vendor = "pusher"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::reader::{ConfigItem, quoted};
use crate::config::text;
use crate::crypto::base64_decode;
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::App;
use crate::vendor::pusher::{self, ChannelOptions, ENCRYPTION_KEY_BYTES};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Pusher),
    enforcement: Some(EnforcementConfig {
        default_url: None,
        obstacle: |_, _| None,
        moderation_api: |section| {
            let Some(App::Pusher(app)) = section.app else { return None };
            let (id, key) = (app.app_id().to_owned(), app.key().to_owned());
            Some(Box::new(pusher::ModerationApi::new(id, key, section.keys.first()?, app.has_client_events())))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<pusher::App> {
    let app_id = section.app_id();
    let key = key(section);
    let secrets = section.keys(SECRET_KEY).map(|(_, secrets)| secrets);
    let client_events = section.section.get("client_events").and_then(|item| item.boolean()).unwrap_or(true);
    let encryption_key = encryption_key(section);
    let presence_claims = section.claim_names("presence_claims");
    let options = ChannelOptions { client_events, encryption_key, presence_claims };
    Some(pusher::App::new(Arc::from(section.name), app_id?, key?, &secrets?, options))
}

/// Reads the public key of the app. The answers contain it before a `:`.
fn key(section: &mut AppSection<'_, '_>) -> Option<String> {
    const HELP: &str = "write the app's key from Pusher's dashboard";
    let item = section.section.require("key", HELP)?;
    let key = text::identifier(&item, HELP)?;
    if key.contains(':') {
        return item.mistake("must not hold a `:`", HELP);
    }
    Some(key.to_owned())
}

/// Reads the key for encrypted channels, if the app has one.
fn encryption_key(section: &mut AppSection<'_, '_>) -> Option<Secret> {
    const HELP: &str = "make one: openssl rand -base64 32";
    let item = section.section.get("encryption_master_key")?;
    let text = section.vault.secret(&item)?;
    let bytes = std::str::from_utf8(text.expose()).ok().and_then(|text| base64_decode(text.trim()));
    match bytes.filter(|bytes| bytes.len() == ENCRYPTION_KEY_BYTES) {
        Some(bytes) => Some(Secret::new(bytes)),
        None => item.mistake("must be 32 bytes in Base64", HELP),
    }
}

/// Returns the app for the routes of Pusher's SDKs: the app that the item names, or the only one.
pub(in crate::config) fn compat_app(item: Option<&ConfigItem<'_>>, names: &[String]) -> Option<(Vendor, String)> {
    const HELP: &str = "add one: [apps.NAME] with vendor = \"pusher\"; or leave this out";
    let app = match (item, names) {
        (Some(item), []) => {
            let name = item.non_empty_text()?;
            return item.mistake(format!("names {}, and there is no Pusher app", quoted(name)), HELP);
        }
        (Some(item), _) => item.known_word("a configured Pusher app", names)?,
        (None, [app]) => app,
        (None, _) => return None,
    };
    Some((Vendor::Pusher, app.to_owned()))
}

/// Returns the names of the Pusher apps.
pub(in crate::config) fn app_names(vendors: &[(String, Vendor)]) -> Vec<String> {
    vendors.iter().filter(|(_, vendor)| *vendor == Vendor::Pusher).map(|(name, _)| name.clone()).collect()
}
