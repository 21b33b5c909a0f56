//! Centrifugo: tokens for connections and subscriptions, signed with a secret or a private key.

mod channel;
mod message;
mod moderation;
pub mod proxy;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::gate::VendorGate;
use super::invalid_request::{InvalidRequest, check_permit, missing_key_error, wrong_permit_error};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::signing_key::{SigningKey, TokenAlgorithm};
use crate::model::{Action, Caller, Millis, Pattern, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::TokenClaims;
pub use moderation::ModerationApi;
use proxy::Proxy;
pub use spec::SPEC;

/// An operation of a Centrifugo app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a connection.
    ConnectionToken,
    /// The token of a subscription to one channel.
    SubscriptionToken,
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningJob {
    /// The operation.
    pub operation: Operation,
    /// The lifetime of the token, in seconds.
    pub ttl_seconds: u64,
    /// What other users see.
    pub info: Map<String, Value>,
}

/// A Centrifugo app.
pub struct App {
    name: Arc<str>,
    algorithm: TokenAlgorithm,
    keys: Vec<SigningKey>,
    ttl: Ttl,
    info_claims: Vec<String>,
    proxy: Option<Proxy>,
}

impl App {
    /// Creates an app with the keys of its tokens. The first key signs. All keys verify. `info_claims` are the claims of
    /// the caller's token that other users see.
    pub fn new(
        name: Arc<str>,
        algorithm: TokenAlgorithm,
        keys: Vec<SigningKey>,
        ttl: Ttl,
        info_claims: Vec<String>,
    ) -> App {
        App { name, algorithm, keys, ttl, info_claims, proxy: None }
    }

    /// Answers the questions of Centrifugo's proxy with these keys. `token_member` is the member of a client's `data`
    /// with the token of the user, if clients put it there.
    #[must_use]
    pub fn with_proxy(self, keys: Vec<Secret>, token_member: Option<String>) -> App {
        let (ttl_seconds, info_claims) = (self.ttl.default_seconds, self.info_claims.clone());
        App { proxy: Some(Proxy { keys, token_member, ttl_seconds, info_claims }), ..self }
    }
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn gate(&self) -> Option<&dyn VendorGate> {
        self.proxy.as_ref().map(|proxy| proxy as &dyn VendorGate)
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
        SigningJob { operation, ttl_seconds, info }: &SigningJob,
        now: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        let request = permit.request();
        let channel = match operation {
            Operation::ConnectionToken => {
                check_permit(permit, Action::Login)?;
                None
            }
            Operation::SubscriptionToken => {
                check_permit(permit, Action::Subscribe)?;
                let channel = request.conversation.as_ref().and_then(Pattern::exact);
                Some(channel.ok_or_else(|| wrong_permit_error("a channel"))?)
            }
        };
        let expires_at = now.seconds().saturating_add(*ttl_seconds);
        let claims = TokenClaims { user: &request.client, channel, issued_at: now.seconds(), expires_at, info };
        let input = claims.signing_input(self.algorithm);
        let key = self.keys.first().ok_or_else(missing_key_error)?;
        let signature = key.sign(input.as_str().as_bytes()).ok_or_else(missing_key_error)?;
        Ok(SignedResult::Token { token: input.token(&signature), expires_at })
    }

    fn verify(&self, message: &str, signature: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| key.verifies(message.as_bytes(), signature))
    }

    fn token_algorithm(&self) -> Option<&'static str> {
        Some(self.algorithm.as_str())
    }

    fn token_differences(
        &self,
        signing_job: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::claim_differences(signing_job.ttl_seconds, foreign, token)
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
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}
