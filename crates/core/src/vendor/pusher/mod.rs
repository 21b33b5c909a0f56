//! Pusher Channels and compatible servers: authorization of channels, and sign-in of users. Both are HMAC-SHA256 with
//! the app's secret over a text that names the connection.

mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::invalid_request::{InvalidRequest, missing_key_error, wrong_permit_error};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, MessageVariant, Nonce, Params, SignatureFormat, SignedResult, SignedText};
use crate::crypto::mac::HmacSha256;
use crate::crypto::{base64, constant_time_eq, sha256};
use crate::model::{Action, Caller, Millis, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::{AuthText, Channel, ChannelKind, SocketId};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a Pusher app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The authorization of a connection to subscribe to a channel.
    ChannelAuth,
    /// The sign-in of a user on a connection.
    UserAuth,
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningJob {
    /// The authorization of a connection.
    ChannelAuth {
        /// The connection.
        socket: SocketId,
        /// The channel.
        channel: Channel,
        /// The JSON about the user, for a presence channel.
        data: Option<String>,
    },
    /// The sign-in of a user.
    UserAuth {
        /// The connection.
        socket: SocketId,
        /// The JSON about the user.
        data: String,
    },
}

impl SigningJob {
    /// Returns the text to sign.
    fn text(&self) -> AuthText {
        match self {
            SigningJob::ChannelAuth { socket, channel, data } => AuthText::channel(socket, channel, data.as_deref()),
            SigningJob::UserAuth { socket, data } => AuthText::user(socket, data),
        }
    }
}

/// The length of the key for encrypted channels, in bytes.
pub const ENCRYPTION_KEY_BYTES: usize = 32;

/// The settings of an app's channels.
pub struct ChannelOptions {
    /// Whether subscribers can send client events. The signature cannot forbid them.
    pub client_events: bool,
    /// The key from which the keys of encrypted channels are derived, if the app has such channels.
    pub encryption_key: Option<Secret>,
    /// The names of the claims that other members of a presence channel see.
    pub presence_claims: Vec<String>,
}

/// A Pusher app.
pub struct App {
    name: Arc<str>,
    id: String,
    key: String,
    secrets: Vec<HmacSha256>,
    client_events: bool,
    encryption_key: Option<Secret>,
    presence_claims: Vec<String>,
}

impl App {
    /// Creates an app with its id, its public key and its secrets. The first secret signs. All secrets verify.
    pub fn new(name: Arc<str>, id: String, key: String, secrets: &[Secret], options: ChannelOptions) -> App {
        let ChannelOptions { client_events, encryption_key, presence_claims } = options;
        let secrets = secrets.iter().map(|secret| HmacSha256::new(secret.expose())).collect();
        App { name, id, key, secrets, client_events, encryption_key, presence_claims }
    }

    /// Returns the app's id at Pusher.
    pub fn app_id(&self) -> &str {
        &self.id
    }

    /// Returns the app's public key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns whether subscribers can send client events.
    pub fn has_client_events(&self) -> bool {
        self.client_events
    }

    /// Returns everything that a subscriber of the channel can do. The first action is the action of the request.
    fn channel_actions(&self, channel: &Channel) -> Vec<Action> {
        let mut actions = vec![Action::Subscribe];
        match channel.kind() {
            ChannelKind::Encrypted => return actions,
            ChannelKind::Private | ChannelKind::Presence if self.client_events => actions.push(Action::Publish),
            ChannelKind::Private | ChannelKind::Presence => {}
        }
        if channel.kind() == ChannelKind::Presence {
            actions.push(Action::Presence);
        }
        actions
    }

    fn check_channel(&self, channel: &Channel) -> Result<(), InvalidRequest> {
        if channel.kind() == ChannelKind::Encrypted && self.encryption_key.is_none() {
            let message = "names an encrypted channel, but the app has no `encryption_master_key`";
            return Err(InvalidRequest::new("channel_name", message));
        }
        Ok(())
    }

    /// Returns the key of an encrypted channel in Base64: SHA-256 of the name and the master key.
    fn shared_secret(&self, channel: &Channel) -> Option<String> {
        let key = self.encryption_key.as_ref().filter(|_| channel.kind() == ChannelKind::Encrypted)?;
        Some(base64(&sha256(&[channel.name().as_bytes(), key.expose()].concat())))
    }

    /// Returns `KEY:` and the MAC in lower-case hex.
    fn auth(&self, text: &AuthText) -> Result<String, InvalidRequest> {
        let secret = self.secrets.first().ok_or_else(missing_key_error)?;
        Ok(format!("{}:{}", self.key, crate::crypto::hex(&secret.mac(text.as_str().as_bytes()))))
    }
}

/// Checks that the policy allowed each of these actions, in the conversation of the request.
fn check_actions(permit: &Permit, actions: &[Action], channel: Option<&Channel>) -> Result<(), InvalidRequest> {
    let request = permit.request();
    let conversation = channel.map(Channel::conversation);
    let is_allowed = |action: &Action| {
        request.required_actions.iter().any(|need| {
            need.action == *action && need.conversation.as_ref().and_then(|pattern| pattern.exact()) == conversation
        })
    };
    actions.iter().all(is_allowed).then_some(()).ok_or_else(|| wrong_permit_error("this channel or user"))
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn time_unit(&self, _: Operation) -> TimestampUnit {
        TimestampUnit::Seconds
    }

    fn parse(
        &self,
        operation: Operation,
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        request::parse(self, operation, params, caller)
    }

    fn sign(
        &self,
        permit: &Permit,
        signing_job: &SigningJob,
        _: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        match signing_job {
            SigningJob::ChannelAuth { channel, data, .. } => {
                self.check_channel(channel)?;
                check_actions(permit, &self.channel_actions(channel), Some(channel))?;
                let auth = self.auth(&signing_job.text())?;
                let shared_secret = self.shared_secret(channel);
                Ok(SignedResult::ChannelAuth { auth, channel_data: data.clone(), shared_secret })
            }
            SigningJob::UserAuth { data, .. } => {
                check_actions(permit, &[Action::Login], None)?;
                let auth = self.auth(&signing_job.text())?;
                Ok(SignedResult::UserAuth { auth, user_data: data.clone() })
            }
        }
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.secrets.iter().position(|secret| constant_time_eq(&secret.mac(message.as_bytes()), mac))
    }

    fn signed_text(&self, _: &SigningRequest, signing_job: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            auth: String,
        }
        let Answer { auth } = serde_json::from_str(answer).ok()?;
        let mac = hex::decode(auth.rsplit_once(':')?.1).ok()?;
        Some(SignedText { text: signing_job.text().to_string(), mac, token: None })
    }

    fn signature_format(&self, _: &SigningJob) -> Option<SignatureFormat> {
        Some(variants::SIGNATURE)
    }

    fn message_variants(&self, signing_job: &SigningJob, _: &ForeignRequest<'_>, _: &Secret) -> Vec<MessageVariant> {
        variants::text_variants(signing_job)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
