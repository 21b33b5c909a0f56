//! `[apps.*.enforcement]`: which apps' bans and mutes are carried to their vendor.

use std::sync::Arc;

use http::Uri;

use super::endpoint;
use super::reader::Section;
use super::secret::SecretResolver;
use crate::authn::Endpoint;
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::moderation::ModerationApi;
use crate::vendor::{App, ably, leancloud, talkjs};

/// Where the vendors' interfaces are, unless the file says otherwise. Each LeanCloud app has an address of its own.
const TALKJS: &str = "https://api.talkjs.com";
const ABLY: &str = "https://main.realtime.ably.net";

/// An app whose bans and mutes are carried to its vendor.
#[derive(Debug)]
pub struct Enforcement {
    /// The app's name.
    pub app: Arc<str>,
    /// Where the vendor's interface is.
    pub endpoint: Endpoint,
    /// What its requests are made with.
    pub moderator: ModerationApi,
}

/// What an app's section says besides.
pub(super) struct EnforcementContext<'a> {
    pub(super) vendor: Vendor,
    /// The app, unless there is a mistake in it.
    pub(super) app: Option<&'a App>,
    /// Its keys.
    pub(super) keys: &'a [Secret],
    /// Whether the file has a `[store]`.
    pub(super) has_store: bool,
}

/// Reads the section of an app, if it has one.
pub(super) fn enforcement(
    section: &mut Section<'_>,
    of: &EnforcementContext<'_>,
    vault: &SecretResolver,
) -> Option<Enforcement> {
    let mut section = section.section("enforcement")?;
    let enabled = section.need("enabled", "write enabled = true").and_then(|item| item.boolean());
    let url = url(&mut section, of.vendor);
    let authorities = endpoint::authorities(&mut section, vault);
    let fits = enabled != Some(true) || fits(&section, of);
    section.finish();
    let app = of.app.filter(|_| enabled == Some(true) && fits)?;
    let moderator = match app {
        App::LeanCloud(app) => {
            ModerationApi::LeanCloud(leancloud::ModerationApi::new(app.app_id().to_owned(), of.keys.first()?.clone()))
        }
        App::TalkJs(app) => {
            ModerationApi::TalkJs(talkjs::ModerationApi::new(app.app_id().to_owned(), of.keys.first()?))
        }
        App::Ably(_) => ModerationApi::Ably(ably::ModerationApi::new(of.keys)),
    };
    Some(Enforcement {
        app: Arc::clone(app.name()),
        endpoint: Endpoint { url: url?, authorities, bearer: None },
        moderator,
    })
}

fn url(section: &mut Section<'_>, vendor: Vendor) -> Option<Uri> {
    let preset = match vendor {
        Vendor::LeanCloud => None,
        Vendor::TalkJs => Some(TALKJS),
        Vendor::Ably => Some(ABLY),
    };
    let item = match preset {
        Some(preset) if !section.has("url") => {
            section.get("url");
            return preset.parse().ok();
        }
        _ => section.need("url", "write the app's API address: url = \"https://…\""),
    };
    endpoint::api(&item?, "")
}

/// Notes what keeps bans from being carried.
fn fits(section: &Section<'_>, of: &EnforcementContext<'_>) -> bool {
    let refuse = |flaw: &str, help: &str| {
        section.file.mistake(&section.span, format!("{} {flaw}", section.title), help);
        false
    };
    if !of.has_store {
        return refuse("needs [store]: what is carried to the vendor is kept there", NO_STORE);
    }
    match of.app {
        Some(App::Ably(app)) if !app.is_revocable() => refuse(
            "does nothing with a key whose tokens can't be revoked",
            "turn on revocable tokens for the key in Ably's dashboard, then write revocable = true for the app",
        ),
        Some(App::LeanCloud(_)) if !of.keys.iter().take(1).all(|key| key.expose().iter().all(u8::is_ascii_graphic)) => {
            refuse(
                "needs a `master_key` that can be sent in a header",
                "copy the Master Key from the console: it has neither white space nor more than ASCII",
            )
        }
        _ => true,
    }
}

/// What to do where there is no store.
pub(super) const NO_STORE: &str = "add one: [store] with type = \"redb\" and a `path`, or type = \"redis\" and a `url`";
