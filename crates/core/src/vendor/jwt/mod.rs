//! JSON Web Tokens for any system: a closed template of claims, or a preset for a known system.

mod identity;
mod preset;
mod request;
mod spec;
mod template;
mod variants;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::invalid_request::{InvalidRequest, check_permit, missing_key_error};
use super::signing_input::{JsonObject, SigningInput};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{ForeignRequest, ForeignToken, Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::signing_key::{SigningKey, TokenAlgorithm};
use crate::model::{Action, Caller, Millis, Pattern, RequestedGrant, SigningRequest};
use crate::policy::Permit;
use crate::secret::Secret;

pub use identity::UserAlphabet;
pub use preset::{Preset, TokenId};
pub use spec::SPEC;
pub use template::{CHANNEL_ACTIONS, ClaimTemplate, Filling};

/// An operation of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The token of a user.
    Token,
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningJob {
    /// The lifetime of the token, in seconds.
    pub ttl_seconds: u64,
    /// The claims of the caller's token that the template names.
    pub claims: Map<String, Value>,
}

/// The form of an app's tokens, without their claims.
#[derive(Clone, Debug)]
pub struct TokenForm {
    /// The algorithm.
    pub algorithm: TokenAlgorithm,
    /// The id of the key, for the header.
    pub key_id: Option<String>,
    /// The media type of the claims, for the header.
    pub content_type: Option<&'static str>,
    /// The form of the claim `jti`.
    pub token_id: TokenId,
    /// The alphabet of user ids.
    pub identity: UserAlphabet,
    /// The action that a token for a channel needs, if the template names a channel.
    pub channel_action: Option<Action>,
}

/// An app whose tokens are for any system.
pub struct App {
    name: Arc<str>,
    keys: Vec<SigningKey>,
    template: ClaimTemplate,
    algorithm: TokenAlgorithm,
    key_id: Option<String>,
    content_type: Option<&'static str>,
    token_id: TokenId,
    identity: UserAlphabet,
    channel_action: Option<Action>,
    ttl: Ttl,
}

impl App {
    /// Creates an app with its keys and the claims of its tokens. The first key signs. All keys verify.
    pub fn new(name: Arc<str>, keys: Vec<SigningKey>, template: ClaimTemplate, form: TokenForm, ttl: Ttl) -> App {
        let TokenForm { algorithm, key_id, content_type, token_id, identity, channel_action } = form;
        App { name, keys, template, algorithm, key_id, content_type, token_id, identity, channel_action, ttl }
    }

    fn header(&self) -> String {
        let mut header = JsonObject::new().string("alg", self.algorithm.as_str()).string("typ", "JWT");
        for (name, value) in [("kid", self.key_id.as_deref()), ("cty", self.content_type)] {
            if let Some(value) = value {
                header = header.string(name, value);
            }
        }
        header.finish()
    }

    /// Fills in the template.
    fn fill(
        &self,
        request: &SigningRequest,
        granted: &[RequestedGrant],
        signing_job: &SigningJob,
    ) -> Result<Map<String, Value>, String> {
        let channel = request.conversation.as_ref().and_then(Pattern::exact);
        self.template.fill(Filling { client: &request.client, channel, granted, claims: &signing_job.claims })
    }

    /// Returns the claim `jti`.
    fn token_id(&self, claims: &Map<String, Value>, nonce: &Nonce) -> Option<String> {
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        match self.token_id {
            TokenId::None => None,
            TokenId::Random => Some(nonce.as_str().to_owned()),
            TokenId::AfterIssuer => Some(format!("{issuer}-{}", nonce.as_str())),
        }
    }

    /// Returns whether the app writes this claim itself.
    fn writes(&self, name: &str) -> bool {
        ["iat", "exp"].contains(&name) || name == "jti" && self.token_id != TokenId::None
    }

    fn key_id_difference(&self, token: &ForeignToken<'_>) -> Option<String> {
        self.key_id.as_ref().and_then(|id| token.header.difference("kid", id))
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

    fn time_unit(&self, Operation::Token: Operation) -> TimestampUnit {
        TimestampUnit::Seconds
    }

    fn parse(
        &self,
        Operation::Token: Operation,
        params: &Params,
        caller: Option<&Caller>,
    ) -> Result<(SigningRequest, SigningJob), InvalidRequest> {
        request::parse(self, params, caller)
    }

    fn sign(
        &self,
        permit: &Permit,
        signing_job: &SigningJob,
        now: Millis,
        nonce: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, self.channel_action.unwrap_or(Action::Login))?;
        let claims = self.fill(permit.request(), permit.granted(), signing_job);
        let mut claims = claims.map_err(|flaw| InvalidRequest::new("token", flaw))?;
        let expires_at = now.seconds().saturating_add(signing_job.ttl_seconds);
        let token_id = self.token_id(&claims, nonce);
        claims.extend(token_id.map(|id| ("jti".to_owned(), id.into())));
        claims.insert("iat".to_owned(), now.seconds().into());
        claims.insert("exp".to_owned(), expires_at.into());
        let input = SigningInput::new(&self.header(), &Value::Object(claims).to_string());
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
        variants::claim_differences(self, signing_job, foreign, token)
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
        f.debug_struct("App").field("name", &self.name).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
