//! The audit line for a signature that an operator makes by hand.

use serde::Serialize;

use super::record::{AuditCaller, AuditScope, line, serialize_display, serialize_display_option, serialize_grants};
use crate::model::{Millis, RequestedGrant};

/// A signature that an operator made without a server and without the policy. It has no field for the signature itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OperatorSignature<'a> {
    /// When the line was made.
    #[serde(serialize_with = "serialize_display")]
    pub time: Millis,
    /// The constant [`EVENT`](Self::EVENT).
    pub event: &'static str,
    /// The operator.
    pub caller: AuditCaller<'a>,
    /// The app's name.
    pub app: &'a str,
    /// The vendor of the app.
    pub vendor: &'static str,
    /// The action that was signed.
    pub action: &'static str,
    /// The chat identity that the signature is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<AuditScope<'a>>,
    /// The members.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub targets: &'a [String],
    /// The capability that was signed.
    #[serde(skip_serializing_if = "<[RequestedGrant]>::is_empty", serialize_with = "serialize_grants")]
    pub granted: &'a [RequestedGrant],
    /// The nonce that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// The time that was signed, if the operator gave it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_display_option")]
    pub signed_at: Option<Millis>,
}

impl OperatorSignature<'_> {
    /// The value of `event`.
    pub const EVENT: &'static str = "request.signed";

    /// Formats the line, with its newline.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        line(self)
    }
}
