//! LeanCloud's LeanMessage, and TapTap's service with the same protocol. Both use HMAC-SHA1 with the app's master key.

mod demo_routes;
mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::invalid_request::{InvalidRequest, check_permit, missing_key_error};
use super::variants::{ForeignRequest, KeyVariant, MessageVariant, SignatureFormat};
pub use super::vendor_app::TimestampUnit;
use super::vendor_app::VendorApp;
use super::{Nonce, Params, SignedResult, SignedText};
use crate::crypto::constant_time_eq;
use crate::crypto::mac::HmacSha1;
use crate::model::{Action, ActionSet, Caller, Millis, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use demo_routes::DemoRoute;
pub use message::{HistoryOrder, StringToSign};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a LeanCloud app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The action of the same name.
    Action(Action),
    /// A route of LeanCloud's demo servers. The parameters of the request select the action.
    Demo(DemoRoute),
}

/// What to make from a permit: a signature. The permit contains everything that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningJob;

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

/// How long LeanCloud accepts a signature after its timestamp.
const SIGNATURE_VALIDITY: Duration = Duration::from_secs(6 * 60 * 60);

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
        self.unit.number(at)
    }
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn longest_validity(&self) -> Option<Duration> {
        Some(SIGNATURE_VALIDITY)
    }

    fn signed_app_id(&self) -> Option<&str> {
        Some(self.app_id())
    }

    fn time_unit(&self, _: Operation) -> TimestampUnit {
        self.unit
    }

    fn parse(
        &self,
        operation: Operation,
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        let signing_request = match operation {
            Operation::Action(action) => request::parse(self, action, params, caller),
            Operation::Demo(route) => demo_routes::parse(self, route, params, caller),
        }?;
        Ok((signing_request, SigningJob))
    }

    fn parse_body(&self, operation: Operation, body: &[u8], caller: &Caller) -> Option<(SigningRequest, SigningJob)> {
        match operation {
            Operation::Action(action) => Some((request::parse_body(self, action, body, caller)?, SigningJob)),
            Operation::Demo(_) => None,
        }
    }

    fn sign(&self, permit: &Permit, _: &SigningJob, at: Millis, nonce: &Nonce) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, permit.request().action)?;
        let timestamp = self.timestamp(at);
        let message = StringToSign::new(&self.id, self.history, permit.request(), timestamp, nonce.as_str())?;
        let mac = self.keys.first().ok_or_else(missing_key_error)?.mac(message.as_str().as_bytes());
        let (signature, nonce) = (crate::crypto::hex(&mac), nonce.as_str().to_owned());
        Ok(SignedResult::Signature { signature, timestamp, nonce, message })
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }

    fn signed_text(&self, signing_request: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            signature: String,
            timestamp: u64,
            nonce: String,
        }
        let Answer { signature, timestamp, nonce } = serde_json::from_str(answer).ok()?;
        let message = StringToSign::new(&self.id, self.history, signing_request, timestamp, &nonce).ok()?;
        Some(SignedText { text: message.to_string(), mac: hex::decode(signature).ok()?, token: None })
    }

    fn signature_format(&self, _: &SigningJob) -> Option<SignatureFormat> {
        Some(variants::SIGNATURE)
    }

    fn message_variants(&self, _: &SigningJob, foreign: &ForeignRequest<'_>, _: &Secret) -> Vec<MessageVariant> {
        variants::signature_variants(self, foreign)
    }

    fn key_variants(&self, key: &Secret) -> Vec<KeyVariant> {
        variants::master_key_variants(key)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
