//! `[apps.*]` with `vendor = "livekit"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::vendor::App;
use crate::vendor::livekit::{self, ProfileClaims};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::LiveKit),
    enforcement: Some(EnforcementConfig {
        default_url: None,
        obstacle: |_, _| None,
        moderation_api: |section| {
            let Some(App::LiveKit(app)) = section.app else { return None };
            Some(Box::new(livekit::ModerationApi::new(app.api_key().to_owned(), section.keys.first()?)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<livekit::App> {
    let url = url(section);
    let api_key = section.vendor_id("api_key", "the API key of your LiveKit project");
    let secrets = section.keys(SECRET_KEY).map(|(_, secrets)| secrets);
    let ttl = section.ttl("1m", "24h", "6h");
    let name = section.section.get("name_claim").and_then(|item| item.non_empty_text().map(str::to_owned));
    let (metadata, attributes) = (section.claim_names("metadata_claims"), section.claim_names("attribute_claims"));
    let claims = ProfileClaims { name, metadata, attributes };
    Some(livekit::App::new(Arc::from(section.name), url?, api_key?, &secrets?, ttl?, claims))
}

/// Reads the address that clients connect to.
fn url(section: &mut AppSection<'_, '_>) -> Option<String> {
    const HELP: &str = "write the address that clients connect to: url = \"wss://…\"";
    let item = section.section.require("url", HELP)?;
    let url = item.non_empty_text()?;
    let has_scheme = ["wss://", "ws://", "https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    if !has_scheme || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return item.mistake("must be an address that starts with wss://", HELP);
    }
    Some(url.to_owned())
}
