//! `[apps.*.enforcement]`: whether the program carries out the bans and mutes of an app at its vendor.

use std::sync::Arc;

use http::Uri;

use super::endpoint;
use super::reader::Section;
use super::secret::SecretResolver;
use crate::authn::Endpoint;
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::ModerationApi;
use crate::vendor::{App, ably, leancloud, talkjs};

/// The default addresses of the vendor APIs. LeanCloud has none, because each LeanCloud app has its own address.
const TALKJS: &str = "https://api.talkjs.com";
const ABLY: &str = "https://main.realtime.ably.net";

/// An app whose bans and mutes the program carries out at its vendor.
#[derive(Debug)]
pub struct Enforcement {
    /// The app's name.
    pub app: Arc<str>,
    /// The address of the vendor API.
    pub endpoint: Endpoint,
    /// The API client with its credentials.
    pub moderation_api: ModerationApi,
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
    vault: &SecretResolver,
) -> Option<Enforcement> {
    let mut section = section.section("enforcement")?;
    let enabled = section.require("enabled", "write enabled = true").and_then(|item| item.boolean());
    let url = url(&mut section, of.vendor);
    let authorities = endpoint::authorities(&mut section, vault);
    let fits = enabled != Some(true) || check_requirements(&section, of);
    section.report_unknown_keys();
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
        endpoint: Endpoint { authorities, proxy: vault.proxy.clone(), ..Endpoint::new(url?) },
        moderation_api: moderator,
    })
}

fn url(section: &mut Section<'_>, vendor: Vendor) -> Option<Uri> {
    let preset = match vendor {
        Vendor::LeanCloud => None,
        Vendor::TalkJs => Some(TALKJS),
        Vendor::Ably => Some(ABLY),
    };
    let item = match preset {
        Some(preset) if !section.contains_key("url") => {
            section.get("url");
            return preset.parse().ok();
        }
        _ => section.require("url", "write the app's API address: url = \"https://…\""),
    };
    endpoint::api(&item?, "")
}

/// Notes a mistake if the program cannot carry out bans for this app. Returns whether there is none.
fn check_requirements(section: &Section<'_>, of: &EnforcementContext<'_>) -> bool {
    let refuse = |flaw: &str, help: &str| {
        section.file.mistake(&section.span, format!("{} {flaw}", section.title), help);
        false
    };
    if !of.has_store {
        return refuse("needs [store]: changes that wait for the vendor are kept there", NO_STORE);
    }
    match of.app {
        Some(App::Ably(app)) if !app.is_revocable() => refuse(
            "has no effect with a key whose tokens can't be revoked",
            "turn on revocable tokens for the key in Ably's dashboard, then write revocable = true for the app",
        ),
        Some(App::LeanCloud(_)) if !of.keys.iter().take(1).all(|key| key.expose().iter().all(u8::is_ascii_graphic)) => {
            refuse(
                "needs a `master_key` that can be sent in a header",
                "copy the Master Key from the console: it has only ASCII characters and no white space",
            )
        }
        _ => true,
    }
}

/// The help text if there is no store.
pub(super) const NO_STORE: &str = "add one: [store] with type = \"redb\" and a `path`, or type = \"redis\" and a `url`";
