//! Callers with a signed token: a JWT (RFC 7519) as a compact JWS (RFC 7515), checked as RFC 8725 advises.
//!
//! The issuer that a token names picks the authenticator; everything else in the token is believed only after the signature holds
//! under one of that authenticator's keys, with one of its algorithms.

mod claims;
mod key_set;
mod keys;
mod token;
mod token_cache;

use std::ops::Range;

use serde_json::{Map, Value};

pub(super) use claims::check_audience;
pub use key_set::{KeySet, KeySource};
pub use keys::{UnusableKey, VerificationKeys};
pub(super) use token::{LONGEST, UnverifiedToken};
pub(super) use token_cache::{TokenCache, VerifiedToken};

use super::Common;
use super::address::check_verified;
use super::algorithm::{Algorithm, algorithm};
use super::binding::TokenCaller;
use super::dates::{Dates, TokenClock};
use super::error::{AuthnError, quoted};
use super::lookup::IdentifyError;
use super::purpose::{TokenRules, check_type};
use super::role_mapping::RoleMapping;
use crate::model::{Millis, Role, RoleHierarchy};
use token_cache::KeyGeneration;

/// Takes the tokens of one issuer.
#[derive(Debug)]
pub struct Jwt {
    /// What all authenticators have.
    pub common: Common,
    /// What `iss` must be, to the letter.
    pub issuer: String,
    /// What `aud` must hold one of.
    pub audience: Vec<String>,
    /// The algorithms that count, whatever the token asks for.
    pub algorithms: Vec<Algorithm>,
    /// The keys that the signature must hold under.
    pub keys: KeySource,
    /// The claim that names the caller, usually `sub`: a literal name, or a JSON pointer.
    pub subject: String,
    /// Put before the subject.
    pub subject_prefix: String,
    /// The claim with roles at scope `*`: a list of words, or words in one string.
    pub roles: Option<String>,
    /// The claim with roles by scope: an object of pattern and word.
    pub bindings: Option<String>,
    /// The roles that the policy knows.
    pub ladder: RoleHierarchy,
    /// The strongest role that these tokens can give; without it they give none.
    pub max_role: Option<Role>,
    /// By how much, in seconds, this clock and the issuer's may differ.
    pub leeway_seconds: u64,
    /// What the header `typ` may be besides what it usually is, as [`media_type`](super::media_type) has it.
    pub types: Vec<String>,
    /// What a token must be besides authentic.
    pub rules: TokenRules,
}

impl Jwt {
    /// Checks a token that names this issuer. Fetched keys may have to be looked up, unless that `was_tried`.
    pub(super) fn identify(
        &self,
        token: UnverifiedToken<'_>,
        now: Millis,
        was_tried: bool,
    ) -> Result<VerifiedToken, IdentifyError> {
        let algorithm = self.algorithm(&token)?;
        let under = match &self.keys {
            KeySource::Fixed(keys) => keys.verify(&token, algorithm).map(|()| KeyGeneration::Fixed)?,
            KeySource::Fetched(set) => set.verify(&token, algorithm, was_tried)?,
        };
        Ok(self.finding(token, now, under)?)
    }

    /// Who the token is for. Its signature holds.
    fn finding(
        &self,
        token: UnverifiedToken<'_>,
        now: Millis,
        under: KeyGeneration,
    ) -> Result<VerifiedToken, AuthnError> {
        check_type(token.media_type()?, &self.types)?;
        let claims = token.into_claims();
        let span = self.check_dates(&claims, now)?;
        check_audience(&claims, &self.audience)?;
        let certificate = self.rules.check(&claims)?;
        check_verified(&claims, &self.subject)?;
        let subject = claims::subject(&claims, &self.subject, &self.subject_prefix)?;
        let bindings = self.grants().read(&claims)?;
        let caller = TokenCaller::new(self.common.caller(subject, claims, bindings), certificate);
        Ok(VerifiedToken { caller, span, under })
    }

    /// Checks the token's dates, of which `exp` must be there. Returns when, in milliseconds, the result is the same.
    fn check_dates(&self, claims: &Map<String, Value>, now: Millis) -> Result<Range<u64>, AuthnError> {
        let dates = Dates::read(|name| claims.get(name))?;
        if dates.expiry.is_none() {
            return Err(AuthnError::new("the token must have an expiry (exp)"));
        }
        TokenClock::new(now, self.leeway_seconds, self.rules.max_age).check(&dates)
    }

    fn grants(&self) -> RoleMapping<'_> {
        let (roles, bindings) = (self.roles.as_deref(), self.bindings.as_deref());
        RoleMapping { roles, bindings, ladder: &self.ladder, max_role: self.max_role }
    }

    /// Checks that a token can name this subject, which stands behind the prefix.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        let Some(bare) = subject.strip_prefix(&self.subject_prefix) else {
            return Err(AuthnError::new(format!("its subjects start with `{}`", self.subject_prefix)));
        };
        claims::check_subject(bare, subject)
    }

    fn algorithm(&self, token: &UnverifiedToken<'_>) -> Result<Algorithm, AuthnError> {
        let wanted = token.algorithm()?;
        algorithm(wanted)
            .filter(|known| self.algorithms.contains(known))
            .ok_or_else(|| AuthnError::new("the token's algorithm (alg) is not accepted").detail(quoted(wanted)))
    }
}
