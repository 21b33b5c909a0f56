//! TalkJS: signatures of user ids and JSON Web Tokens. Both use HMAC-SHA256 with the app's secret key.

mod lookalike;
mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::foreign_token::ForeignToken;
use super::invalid_request::{InvalidRequest, check_permit, missing_key_error};
use super::variants::{ForeignRequest, MessageVariant, SignatureFormat};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{Nonce, Params, SignedResult, SignedText, SigningInput, Ttl};
use crate::crypto::constant_time_eq;
use crate::crypto::mac::HmacSha256;
use crate::model::{Action, Caller, Millis, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::{UserId, app_token, user_token};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a TalkJS app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a user.
    Token,
    /// The signature of a user, which never expires.
    Signature,
    /// The token of a server. It gives full access to the app.
    AppToken,
}

/// What to make from a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningJob {
    /// The token of a user.
    Token {
        /// The lifetime of the token, in seconds.
        ttl_seconds: u64,
    },
    /// The signature of a user.
    Signature,
    /// The token of a server.
    AppToken,
}

/// The lifetime of a server's token in seconds, as in TalkJS's documentation.
pub const APP_TOKEN_SECONDS: u64 = 30;

/// A TalkJS app.
pub struct App {
    name: Arc<str>,
    id: String,
    keys: Vec<HmacSha256>,
    ttl: Ttl,
    legacy_signatures: bool,
}

impl App {
    /// Creates an app with its secret keys. The first key signs. All keys verify. `legacy_signatures` says whether the
    /// app gives out signatures, which never expire.
    pub fn new(name: Arc<str>, app_id: String, keys: &[Secret], ttl: Ttl, legacy_signatures: bool) -> App {
        let keys = keys.iter().map(|key| HmacSha256::new(key.expose())).collect();
        App { name, id: app_id, keys, ttl, legacy_signatures }
    }

    /// Returns the app's id at TalkJS.
    pub fn app_id(&self) -> &str {
        &self.id
    }

    fn token(&self, input: &SigningInput, expires_at: u64) -> Result<SignedResult, InvalidRequest> {
        let token = input.token(&self.mac(input.as_str())?);
        Ok(SignedResult::Token { token, expires_at })
    }

    fn signature(&self, user: &str) -> Result<SignedResult, InvalidRequest> {
        let message = self.check_signable(user)?;
        let signature = crate::crypto::hex(&self.mac(message.as_str())?);
        Ok(SignedResult::UserSignature { user_id: user.to_owned(), signature })
    }

    /// Returns the user id as a message, if it may be signed. This is checked twice: when the request is read, to
    /// inform the caller, and when the message is signed, to keep a permit for a token from becoming a signature.
    fn check_signable<'a>(&self, user: &'a str) -> Result<UserId<'a>, InvalidRequest> {
        if !self.legacy_signatures {
            let message = "is turned off for this app: a signature never expires; ask for a token";
            return Err(InvalidRequest::new("signature", message));
        }
        UserId::new(user)
    }

    fn mac(&self, message: &str) -> Result<[u8; 32], InvalidRequest> {
        Ok(self.keys.first().ok_or_else(missing_key_error)?.mac(message.as_bytes()))
    }
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn longest_validity(&self) -> Option<Duration> {
        // The old signatures have no end.
        (!self.legacy_signatures).then(|| self.ttl.longest())
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
        at: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        let user = permit.request().client.as_str();
        match signing_job {
            SigningJob::Token { ttl_seconds } => {
                check_permit(permit, Action::Login)?;
                let expires_at = at.seconds().saturating_add(*ttl_seconds);
                self.token(&user_token(&self.id, user, expires_at), expires_at)
            }
            SigningJob::Signature => {
                check_permit(permit, Action::Login)?;
                self.signature(user)
            }
            SigningJob::AppToken => {
                check_permit(permit, Action::AppToken)?;
                let expires_at = at.seconds().saturating_add(APP_TOKEN_SECONDS);
                self.token(&app_token(&self.id, expires_at), expires_at)
            }
        }
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Answer {
            Signature { user_id: String, signature: String },
            Token { token: String },
        }
        match serde_json::from_str(answer).ok()? {
            Answer::Signature { user_id, signature } => {
                let (text, mac) = (UserId::new(&user_id).ok()?.to_string(), hex::decode(signature).ok()?);
                Some(SignedText { text, mac, token: None })
            }
            Answer::Token { token } => SignedText::of_token(&token),
        }
    }

    fn signature_format(&self, signing_job: &SigningJob) -> Option<SignatureFormat> {
        (*signing_job == SigningJob::Signature).then_some(variants::SIGNATURE)
    }

    fn message_variants(&self, _: &SigningJob, foreign: &ForeignRequest<'_>, _: &Secret) -> Vec<MessageVariant> {
        variants::user_id_variants(&foreign.request.client)
    }

    fn token_differences(
        &self,
        signing_job: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::claim_differences(self, signing_job, foreign, token)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("app_id", &self.id).finish_non_exhaustive()
    }
}
