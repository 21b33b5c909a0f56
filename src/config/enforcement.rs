//! `[apps.*.enforcement]`: whether the program carries out the bans and mutes of an app at its vendor.

use std::sync::Arc;

use http::Uri;

use super::endpoint;
use super::reader::Section;
use super::secret::SecretResolver;
use super::vendors::{self, EnforcementConfig, EnforcementSection};
use crate::authn::Endpoint;
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::App;
use crate::vendor::moderation::VendorModeration;

/// An app whose bans and mutes the program carries out at its vendor.
#[derive(Debug)]
pub struct Enforcement {
    /// The app's name.
    pub app: Arc<str>,
    /// The address of the vendor API.
    pub endpoint: Endpoint,
    /// The API client with its credentials.
    pub moderation_api: Box<dyn VendorModeration>,
}

/// The other settings of the app.
pub(super) struct EnforcementContext<'a> {
    pub(super) vendor: Vendor,
    /// The app, unless its section has a mistake.
    pub(super) app: Option<&'a App>,
    /// The keys of the app.
    pub(super) keys: &'a [Secret],
    /// Whether the file has a `[store]`.
    pub(super) has_store: bool,
}

/// Reads the `enforcement` section of an app, if it has one.
pub(super) fn enforcement(
    section: &mut Section<'_>,
    of: &EnforcementContext<'_>,
    vault: &mut SecretResolver,
) -> Option<Enforcement> {
    let mut section = section.section("enforcement")?;
    let Some(config) = &vendors::config(of.vendor).enforcement else {
        refuse(&section, "is not possible: the program knows no moderation API of this vendor", "leave it out");
        section.hide_unread_values();
        return None;
    };
    let enabled = section.require("enabled", "write enabled = true").and_then(|item| item.boolean());
    let url = url(&mut section, config.default_url);
    let authorities = endpoint::authorities(&mut section, vault);
    let proxy = vault.proxy.clone();
    let mut own = EnforcementSection { section: &mut section, vault, app: of.app, keys: of.keys };
    let moderation_api = (config.moderation_api)(&mut own);
    let fits = enabled != Some(true) || check_requirements(&section, config, of);
    section.report_unknown_keys();
    let app = of.app.filter(|_| enabled == Some(true) && fits)?;
    let moderation_api = moderation_api?;
    let endpoint = Endpoint { authorities, proxy, ..Endpoint::new(url?) };
    Some(Enforcement { app: Arc::clone(app.name()), endpoint, moderation_api })
}

fn url(section: &mut Section<'_>, default: Option<&str>) -> Option<Uri> {
    let item = match default {
        Some(default) if !section.contains_key("url") => {
            section.get("url");
            return default.parse().ok();
        }
        _ => section.require("url", "write the app's API address: url = \"https://…\""),
    };
    endpoint::api(&item?, "")
}

/// Notes a mistake if the program cannot carry out bans for this app. Returns whether there is none.
fn check_requirements(section: &Section<'_>, config: &EnforcementConfig, of: &EnforcementContext<'_>) -> bool {
    if !of.has_store {
        return refuse(section, "needs [store]: changes that wait for the vendor are kept there", NO_STORE);
    }
    let obstacle = of.app.and_then(|app| (config.obstacle)(app, of.keys));
    obstacle.is_none_or(|(flaw, help)| refuse(section, flaw, help))
}

/// Notes a mistake of the section. Returns false.
fn refuse(section: &Section<'_>, flaw: &str, help: &str) -> bool {
    section.file.mistake(&section.span, format!("{} {flaw}", section.title), help);
    false
}

/// The help text if there is no store.
pub(super) const NO_STORE: &str = "add one: [store] with type = \"redb\" and a `path`, or type = \"redis\" and a `url`";
