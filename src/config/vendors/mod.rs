//! The parts of `[apps.*]` that depend on the vendor: a file for each vendor.

mod ably;
mod agora;
mod app_section;
mod centrifugo;
mod jwt;
pub(super) mod leancloud;
mod livekit;
pub(super) mod pusher;
mod signing_keys;
mod stream;
mod talkjs;
mod tencent;

pub(super) use app_section::{AppSection, UsedIdentifiers};

use super::reader::Section;
use super::secret::SecretResolver;
use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::App;
use crate::vendor::moderation::VendorModeration;

/// How the sections of a vendor are read.
pub(super) struct VendorConfig {
    /// The key that names the secrets.
    pub(super) secret_key: &'static str,
    /// Reads the app. `None` means that a mistake was noted.
    pub(super) app: fn(&mut AppSection<'_, '_>) -> Option<App>,
    /// The moderation API, if the program knows one.
    pub(super) enforcement: Option<EnforcementConfig>,
}

/// How the section `enforcement` of a vendor is read.
pub(super) struct EnforcementConfig {
    /// The address of the API, if all apps have the same.
    pub(super) default_url: Option<&'static str>,
    /// Returns why the program cannot carry out bans for this app.
    pub(super) obstacle: fn(&App, &[Secret]) -> Option<Obstacle>,
    /// Reads the further keys of the section and creates the API client. `None` means that the app has a mistake, or that
    /// a mistake was noted.
    pub(super) moderation_api: fn(&mut EnforcementSection<'_, '_>) -> Option<ModerationClient>,
}

/// The section `enforcement` of an app while it is read.
pub(super) struct EnforcementSection<'s, 'a> {
    pub(super) section: &'s mut Section<'a>,
    pub(super) vault: &'s mut SecretResolver,
    /// The app, unless its section has a mistake.
    pub(super) app: Option<&'s App>,
    /// The keys of the app.
    pub(super) keys: &'s [Secret],
}

/// A mistake and its correction. The first text completes "[apps.NAME.enforcement] …".
pub(super) type Obstacle = (&'static str, &'static str);

type ModerationClient = Box<dyn VendorModeration>;

/// Returns how the sections of this vendor are read.
pub(super) fn config(vendor: Vendor) -> &'static VendorConfig {
    match vendor {
        Vendor::LeanCloud => &leancloud::CONFIG,
        Vendor::TalkJs => &talkjs::CONFIG,
        Vendor::Ably => &ably::CONFIG,
        Vendor::Stream => &stream::CONFIG,
        Vendor::Centrifugo => &centrifugo::CONFIG,
        Vendor::LiveKit => &livekit::CONFIG,
        Vendor::Pusher => &pusher::CONFIG,
        Vendor::Tencent => &tencent::CONFIG,
        Vendor::Agora => &agora::CONFIG,
        Vendor::Jwt => &jwt::CONFIG,
    }
}
