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
use super::common::Common;
use super::dates::{Dates, TokenClock};
use super::error::{AuthnError, quote};
use super::identity_mapping::{Identity, IdentityMapping, MappingError};
use super::lookup::{IdentifyError, PendingLookup};
use super::purpose::{TokenRules, check_audience, check_type};
use crate::model::Millis;
use key_set::KeyGeneration;

/// The name of the subject of a token in errors.
const LABEL: &str = "the token's subject";

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
    /// How the claims give the identity of the caller.
    pub identity: IdentityMapping,
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
        let Identity { subject, bindings } =
            self.identity.identify(&claims, LABEL).map_err(|error| self.refusal(error))?;
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

    fn refusal(&self, error: MappingError) -> AuthnError {
        match error {
            MappingError::NoSubject | MappingError::MalformedSubject => {
                let or_number = if self.identity.numeric_subject { " or a whole number" } else { "" };
                AuthnError::invalid(format!("the token must name its subject, as a string{or_number}"))
                    .with_detail(format!("it is read from the claim {}", self.identity.subject_claims()))
            }
            MappingError::MalformedRoles(error) | MappingError::Refused(error) => error,
        }
    }

    /// Checks that a token can name this subject, which includes the prefix.
    pub(super) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        self.identity.check_subject(subject, LABEL)
    }

    fn algorithm(&self, token: &UnverifiedToken<'_>) -> Result<Algorithm, AuthnError> {
        let wanted = token.algorithm()?;
        parse_algorithm(wanted).filter(|known| self.algorithms.contains(known)).ok_or_else(|| {
            AuthnError::invalid("the token's algorithm (alg) is not accepted").with_detail(quote(wanted))
        })
    }
}
