//! Ably: JSON Web Tokens and token requests. Both are signed with HMAC-SHA256 and the secret of an API key.

mod capability;
mod message;
mod moderation;
mod request;
mod spec;
mod variants;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::foreign_token::ForeignToken;
use super::invalid_request::{InvalidRequest, check_permit, missing_key_error};
use super::variants::{ForeignRequest, KeyVariant, MessageVariant, SignatureFormat};
use super::vendor_app::{TimestampUnit, VendorApp};
use super::{Nonce, Params, SignedResult, SignedText, Ttl};
use crate::crypto::mac::HmacSha256;
use crate::crypto::{base64, base64_decode, constant_time_eq};
use crate::model::{Action, ActionSet, Caller, Millis, SigningRequest, Template};
use crate::policy::Permit;
use crate::secret::Secret;

pub use capability::{Capability, check_wildcard, parse_channel};
pub use message::{AblyClaims, TokenParams, TokenRequest, TokenRequestText, UserClaims};
pub use moderation::ModerationApi;
pub use spec::SPEC;

/// An operation of an Ably app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A token in the form of a JSON Web Token.
    Token,
    /// A request that Ably exchanges for a token.
    TokenRequest,
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

/// The longest token that Ably accepts, in bytes.
pub const MAX_TOKEN_BYTES: usize = 6 * 1024;

/// The length of the shortest token request nonce that Ably accepts, in characters.
const MIN_NONCE_CHARS: usize = 16;

/// An API key: its public name `appId.keyId` and its secret.
#[derive(Clone)]
pub struct AblyKey {
    name: String,
    mac: HmacSha256,
}

impl AblyKey {
    /// Reads `appId.keyId:secret`, the form in which Ably's dashboard shows a key.
    ///
    /// # Errors
    /// Returns what the key must be. The message never contains a part of the key.
    pub fn parse(key: &Secret) -> Result<AblyKey, &'static str> {
        let text = std::str::from_utf8(key.expose()).map_err(|_| "must be text: appId.keyId:secret")?;
        let (name, secret) = text.split_once(':').ok_or("must have a `:` before its secret: appId.keyId:secret")?;
        let (app, id) = name.split_once('.').ok_or("must have a `.` in its name: appId.keyId:secret")?;
        if id.contains('.') {
            return Err("must have one `.` in its name: appId.keyId:secret");
        }
        if app.is_empty() || id.is_empty() || secret.is_empty() {
            return Err("must not have an empty part: appId.keyId:secret");
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("must not hold white space or control characters: appId.keyId:secret");
        }
        Ok(AblyKey { name: name.to_owned(), mac: HmacSha256::new(secret.as_bytes()) })
    }

    /// Returns the name of the key, `appId.keyId`.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn mac(&self, message: &str) -> [u8; 32] {
        self.mac.mac(message.as_bytes())
    }
}

impl fmt::Debug for AblyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AblyKey({}:…)", self.name)
    }
}

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
        forward_claims.retain(|name| message::may_forward(name) && seen.insert(name.clone()));
        App { name, keys, ttl, revocable, capability, user_claims, forward_claims }
    }

    /// Returns whether the tokens of the keys can be revoked.
    pub fn is_revocable(&self) -> bool {
        self.revocable
    }

    /// Returns the name of the key that signs: `appId.keyId`.
    pub fn key_name(&self) -> Option<&str> {
        self.keys.first().map(AblyKey::name)
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
        self.check_user_claims(permit)?;
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

    /// Refuses a role that no claim can state. Without the claim, Ably would show the role of a wider scope.
    fn check_user_claims(&self, permit: &Permit) -> Result<(), InvalidRequest> {
        let mut claims = permit.user_claims().iter().filter(|_| self.contains_roles());
        claims.find(|(scope, _)| scope.is_literal_at_ably()).map_or(Ok(()), |(scope, _)| {
            let message = format!(
                "must name channels, because the client's role in {scope} cannot be stated for a pattern: Ably reads \
                 patterns only with `:*`"
            );
            Err(InvalidRequest::new("capability", message))
        })
    }
}

