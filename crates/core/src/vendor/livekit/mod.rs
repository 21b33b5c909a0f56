//! LiveKit: tokens of participants for one room, signed with HMAC-SHA256 and the secret of an API key.

mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::invalid_request::{InvalidRequest, check_permit, missing_key_error, wrong_permit_error};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::constant_time_eq;
use crate::crypto::mac::HmacSha256;
use crate::model::{Action, ActionSet, Caller, Millis, Pattern, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use message::{ParticipantClaims, Profile};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of a LiveKit app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a participant.
    Token,
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningJob {
    /// The token of a participant.
    Token {
        /// The lifetime of the token, in seconds.
        ttl_seconds: u64,
        /// What other participants see.
        profile: Profile,
    },
}

/// The names of the claims of the caller's token that other participants see.
#[derive(Clone, Debug, Default)]
pub struct ProfileClaims {
    /// The claim with the participant's name.
    pub name: Option<String>,
    /// The claims in the metadata.
    pub metadata: Vec<String>,
    /// The claims that become attributes.
    pub attributes: Vec<String>,
}

/// A LiveKit app.
pub struct App {
    name: Arc<str>,
    url: String,
    api_key: String,
    secrets: Vec<HmacSha256>,
    ttl: Ttl,
    profile_claims: ProfileClaims,
}

impl App {
    /// Creates an app with the address of its server, its API key and the key's secrets. The first secret signs. All
    /// secrets verify.
    pub fn new(
        name: Arc<str>,
        url: String,
        api_key: String,
        secrets: &[Secret],
        ttl: Ttl,
        profile_claims: ProfileClaims,
    ) -> App {
        let secrets = secrets.iter().map(|secret| HmacSha256::new(secret.expose())).collect();
        App { name, url, api_key, secrets, ttl, profile_claims }
    }

    /// Returns the API key, which is public.
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
        SigningJob::Token { ttl_seconds, profile }: &SigningJob,
        now: Millis,
        _: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, Action::Join)?;
        let request = permit.request();
        let room =
            request.conversation.as_ref().and_then(Pattern::exact).ok_or_else(|| wrong_permit_error("a room"))?;
        let own = permit.granted().iter().filter(|grant| grant.resource.exact() == Some(room));
        let granted = own.fold(ActionSet::EMPTY, |all, grant| all.iter().chain(grant.operations.iter()).collect());
        let claims = ParticipantClaims {
            api_key: &self.api_key,
            identity: &request.client,
            room,
            granted,
            issued_at: now.seconds(),
            expires_at: now.seconds().saturating_add(*ttl_seconds),
            profile,
        };
        let input = claims.signing_input();
        let key = self.secrets.first().ok_or_else(missing_key_error)?;
        let token = input.token(&key.mac(input.as_str().as_bytes()));
        Ok(SignedResult::ParticipantToken { server_url: self.url.clone(), token })
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.secrets.iter().position(|key| constant_time_eq(&key.mac(message.as_bytes()), mac))
    }

    fn token_differences(
        &self,
        SigningJob::Token { ttl_seconds, .. }: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        _: &Secret,
    ) -> Vec<String> {
        variants::claim_differences(self, *ttl_seconds, foreign, token)
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        struct Answer {
            participant_token: String,
        }
        SignedText::of_token(&serde_json::from_str::<Answer>(answer).ok()?.participant_token)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("api_key", &self.api_key).finish_non_exhaustive()
    }
}
