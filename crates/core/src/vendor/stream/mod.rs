//! Stream Chat, Video and Feeds: JSON Web Tokens of users, signed with HMAC-SHA256 and the app's secret.
//!
//! The secret signs no other text for users. Stream's own server tokens have `"server": true` and no `user_id`. So a
//! token of this module never has another meaning: it always has `user_id`, and never `server`.

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
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::constant_time_eq;
use crate::crypto::mac::HmacSha256;
use crate::model::{Action, Caller, Millis, Pattern, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::UserClaims;
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a Stream app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a user.
    Token,
}

/// What to make from a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningJob {
    /// The token of a user.
    Token {
        /// The lifetime of the token, in seconds.
        ttl_seconds: u64,
    },
}

/// A Stream app.
pub struct App {
    name: Arc<str>,
    api_key: String,
    keys: Vec<HmacSha256>,
    ttl: Ttl,
}

impl App {
    /// Creates an app with its secrets. The first secret signs. All secrets verify.
    pub fn new(name: Arc<str>, api_key: String, secrets: &[Secret], ttl: Ttl) -> App {
        let keys = secrets.iter().map(|secret| HmacSha256::new(secret.expose())).collect();
        App { name, api_key, keys, ttl }
    }

    /// Returns the app's API key at Stream, which is its public id.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }
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
        SigningJob::Token { ttl_seconds }: &SigningJob,
        now: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, Action::Login)?;
        let request = permit.request();
        let joined = request.required_actions.iter().filter(|need| need.action == Action::Join);
        let calls: Vec<&str> = joined.filter_map(|need| need.conversation.as_ref().and_then(Pattern::exact)).collect();
        let expires_at = now.seconds().saturating_add(*ttl_seconds);
        let claims = UserClaims { user_id: &request.client, issued_at: now.seconds(), expires_at, call_cids: &calls };
        let input = claims.signing_input();
        let key = self.keys.first().ok_or_else(missing_key_error)?;
        let token = input.token(&key.mac(input.as_str().as_bytes()));
        Ok(SignedResult::UserToken { user_id: request.client.clone(), token, expires_at })
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }

    fn token_differences(
        &self,
        SigningJob::Token { ttl_seconds }: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::claim_differences(*ttl_seconds, foreign, token)
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            token: String,
        }
        SignedText::of_token(&serde_json::from_str::<Answer>(answer).ok()?.token)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("api_key", &self.api_key).finish_non_exhaustive()
    }
}
