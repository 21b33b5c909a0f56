//! LeanCloud's LeanMessage, and TapTap's service of the same protocol: HMAC-SHA1 with the app's master key.

mod demo_routes;
mod message;
mod moderation;
mod request;

use std::fmt;
use std::sync::Arc;

use super::{InvalidRequest, Nonce, SignedResult, keyless, must_permit};
use crate::crypto::mac::HmacSha1;
use crate::crypto::{equal, hex};
use crate::model::{Action, ActionSet, Millis};
use crate::policy::Permit;
use crate::secret::Secret;

pub use demo_routes::DemoRoute;
pub(super) use demo_routes::parse as parse_compat;
pub use message::StringToSign;
pub use moderation::{ModerationApi, ModerationTarget, Observation, ObservedState};
pub(super) use request::parse;

/// What a timestamp counts. LeanCloud's documentation says milliseconds, its demos sign seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Milliseconds.
    #[default]
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// In which order `history` has its last two fields. LeanCloud's documentation says nonce first, its Node demo timestamp first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryOrder {
    /// `…:nonce:timestamp`.
    #[default]
    NonceTimestamp,
    /// `…:timestamp:nonce`, which reads like the creation of a conversation with one member.
    TimestampNonce,
}

/// What can be signed.
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
    /// An app with its master keys: the first signs, all verify.
    pub fn new(name: Arc<str>, app_id: String, keys: &[Secret], unit: TimestampUnit, history: HistoryOrder) -> App {
        let keys = keys.iter().map(|key| HmacSha1::new(key.expose())).collect();
        App { name, id: app_id, keys, unit, history }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its id at LeanCloud.
    pub fn app_id(&self) -> &str {
        &self.id
    }

    /// What its timestamps count.
    pub fn unit(&self) -> TimestampUnit {
        self.unit
    }

    /// In which order `history` has its last two fields.
    pub fn history(&self) -> HistoryOrder {
        self.history
    }

    /// A point in time in the app's unit.
    pub fn timestamp(&self, at: Millis) -> u64 {
        match self.unit {
            TimestampUnit::Milliseconds => at.0,
            TimestampUnit::Seconds => at.seconds(),
        }
    }

    pub(super) fn sign(&self, permit: &Permit, at: Millis, nonce: &Nonce) -> Result<SignedResult, InvalidRequest> {
        must_permit(permit, permit.ask().action)?;
        let timestamp = self.timestamp(at);
        let message = StringToSign::new(self, permit.ask(), timestamp, nonce.as_str())?;
        let mac = self.keys.first().ok_or_else(keyless)?.mac(message.as_str().as_bytes());
        let (signature, nonce) = (hex(&mac), nonce.as_str().to_owned());
        Ok(SignedResult::Signature { signature, timestamp, nonce, message })
    }

    pub(super) fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| equal(&key.mac(message.as_bytes()), mac))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
