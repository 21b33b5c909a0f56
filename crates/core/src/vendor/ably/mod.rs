//! Ably: JSON Web Tokens and token requests. Both are signed with HMAC-SHA256 and the secret of an API key.

mod capability;
mod key;
mod message;
mod moderation;
mod request;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{InvalidRequest, Nonce, SignedResult, Ttl, check_permit, missing_key_error};
use crate::crypto::{base64, constant_time_eq};
use crate::model::{Action, ActionSet, Millis, Template};
use crate::policy::Permit;

pub use capability::{Capability, parse_channel};
pub use key::AblyKey;
pub use message::{AblyClaims, TokenParams, TokenRequest, TokenRequestText};
pub use moderation::ModerationApi;
pub(super) use moderation::classify_revocation;
pub(super) use request::parse;

/// An operation of an Ably app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A token in the form of a JSON Web Token.
    Token,
    /// A request that Ably exchanges for a token.
    TokenRequest,
}

impl Operation {
    pub(super) fn parse(name: &str) -> Option<Operation> {
        match name {
            "token" => Some(Operation::Token),
            "token-request" => Some(Operation::TokenRequest),
            _ => None,
        }
    }
}

/// What to make from a permit.
#[derive(Clone, Debug, PartialEq)]
pub enum SigningJob {
    /// A token.
    Token {
        /// The lifetime of the token, in milliseconds.
        ttl_ms: u64,
        /// The claims of the caller's token that are copied unchanged.
        claims: Vec<(String, Value)>,
    },
    /// A token request.
    TokenRequest {
        /// The lifetime of the later token, in milliseconds.
        ttl_ms: u64,
    },
}

/// The families of user claims that are made from the client's roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserClaims {
    /// Whether to make claims `ably.channel.…`, which Ably copies to the client's messages.
    pub channel: bool,
    /// Whether to make claims `ably.room.…`, which Ably Chat reads.
    pub room: bool,
}

/// The longest token that Ably accepts, in bytes.
pub const MAX_TOKEN_BYTES: usize = 6 * 1024;

/// The length of the shortest token request nonce that Ably accepts, in characters.
const MIN_NONCE_CHARS: usize = 16;

/// An Ably app.
pub struct App {
    name: Arc<str>,
    keys: Vec<AblyKey>,
    ttl: Ttl,
    revocable: bool,
    capability: Vec<(Template, ActionSet)>,
    user_claims: UserClaims,
    forward_claims: Vec<String>,
}

impl App {
    /// Creates an app with its API keys. The first key signs. All keys verify.
    ///
    /// If `revocable` is set, the tokens of the keys can be revoked, so they live for an hour at most. `capability` is
    /// the requested capability if a request names none. `forward_claims` are copied from the caller's token into a
    /// token for the caller. Ably's own claims are never copied, nor are claims about the subject or the lifetime of a
    /// token.
    pub fn new(
        name: Arc<str>,
        keys: Vec<AblyKey>,
        ttl: Ttl,
        revocable: bool,
        capability: Vec<(Template, ActionSet)>,
        user_claims: UserClaims,
        mut forward_claims: Vec<String>,
    ) -> App {
        let mut seen = HashSet::new();
        forward_claims.retain(|name| request::may_forward(name) && seen.insert(name.clone()));
        App { name, keys, ttl, revocable, capability, user_claims, forward_claims }
    }

    /// Returns whether the tokens of the keys can be revoked.
    pub fn is_revocable(&self) -> bool {
        self.revocable
    }

    /// Returns the app's name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the name of the key that signs: `appId.keyId`.
    pub fn key_name(&self) -> Option<&str> {
        self.keys.first().map(AblyKey::name)
    }

    pub(super) fn tells_roles(&self) -> bool {
        self.user_claims.channel || self.user_claims.room
    }

    pub(super) fn sign(
        &self,
        permit: &Permit,
        product: &SigningJob,
        at: Millis,
        nonce: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, Action::Login)?;
        let key = self.keys.first().ok_or_else(missing_key_error)?;
        let capability = Capability::from_grants(permit.granted());
        if capability.is_empty() {
            // Without a capability, Ably would grant everything that the key can do.
            return Err(InvalidRequest::new("capability", "must be granted at least in part"));
        }
        match product {
            SigningJob::Token { ttl_ms, claims } => self.token(key, permit, &capability, at, *ttl_ms, claims),
            SigningJob::TokenRequest { ttl_ms } => token_request(key, permit, &capability, at, *ttl_ms, nonce),
        }
    }

    fn token(
        &self,
        key: &AblyKey,
        permit: &Permit,
        capability: &Capability,
        at: Millis,
        ttl_ms: u64,
        passed: &[(String, Value)],
    ) -> Result<SignedResult, InvalidRequest> {
        let expires_at = at.seconds().saturating_add((ttl_ms / 1000).max(1));
        let claims = AblyClaims {
            issued_at: at.seconds(),
            expires_at,
            capability,
            client: &permit.request().client,
            roles: permit.user_claims(),
            user_claims: self.user_claims,
            forwarded_claims: passed,
        };
        let input = claims.signing_input(key.name());
        let token = input.token(&key.mac(input.as_str()));
        if token.len() > MAX_TOKEN_BYTES {
            let message = format!(
                "makes a token of {} bytes, but Ably accepts at most {MAX_TOKEN_BYTES}: ask for less",
                token.len()
            );
            return Err(InvalidRequest::new("capability", message));
        }
        Ok(SignedResult::Token { token, expires_at })
    }

    pub(super) fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message), mac))
    }
}

fn token_request(
    key: &AblyKey,
    permit: &Permit,
    capability: &Capability,
    at: Millis,
    ttl_ms: u64,
    nonce: &Nonce,
) -> Result<SignedResult, InvalidRequest> {
    if nonce.as_str().len() < MIN_NONCE_CHARS {
        return Err(InvalidRequest::new("nonce", format!("must have at least {MIN_NONCE_CHARS} characters for Ably")));
    }
    let params = TokenParams {
        key_name: key.name().to_owned(),
        ttl: Some(ttl_ms),
        capability: Some(capability.as_str().to_owned()),
        client_id: Some(permit.request().client.clone()),
        timestamp: at.0,
        nonce: nonce.as_str().to_owned(),
    };
    let mac = base64(&key.mac(TokenRequestText::new(&params)?.as_str()));
    Ok(SignedResult::TokenRequest(TokenRequest { params, mac }))
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).field("keys", &self.keys).finish_non_exhaustive()
    }
}
