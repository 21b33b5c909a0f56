//! The text that is signed for LeanCloud.
//!
//! Its fields are joined with `:` (guide "Security, Permission Management"):
//!
//! | action | message |
//! |---|---|
//! | login | `appid:client::timestamp:nonce` |
//! | create | `appid:client:members:timestamp:nonce` |
//! | join, invite | `appid:client:conv:members:timestamp:nonce:invite` |
//! | leave, kick | `appid:client:conv:members:timestamp:nonce:kick` |
//! | history | `appid:client:conv:nonce:timestamp`, or `…:timestamp:nonce` |
//! | block-conversation | `appid:client:conv::timestamp:nonce:client-block-conversations` |
//! | unblock-conversation | `appid:client:conv::timestamp:nonce:client-unblock-conversations` |
//! | block-clients | `appid:client:conv:members:timestamp:nonce:conversation-block-clients` |
//! | unblock-clients | `appid:client:conv:members:timestamp:nonce:conversation-unblock-clients` |
//!
//! `members` are the ids that the client will send. They must be complete, in ascending order of code points, and
//! joined with `:`.

use std::fmt::{self, Write as _};

use crate::model::{Action, SigningRequest};
use crate::vendor::invalid_request::{InvalidRequest, wrong_permit_error};

/// The order of the last two fields in the message of `history`. LeanCloud's documentation puts the nonce first. Its
/// Node demo puts the timestamp first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryOrder {
    /// `…:nonce:timestamp`.
    #[default]
    NonceTimestamp,
    /// `…:timestamp:nonce`. This message equals the message for creating a conversation with a single member.
    TimestampNonce,
}

/// The text to sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StringToSign(String);

impl StringToSign {
    /// Builds the message for the request `ask` to the app with this id, byte for byte. `timestamp` is in the unit of the
    /// app. Identifiers and nonce are used unchanged. [`parse`](crate::vendor::parse) and [`Nonce`](crate::vendor::Nonce)
    /// make sure that they cannot be read in two ways.
    ///
    /// # Errors
    /// Returns an error if the action is not an action of LeanCloud, or if the conversation is missing or is a pattern.
    pub fn new(
        app_id: &str,
        history: HistoryOrder,
        signing_request: &SigningRequest,
        timestamp: u64,
        nonce: &str,
    ) -> Result<StringToSign, InvalidRequest> {
        let mut message = StringToSign(String::with_capacity(message_capacity(app_id, signing_request, nonce)));
        message.0.push_str(app_id);
        message.push_field(&signing_request.client);
        match signing_request.action {
            Action::Login => message.push_field(""),
            Action::Create => message.push_members(&signing_request.members),
            Action::History => message.push_field(conversation(signing_request)?),
            Action::BlockConversation | Action::UnblockConversation => {
                message.push_field(conversation(signing_request)?);
                message.push_field("");
            }
            _ => {
                message.push_field(conversation(signing_request)?);
                message.push_members(&signing_request.members);
            }
        }
        match (signing_request.action, history) {
            (Action::History, HistoryOrder::NonceTimestamp) => message.nonce_and_timestamp(nonce, timestamp),
            _ => message.timestamp_and_nonce(timestamp, nonce),
        }
        if let Some(word) = message_suffix(signing_request.action)? {
            message.push_field(word);
        }
        Ok(message)
    }

    /// Returns the text to sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push_field(&mut self, text: &str) {
        self.0.push(':');
        self.0.push_str(text);
    }

    /// Adds the members, or an empty field if there are none. Rust orders strings by their UTF-8 bytes, which is the
    /// order of code points.
    fn push_members(&mut self, members: &[String]) {
        let mut ascending: Vec<&str> = members.iter().map(String::as_str).collect();
        ascending.sort_unstable();
        if ascending.is_empty() {
            self.push_field("");
        }
        for member in ascending {
            self.push_field(member);
        }
    }

    fn timestamp_and_nonce(&mut self, timestamp: u64, nonce: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.0, ":{timestamp}:{nonce}");
    }

    fn nonce_and_timestamp(&mut self, nonce: &str, timestamp: u64) {
        let _ = write!(self.0, ":{nonce}:{timestamp}");
    }
}

impl fmt::Display for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn conversation(signing_request: &SigningRequest) -> Result<&str, InvalidRequest> {
    let name = signing_request.conversation.as_ref().and_then(|conversation| conversation.exact());
    name.ok_or_else(|| InvalidRequest::new("conv_id", "must name one conversation"))
}

/// Returns the last field of the message. It distinguishes most actions from each other.
fn message_suffix(action: Action) -> Result<Option<&'static str>, InvalidRequest> {
    match action {
        Action::Login | Action::Create | Action::History => Ok(None),
        Action::Join | Action::Invite => Ok(Some("invite")),
        Action::Leave | Action::Kick => Ok(Some("kick")),
        Action::BlockConversation => Ok(Some("client-block-conversations")),
        Action::UnblockConversation => Ok(Some("client-unblock-conversations")),
        Action::BlockClients => Ok(Some("conversation-block-clients")),
        Action::UnblockClients => Ok(Some("conversation-unblock-clients")),
        _ => Err(wrong_permit_error("an action of LeanCloud's")),
    }
}

/// Returns a capacity in bytes that is enough for any message of this request.
fn message_capacity(app_id: &str, signing_request: &SigningRequest, nonce: &str) -> usize {
    /// The longest last field, the longest timestamp, and a separator for each field except the members.
    const FIXED: usize = "conversation-unblock-clients".len() + "18446744073709551615".len() + 8;
    let conversation = signing_request.conversation.as_ref().map_or(0, |pattern| pattern.prefix().len());
    let members: usize = signing_request.members.iter().map(|member| member.len() + 1).sum();
    app_id.len() + signing_request.client.len() + conversation + members + nonce.len() + FIXED
}
