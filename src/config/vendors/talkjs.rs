//! `[apps.*]` with `vendor = "talkjs"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::vendor::{App, talkjs};

const SECRET_KEY: &str = "secret_key";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::TalkJs),
    enforcement: Some(EnforcementConfig {
        default_url: Some("https://api.talkjs.com"),
        obstacle: |_, _| None,
        moderation_api: |section| {
            let Some(App::TalkJs(app)) = section.app else { return None };
            Some(Box::new(talkjs::ModerationApi::new(app.app_id().to_owned(), section.keys.first()?)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<talkjs::App> {
    let app_id = section.app_id();
    let keys = section.keys(SECRET_KEY).map(|(_, keys)| keys);
    let ttl = section.ttl("10m", "365d", "24h");
    let legacy_signatures = section.switch("legacy_signatures");
    Some(talkjs::App::new(Arc::from(section.name), app_id?, &keys?, ttl?, legacy_signatures))
}
