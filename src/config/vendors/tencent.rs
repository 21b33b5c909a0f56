//! `[apps.*]` with `vendor = "tencent"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::reader::ConfigItem;
use crate::vendor::App;
use crate::vendor::tencent::{self, DEFAULT_ADMINISTRATOR};

const SECRET_KEY: &str = "secret";

/// The id in the examples of the documentation and in the file that `init` writes.
const EXAMPLE_ID: u32 = 1_400_000_000;

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Tencent),
    enforcement: Some(EnforcementConfig {
        default_url: Some("https://console.tim.qq.com"),
        obstacle: |_, _| None,
        moderation_api: |section| {
            let item = section.section.get("administrator");
            let account = item.as_ref().map_or(Some(DEFAULT_ADMINISTRATOR), ConfigItem::text);
            let Some(App::Tencent(app)) = section.app else { return None };
            if let (Some(item), false) = (item, account.is_none_or(|account| app.is_administrator(account))) {
                return item
                    .mistake("is not an administrator of the app", "list it in `administrators` of the app, too");
            }
            let account = account?.to_owned();
            Some(Box::new(tencent::ModerationApi::new(app.sdk_app_id(), section.keys.first()?, account)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<tencent::App> {
    let id = sdk_app_id(section);
    let secrets = section.keys(SECRET_KEY).map(|(_, secrets)| secrets);
    let administrators = section.section.get("administrators").map(|item| item.read_unique_list(administrator));
    let ttl = section.ttl("1m", "365d", "24h");
    Some(tencent::App::new(
        Arc::from(section.name),
        id?,
        &secrets?,
        administrators.unwrap_or_else(|| Some(Vec::new()))?,
        ttl?,
    ))
}

fn sdk_app_id(section: &mut AppSection<'_, '_>) -> Option<u32> {
    const HELP: &str = "write the SDKAppID from Tencent's console: sdk_app_id = 1400123456";
    let item = section.section.require("sdk_app_id", HELP)?;
    let id = item.integer(1..=u32::MAX)?;
    section.record_id(&item, id.to_string())?;
    if id == EXAMPLE_ID {
        item.file.warning(&item.span, "`sdk_app_id` is still the number of the examples", HELP);
    }
    Some(id)
}

fn administrator(item: &ConfigItem<'_>) -> Option<String> {
    let id = item.text()?;
    match tencent::check_user(id) {
        Ok(()) => Some(id.to_owned()),
        Err(flaw) => item.mistake(flaw, "write the account of an administrator at Tencent"),
    }
}
