//! Agora: tokens for Chat, for Signaling (RTM2) and for channels of RTC. They are access tokens of version 007: HMAC-SHA256
//! over bytes, with a key that comes from the app's certificate, in a compressed form.

mod message;
mod moderation;
mod reader;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::foreign_token::TokenPart;
use super::invalid_request::{InvalidRequest, check_permit, missing_key_error, wrong_permit_error};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::mac::MacAlgorithm;
use crate::crypto::{base64url, constant_time_eq, sha256};
use crate::model::{Action, Caller, Millis, Pattern, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::{AccessToken, Service, SignedBytes};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of an Agora app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a user of Chat.
    ChatToken,
    /// The token of a user of Signaling, for the channels that it names.
    RtmToken,
    /// The token of a user for one channel of RTC.
    RtcToken,
}

impl Operation {
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Operation::ChatToken => &["user_id", "ttl"],
            Operation::RtmToken => &["user_id", "channels", "ttl"],
            Operation::RtcToken => &["user_id", "channel", "ttl"],
        }
    }
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningJob {
    /// The operation.
    pub operation: Operation,
    /// The lifetime of the token, in seconds.
    pub ttl_seconds: u64,
}

/// An Agora app.
pub struct App {
    name: Arc<str>,
    id: String,
    certificates: Vec<Secret>,
    ttl: Ttl,
}

impl App {
    /// Creates an app with its id and its certificates at Agora. The first certificate signs. All certificates verify.
    pub fn new(name: Arc<str>, id: String, certificates: &[Secret], ttl: Ttl) -> App {
        App { name, id, certificates: certificates.to_vec(), ttl }
    }

    /// Returns the app's id at Agora, which is public.
    pub fn app_id(&self) -> &str {
        &self.id
    }
}

/// Returns what the permit allows, for the token of this operation.
fn service(permit: &Permit, operation: Operation) -> Result<Service<'_>, InvalidRequest> {
    let request = permit.request();
    let user = request.client.as_str();
    let granted = |action: Action| -> Vec<&str> {
        let grants = permit.granted().iter().filter(|grant| grant.operations.contains(action));
        grants.filter_map(|grant| grant.resource.exact()).collect()
    };
    let action = match operation {
        Operation::ChatToken | Operation::RtmToken => Action::Login,
        Operation::RtcToken => Action::Join,
    };
    check_permit(permit, action)?;
    match operation {
        Operation::ChatToken => Ok(Service::Chat { user }),
        Operation::RtmToken => {
            Ok(Service::Signaling { user, read: granted(Action::Subscribe), write: granted(Action::Publish) })
        }
        Operation::RtcToken => {
            let channel = request.conversation.as_ref().and_then(Pattern::exact);
            let channel = channel.ok_or_else(|| wrong_permit_error("a channel"))?;
            Ok(Service::Rtc { user, channel, publishes: granted(Action::Publish).contains(&channel) })
        }
    }
}

/// Makes the random number of a token from the nonce: 1 to 99999999, as Agora's library does.
fn salt(nonce: &Nonce) -> u32 {
    salt_of(&sha256(nonce.as_str().as_bytes()))
}

fn salt_of(hash: &[u8; 32]) -> u32 {
    hash.first_chunk().map_or(1, |bytes| u32::from_le_bytes(*bytes) % 99_999_999 + 1)
}

/// Returns a time or a lifetime in the size that a token has for it.
fn seconds(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn longest_validity(&self) -> Option<Duration> {
        Some(self.ttl.longest())
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
        SigningJob { operation, ttl_seconds }: &SigningJob,
        now: Millis,
        nonce: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        let token = AccessToken {
            app_id: &self.id,
            issued_at: seconds(now.seconds()),
            ttl_seconds: seconds(*ttl_seconds),
            salt: salt(nonce),
            service: service(permit, *operation)?,
        };
        let bytes = token.to_bytes();
        let certificate = self.certificates.first().ok_or_else(missing_key_error)?;
        let mac = bytes.mac(certificate.expose()).ok_or_else(missing_key_error)?;
        let expires_at = now.seconds().saturating_add(*ttl_seconds);
        let user_id = permit.request().client.clone();
        Ok(SignedResult::UserToken { token: bytes.token(&mac), user_id, expires_at })
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        let right = |certificate: &Secret| self.mac(MacAlgorithm::HmacSha256, certificate, message);
        let is_right = |certificate: &Secret| !mac.is_empty() && constant_time_eq(&right(certificate), mac);
        self.certificates.iter().position(is_right)
    }

    fn read_token<'a>(&self, text: &'a str) -> Result<ForeignToken<'a>, &'static str> {
        const FORM: &str = "an access token of version 007: `007`, then compressed bytes in Base64";
        let reader::OpenedToken { bytes, mac, parts } = reader::open(text).ok_or(FORM)?;
        let (header, claims) = (TokenPart::default(), TokenPart(parts));
        Ok(ForeignToken { text, message: bytes.to_hex(), signature: base64url(&mac), header, claims })
    }

    fn token_algorithm(&self) -> Option<&'static str> {
        None
    }

    /// Returns the MAC of bytes in hex. It is empty if they are not the bytes of a token.
    fn mac(&self, _: MacAlgorithm, key: &Secret, message: &str) -> Vec<u8> {
        let bytes = hex::decode(message).ok().map(SignedBytes);
        bytes.and_then(|bytes| bytes.mac(key.expose())).map(Vec::from).unwrap_or_default()
    }

    fn token_differences(
        &self,
        SigningJob { operation, ttl_seconds }: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::differences(self, *operation, *ttl_seconds, foreign, token)
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }
        let reader::OpenedToken { bytes, mac, .. } = reader::open(&serde_json::from_str::<Answer>(answer).ok()?.token)?;
        Some(SignedText { text: bytes.to_hex(), mac, token: None })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
