//! `[apps.*]` with `vendor = "centrifugo"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::crypto::signing_key::TokenAlgorithm;
use crate::vendor::{App, centrifugo};

const SECRET_KEY: &str = "secret";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Centrifugo),
    enforcement: Some(EnforcementConfig {
        default_url: None,
        obstacle: |_, _| None,
        moderation_api: |section| {
            let help = "write api_key = { env = \"NAME\" } or { file = \"PATH\" }: http_api.key of the server";
            let item = section.section.require("api_key", help)?;
            let api_key = section.vault.secret(&item)?;
            Some(Box::new(centrifugo::ModerationApi::new(api_key, false)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<centrifugo::App> {
    let keys = section.signing_keys(&[TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256]);
    let ttl = section.ttl("1m", "365d", "24h");
    let info_claims = section.claim_names("info_claims");
    let (algorithm, keys) = keys?;
    Some(centrifugo::App::new(Arc::from(section.name), algorithm, keys, ttl?, info_claims))
}
