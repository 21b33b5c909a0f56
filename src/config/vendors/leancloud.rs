//! `[apps.*]` with `vendor = "leancloud"`, and other settings that name such an app.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::reader::{ConfigItem, quoted};
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::leancloud::{self, HistoryOrder, TimestampUnit};
use crate::vendor::{App, VendorApp};

const SECRET_KEY: &str = "master_key";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::LeanCloud),
    enforcement: Some(EnforcementConfig {
        // Each LeanCloud app has its own address.
        default_url: None,
        obstacle: |_, keys| {
            keys.first().filter(|key| !fits_header(key)).map(|_| {
                (
                    "needs a `master_key` that can be sent in a header",
                    "copy the Master Key from the console: it has only ASCII characters and no white space",
                )
            })
        },
        moderation_api: |section| {
            let Some(App::LeanCloud(app)) = section.app else { return None };
            Some(Box::new(leancloud::ModerationApi::new(app.app_id().to_owned(), section.keys.first()?.clone())))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<leancloud::App> {
    let app_id = section.app_id();
    let keys = section.keys(SECRET_KEY).map(|(_, keys)| keys);
    let units = [("ms", TimestampUnit::Milliseconds), ("s", TimestampUnit::Seconds)];
    let unit = section.section.get("timestamp").and_then(|item| item.keyword(&units)).unwrap_or_default();
    let orders = [("nonce-timestamp", HistoryOrder::NonceTimestamp), ("timestamp-nonce", HistoryOrder::TimestampNonce)];
    let order = section.section.get("history_order").and_then(|item| item.keyword(&orders));
    let order = order.unwrap_or(HistoryOrder::NonceTimestamp);
    Some(leancloud::App::new(Arc::from(section.name), app_id?, &keys?, unit, order))
}

/// Returns whether a master key can be sent in a header.
pub(in crate::config) fn fits_header(key: &Secret) -> bool {
    key.expose().iter().all(u8::is_ascii_graphic)
}

/// Returns the names of the LeanCloud apps.
pub(in crate::config) fn app_names(vendors: &[(String, Vendor)]) -> Vec<String> {
    let ours = vendors.iter().filter(|(_, vendor)| *vendor == Vendor::LeanCloud);
    ours.map(|(name, _)| name.clone()).collect()
}

/// Reads the name of a LeanCloud app.
pub(in crate::config) fn app_name<'a>(item: &ConfigItem<'a>, names: &[String]) -> Option<&'a str> {
    const HELP: &str = "add one: [apps.NAME] with vendor = \"leancloud\"; or leave this out";
    let name = item.known_word("a configured LeanCloud app", names)?;
    if names.is_empty() {
        return item.mistake(format!("names {}, and there is no LeanCloud app", quoted(name)), HELP);
    }
    Some(name)
}

/// Returns the app for the routes of LeanCloud's demo servers: the app that the item names, or the only one.
pub(in crate::config) fn compat_app(item: Option<&ConfigItem<'_>>, names: &[String]) -> Option<(Vendor, String)> {
    let app = match (item, names) {
        (Some(item), _) => app_name(item, names)?,
        (None, [app]) => app,
        (None, _) => return None,
    };
    Some((Vendor::LeanCloud, app.to_owned()))
}

/// Returns the LeanCloud app id of the app with this name.
pub(in crate::config) fn app_id(apps: &[App], name: &str) -> Option<String> {
    apps.iter().find_map(|app| match app {
        App::LeanCloud(app) if **app.name() == *name => Some(app.app_id().to_owned()),
        _ => None,
    })
}
