//! Callers with a signed token: a JWT (RFC 7519) as a compact JWS (RFC 7515), checked as RFC 8725 advises.
//!
//! The issuer that a token names selects the authenticator. Everything else in the token is trusted only after a key of
//! that authenticator has verified the signature with an accepted algorithm.

mod ed25519;
mod jwks;
mod key;
mod key_set;
mod pem;
mod rsa;
mod token;
mod token_cache;
mod verification_keys;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use jwks::UnusableKey;
pub use key::{ALGORITHMS, Algorithm, is_symmetric, parse_algorithm};
pub use key_set::{KeySet, KeySource};
pub(super) use token::{MAX_TOKEN_BYTES, UnverifiedToken};
pub(super) use token_cache::{TokenCache, VerifiedToken};
pub use verification_keys::VerificationKeys;

use super::binding::TokenCaller;
use super::common::{Common, check_subject, check_verified, strip_prefix};
use super::dates::{Dates, TokenClock};
use super::error::{AuthnError, quote};
use super::lookup::{IdentifyError, PendingLookup};
use super::purpose::{TokenRules, check_audience, check_type};
use super::role_mapping::RoleMapping;
use crate::model::{Millis, Role, RoleHierarchy, claim};
use key_set::KeyGeneration;

/// Accepts the tokens of one issuer.
#[derive(Debug)]
pub struct Jwt {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The exact value of `iss`.
    pub issuer: String,
    /// The accepted audiences: `aud` must contain one of them.
    pub audience: Vec<String>,
    /// The accepted algorithms. A token cannot select another algorithm.
    pub algorithms: Vec<Algorithm>,
    /// The keys that verify the signatures.
    pub keys: KeySource,
    /// The claim that names the caller, usually `sub`: a literal name or a JSON pointer.
    pub subject: String,
    /// The prefix of the subject.
    pub subject_prefix: String,
    /// The claim with roles at scope `*`: a list of words, or words in one string.
    pub roles: Option<String>,
    /// The claim with roles by scope: an object that maps patterns to words.
    pub bindings: Option<String>,
    /// The roles of the policy.
    pub role_hierarchy: RoleHierarchy,
    /// The strongest role that the tokens can give. Without it, they give no roles.
    pub max_role: Option<Role>,
    /// The maximum difference between this clock and the clock of the issuer, in seconds.
    pub leeway_seconds: u64,
    /// Further accepted values of the header `typ`, in the form of [`normalize_media_type`](super::normalize_media_type).
    pub accepted_types: Vec<String>,
    /// The further rules for authentic tokens.
    pub rules: TokenRules,
}

impl Jwt {
    /// Checks a token that names this issuer. If `was_tried` is false, the result may be a pending lookup of fetched
    /// keys.
    pub(super) fn identify(
        &self,
        token: UnverifiedToken<'_>,
        now: Millis,
        was_tried: bool,
    ) -> Result<VerifiedToken, IdentifyError> {
        let algorithm = self.algorithm(&token)?;
        let under = match &self.keys {
            KeySource::Fixed(keys) => keys.verify(&token, algorithm).map(|()| KeyGeneration::Fixed)?,
            KeySource::Fetched(set) => set
                .verify(&token, algorithm, was_tried)?
                .ok_or_else(|| IdentifyError::Pending(PendingLookup::Keys(Arc::clone(set))))?,
        };
        Ok(self.check_claims(token, now, under)?)
    }

    /// Checks the claims of a token with a valid signature, and returns the caller.
    fn check_claims(
        &self,
        token: UnverifiedToken<'_>,
        now: Millis,
        under: KeyGeneration,
    ) -> Result<VerifiedToken, AuthnError> {
        check_type(token.media_type()?, &self.accepted_types)?;
        let claims = token.into_claims();
        let span = self.check_dates(&claims, now)?;
        check_audience(&claims, &self.audience)?;
        let certificate = self.rules.check(&claims)?;
        check_verified(&claims, &self.subject)?;
        let subject = self.subject(&claims)?;
        let bindings = self.role_mapping().read(&claims)?;
        let caller = TokenCaller::new(self.common.caller(subject, claims, bindings), certificate);
        Ok(VerifiedToken { caller, validity: span, key_generation: under })
    }

    /// Checks the dates of the token. The claim `exp` is required. Returns the period in which the result is the same,
    /// in milliseconds since 1970.
    fn check_dates(&self, claims: &Map<String, Value>, now: Millis) -> Result<Range<u64>, AuthnError> {
        let dates = Dates::read(|name| claims.get(name))?;
        if dates.expiry.is_none() {
            return Err(AuthnError::invalid("the token must have an expiry (exp)"));
        }
        TokenClock::new(now, self.leeway_seconds, self.rules.max_age).check(&dates)
    }

    fn role_mapping(&self) -> RoleMapping<'_> {
        let (roles, bindings) = (self.roles.as_deref(), self.bindings.as_deref());
        RoleMapping { roles, bindings, role_hierarchy: &self.role_hierarchy, max_role: self.max_role }
    }

    /// Checks that a token can name this subject, which includes the prefix.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        check_token_subject(strip_prefix(subject, &self.subject_prefix)?, subject)
    }

    /// Returns the subject: the prefix followed by the value of the claim.
    fn subject(&self, claims: &Map<String, Value>) -> Result<String, AuthnError> {
        let Some(bare) = claim(claims, &self.subject).and_then(Value::as_str) else {
            let text = "the token must name its subject, as a string";
            return Err(AuthnError::invalid(text).with_detail(format!("it is read from the claim `{}`", self.subject)));
        };
        let whole = format!("{}{bare}", self.subject_prefix);
        check_token_subject(bare, &whole)?;
        Ok(whole)
    }

    fn algorithm(&self, token: &UnverifiedToken<'_>) -> Result<Algorithm, AuthnError> {
        let wanted = token.algorithm()?;
        parse_algorithm(wanted).filter(|known| self.algorithms.contains(known)).ok_or_else(|| {
            AuthnError::invalid("the token's algorithm (alg) is not accepted").with_detail(quote(wanted))
        })
    }
}

/// Checks a subject, without and with the prefix.
fn check_token_subject(bare: &str, whole: &str) -> Result<(), AuthnError> {
    if bare == "*" {
        return Err(AuthnError::invalid("the token's subject must not be `*`"));
    }
    check_subject(format_args!("the token's subject"), bare, whole)
}
