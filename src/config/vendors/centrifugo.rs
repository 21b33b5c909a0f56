//! `[apps.*]` with `vendor = "centrifugo"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::reader::ConfigItem;
use crate::crypto::signing_key::TokenAlgorithm;
use crate::secret::Secret;
use crate::vendor::{App, VendorApp, centrifugo};

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
            let Some(App::Centrifugo(app)) = section.app else { return None };
            let has_proxy = app.gate().is_some();
            Some(Box::new(centrifugo::ModerationApi::new(api_key, has_proxy)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<centrifugo::App> {
    let keys = section.signing_keys(&[TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256]);
    let ttl = section.ttl("1m", "365d", "24h");
    let info_claims = section.claim_names("info_claims");
    let (key, member) = (section.section.get("proxy_key"), section.section.get("proxy_token_member"));
    let token_member = member.map(|item| token_member(&item, key.is_some()));
    let proxy_keys = key.map(|item| proxy_keys(section, &item));
    let (algorithm, keys) = keys?;
    let app = centrifugo::App::new(Arc::from(section.name), algorithm, keys, ttl?, info_claims);
    match (proxy_keys, token_member) {
        (None, None) => Some(app),
        (None, Some(_)) => None,
        (Some(keys), None) => Some(app.with_proxy(keys?, None)),
        (Some(keys), Some(member)) => Some(app.with_proxy(keys?, Some(member?))),
    }
}

/// Reads the keys that Centrifugo can show.
fn proxy_keys(section: &mut AppSection<'_, '_>, item: &ConfigItem<'_>) -> Option<Vec<Secret>> {
    const MESSAGE: &str =
        "a client can replace X-Centrifugo-Proxy-Key if `http_headers` or `emulated_headers` of Centrifugo list it";
    const HELP: &str =
        "list only Cookie, Authorization and Origin there; this warning stays, because only Centrifugo has the list";
    let keys = section.header_keys(item);
    item.file.warning(&item.key, MESSAGE, HELP);
    keys
}

/// Reads the member of a client's `data` with the token of the user.
fn token_member(item: &ConfigItem<'_>, has_proxy: bool) -> Option<String> {
    if !has_proxy {
        return item.mistake("needs `proxy_key`", "write proxy_key = { file = \"PATH\" }, or leave this out");
    }
    item.non_empty_text().map(str::to_owned)
}
