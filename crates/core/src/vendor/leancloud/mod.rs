//! LeanCloud's LeanMessage, and TapTap's service with the same protocol. Both use HMAC-SHA1 with the app's master key.

mod demo_routes;
mod message;
mod moderation;
mod request;

use std::fmt;
use std::sync::Arc;

use super::invalid_request::{InvalidRequest, check_permit, missing_key_error};
use super::{Nonce, SignedResult};
use crate::crypto::mac::HmacSha1;
use crate::crypto::{constant_time_eq, hex};
use crate::model::{Action, ActionSet, Millis};
use crate::policy::Permit;
use crate::secret::Secret;

pub use demo_routes::DemoRoute;
pub(super) use demo_routes::parse as parse_compat;
pub use message::{HistoryOrder, StringToSign};
pub use moderation::{ModerationApi, ModerationTarget, Observation, ObservedState};
pub(super) use request::parse;

/// The unit of timestamps. LeanCloud's documentation says milliseconds, but its demos sign seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampUnit {
    /// The unit is milliseconds.
    #[default]
    Milliseconds,
    /// The unit is seconds.
    Seconds,
}

/// The actions that can be signed.
pub const ACTIONS: ActionSet = ActionSet::of(&[
    Action::Login,
    Action::Create,
    Action::Join,
    Action::Leave,
    Action::Invite,
    Action::Kick,
    Action::History,
    Action::BlockClients,
    Action::UnblockClients,
    Action::BlockConversation,
    Action::UnblockConversation,
]);

/// A LeanCloud app.
pub struct App {
    name: Arc<str>,
    id: String,
    keys: Vec<HmacSha1>,
    unit: TimestampUnit,
    history: HistoryOrder,
}

impl App {
    /// Creates an app with its master keys. The first key signs. All keys verify.
    pub fn new(name: Arc<str>, app_id: String, keys: &[Secret], unit: TimestampUnit, history: HistoryOrder) -> App {
        let keys = keys.iter().map(|key| HmacSha1::new(key.expose())).collect();
        App { name, id: app_id, keys, unit, history }
    }

    /// Returns the app's name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the app's id at LeanCloud.
    pub fn app_id(&self) -> &str {
        &self.id
    }

    /// Returns the unit of the app's timestamps.
    pub fn unit(&self) -> TimestampUnit {
        self.unit
    }

    /// Returns the order of the last two fields of `history`.
    pub fn history(&self) -> HistoryOrder {
        self.history
    }

    /// Converts a time to the unit of the app.
    pub fn timestamp(&self, at: Millis) -> u64 {
        match self.unit {
            TimestampUnit::Milliseconds => at.0,
            TimestampUnit::Seconds => at.seconds(),
        }
    }

    pub(super) fn sign(&self, permit: &Permit, at: Millis, nonce: &Nonce) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, permit.request().action)?;
        let timestamp = self.timestamp(at);
        let message = StringToSign::new(&self.id, self.history, permit.request(), timestamp, nonce.as_str())?;
        let mac = self.keys.first().ok_or_else(missing_key_error)?.mac(message.as_str().as_bytes());
        let (signature, nonce) = (hex(&mac), nonce.as_str().to_owned());
        Ok(SignedResult::Signature { signature, timestamp, nonce, message })
    }

    pub(super) fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
