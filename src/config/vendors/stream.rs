//! `[apps.*]` with `vendor = "stream"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::vendor::{App, stream};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Stream),
    enforcement: Some(EnforcementConfig {
        default_url: Some("https://chat.stream-io-api.com"),
        obstacle: |_, _| None,
        moderation_api: |section| {
            let Some(App::Stream(app)) = section.app else { return None };
            Some(Box::new(stream::ModerationApi::new(app.api_key().to_owned(), section.keys.first()?)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<stream::App> {
    let api_key = section.vendor_id("api_key", "the app's key from Stream's dashboard");
    let secrets = section.keys(SECRET_KEY).map(|(_, secrets)| secrets);
    let ttl = section.ttl("1m", "365d", "24h");
    Some(stream::App::new(Arc::from(section.name), api_key?, &secrets?, ttl?))
}