impl VendorApp for App {
    type Operation = Operation;
    type SigningJob = SigningJob;

    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn longest_validity(&self) -> Option<Duration> {
        Some(Duration::from_millis(request::longest_ttl(self)))
    }

    fn contains_roles(&self) -> bool {
        self.user_claims.channel || self.user_claims.room
    }

    fn time_unit(&self, operation: Operation) -> TimestampUnit {
        match operation {
            Operation::Token => TimestampUnit::Seconds,
            Operation::TokenRequest => TimestampUnit::Milliseconds,
        }
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
        nonce: &Nonce,
    ) -> Result<SignedResult, InvalidRequest> {
        check_permit(permit, Action::Login)?;
        let key = self.keys.first().ok_or_else(missing_key_error)?;
        let capability = Capability::from_grants(permit.granted());
        if capability.is_empty() {
            // Without a capability, Ably would grant everything that the key can do.
            return Err(InvalidRequest::new("capability", "must be granted at least in part"));
        }
        match signing_job {
            SigningJob::Token { ttl_ms, claims } => self.token(key, permit, &capability, at, *ttl_ms, claims),
            SigningJob::TokenRequest { ttl_ms } => token_request(key, permit, &capability, at, *ttl_ms, nonce),
        }
    }

    fn verify(&self, message: &str, mac: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| constant_time_eq(&key.mac(message), mac))
    }

    fn signed_text(&self, _: &SigningRequest, _: &SigningJob, answer: &str) -> Option<SignedText> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            key_name: String,
            ttl: Option<u64>,
            capability: Option<String>,
            client_id: Option<String>,
            timestamp: u64,
            nonce: String,
            mac: String,
        }
        let Ok(answer) = serde_json::from_str(answer) else { return SignedText::of_token(answer) };
        let Answer { key_name, ttl, capability, client_id, timestamp, nonce, mac } = answer;
        let params = TokenParams { key_name, ttl, capability, client_id, timestamp, nonce };
        let text = TokenRequestText::new(&params).ok()?.to_string();
        Some(SignedText { text, mac: base64_decode(&mac)?, token: None })
    }

    fn signature_format(&self, signing_job: &SigningJob) -> Option<SignatureFormat> {
        matches!(signing_job, SigningJob::TokenRequest { .. }).then_some(variants::TOKEN_REQUEST)
    }

    fn message_variants(
        &self,
        signing_job: &SigningJob,
        foreign: &ForeignRequest<'_>,
        key: &Secret,
    ) -> Vec<MessageVariant> {
        match signing_job {
            SigningJob::Token { .. } => Vec::new(),
            SigningJob::TokenRequest { ttl_ms } => variants::token_request_variants(*ttl_ms, foreign, key),
        }
    }

    fn key_variants(&self, key: &Secret) -> Vec<KeyVariant> {
        variants::secret_variants(key)
    }

    fn token_differences(
        &self,
        signing_job: &SigningJob,
        foreign: &ForeignRequest<'_>,
        token: &ForeignToken<'_>,
        key: &Secret,
    ) -> Vec<String> {
        variants::token_differences(signing_job, foreign, token, key)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<AblyKey, &'static str> {
        AblyKey::parse(&Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn shows_its_name_and_never_its_secret() {
        let key = parse("app.id:canary:with-colon").unwrap();
        assert_eq!(key.name(), "app.id");
        assert_eq!(format!("{key:?}"), "AblyKey(app.id:…)");
    }

    #[test]
    fn refuses_what_is_no_key() {
        for bad in ["", "canary", "app.id", "app:canary", "a.b.c:canary", ".id:canary", "app.:canary", "app.id:"] {
            assert!(!parse(bad).unwrap_err().contains("canary"), "{bad}");
        }
        for bad in ["app.id:canary\n", "ap\np.id:canary", "app .id:canary", "app.id:can ary", "\u{feff}\tapp.id:x"] {
            assert!(parse(bad).unwrap_err().contains("white space"), "{bad:?}");
        }
        assert!(AblyKey::parse(&Secret::new(vec![b'a', 0xff])).is_err());
    }
}
