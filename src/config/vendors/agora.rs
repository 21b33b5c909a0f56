//! `[apps.*]` with `vendor = "agora"`.

use std::sync::Arc;

use super::{AppSection, EnforcementConfig, VendorConfig};
use crate::config::text;
use crate::secret::Secret;
use crate::vendor::{App, agora};

const SECRET_KEY: &str = "app_certificate";

pub(super) static CONFIG: VendorConfig = VendorConfig {
    secret_key: SECRET_KEY,
    app: |section| app(section).map(App::Agora),
    enforcement: Some(EnforcementConfig {
        default_url: None,
        obstacle: |_, _| None,
        moderation_api: |section| {
            let [org, name] = [("org", "OrgName"), ("app", "AppName")].map(|(key, title)| {
                let help = format!("write the {title} of Agora Chat from Agora's console");
                let item = section.section.require(key, &help)?;
                text::identifier(&item, &help).map(str::to_owned)
            });
            let Some(App::Agora(app)) = section.app else { return None };
            let (id, certificate) = (app.app_id().to_owned(), section.keys.first()?.clone());
            Some(Box::new(agora::ModerationApi::new(id, certificate, org?, name?)))
        },
    }),
};

fn app(section: &mut AppSection<'_, '_>) -> Option<agora::App> {
    let app_id = app_id(section);
    let certificates = section.keys(SECRET_KEY).and_then(|(item, secrets)| {
        let is_certificate = |secret: &Secret| is_id(secret.expose());
        if secrets.iter().all(is_certificate) {
            return Some(secrets);
        }
        item.file.mistake(
            &item.key,
            "the secret `app_certificate` must be 32 hex digits",
            "copy it from Agora's console",
        );
        None
    });
    let ttl = section.ttl("1m", "24h", "24h");
    Some(agora::App::new(Arc::from(section.name), app_id?, &certificates?, ttl?))
}

fn app_id(section: &mut AppSection<'_, '_>) -> Option<String> {
    const HELP: &str = "write the App ID from Agora's console: 32 hex digits";
    let item = section.section.require("app_id", HELP)?;
    let id = item.non_empty_text()?;
    if !is_id(id.as_bytes()) {
        return item.mistake("must be 32 hex digits", HELP);
    }
    section.record_id(&item, id.to_ascii_lowercase())?;
    if id.bytes().all(|byte| byte == b'0') {
        item.file.warning(&item.span, "`app_id` is still the id of the examples", HELP);
    }
    Some(id.to_owned())
}

/// Returns whether this is an id or a certificate of Agora.
fn is_id(text: &[u8]) -> bool {
    text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit)
}
