//! Callers with a signed token: a JWT (RFC 7519) as a compact JWS (RFC 7515), checked as RFC 8725 advises.
//!
//! The issuer that a token names selects the authenticator. Everything else in the token is trusted only after a key of
//! that authenticator has verified the signature with an accepted algorithm.

mod ed25519;
mod jwks;
mod key;
mod key_name;
mod key_set;
mod pem;
mod public_form;
mod rsa;
mod token;
mod token_cache;
mod verification_keys;

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use jwks::UnusableKey;
pub use key::{ALGORITHMS, Algorithm, is_symmetric, parse_algorithm};
use key_set::KeysInUse;
pub use key_set::{KeySet, KeySetConfig, KeySource};
pub use public_form::is_public_key;
pub(super) use token::UnverifiedToken;
pub(super) use token_cache::{TokenCache, VerifiedToken};
pub use verification_keys::VerificationKeys;

use super::audience::Audience;
use super::binding::TokenCaller;
use super::common::Common;
use super::dates::{Dates, TokenClock};
use super::error::{AuthnError, MappingError, quote};
use super::identity_mapping::{Identity, IdentityMapping};
use super::lookup::{IdentifyError, PendingLookup};
use super::purpose::{TokenRules, check_type};
use super::required_claim::RequiredClaim;
use super::tenant::{Issuer, NamedIssuer, add_tenant};
use crate::model::Millis;
use key_set::KeyGeneration;

/// The name of the subject of a token in errors.
const LABEL: &str = "the token's subject";

pub(super) const UNKNOWN_ISSUER: &str = "the token's issuer (iss) is not known here";

/// Accepts the tokens of one issuer, or of one issuer for each tenant.
#[derive(Debug)]
pub struct Jwt {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The accepted values of `iss`.
    pub issuer: Issuer,
    /// The accepted audiences.
    pub audience: Audience,
    /// The accepted algorithms. A token cannot select another algorithm.
    pub algorithms: Vec<Algorithm>,
    /// The keys that verify the signatures.
    pub keys: KeySource,
    /// The shared secrets for the symmetric algorithms, if `keys` are public keys. During a migration, an issuer signs
    /// with both. A key of one kind never verifies an algorithm of the other.
    pub shared_secrets: Option<VerificationKeys>,
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
        let named = self.issuer.find(token.issuer()?).ok_or_else(|| AuthnError::invalid(UNKNOWN_ISSUER))?;
        let under = match self.keys_for(algorithm, named)? {
            KeysInUse::Fixed(keys) => keys.verify(&token, algorithm).map(|()| KeyGeneration::Fixed)?,
            KeysInUse::Fetched(set) => set
                .verify(&token, algorithm, was_tried)?
                .ok_or_else(|| IdentifyError::Pending(PendingLookup::Keys(Arc::clone(set))))?,
        };
        let tenant = named.tenant.map(str::to_owned);
        Ok(self.check_claims(token, tenant.as_deref(), now, under)?)
    }

    /// Returns the keys for this algorithm, and for the tenant of this issuer.
    fn keys_for(&self, algorithm: Algorithm, named: NamedIssuer<'_>) -> Result<KeysInUse<'_>, AuthnError> {
        match &self.shared_secrets {
            Some(secrets) if is_symmetric(algorithm) => Ok(KeysInUse::Fixed(secrets)),
            _ => self.keys.find(named.tenant).ok_or_else(|| AuthnError::invalid(UNKNOWN_ISSUER)),
        }
    }

    /// Returns whether the token names this issuer, and has an accepted audience and the required claims. This is only a
    /// selection: nothing in the token is trusted yet.
    pub(super) fn is_meant_by(&self, token: &UnverifiedToken<'_>) -> bool {
        let Some(named) = token.issuer().ok().and_then(|iss| self.issuer.find(iss)) else { return false };
        let mut claims = token.unverified_claims().clone();
        add_tenant(&mut claims, named.tenant);
        self.audience.check(&claims).is_ok() && self.identity.required.iter().all(|one| one.check(&claims).is_ok())
    }

    /// Returns whether it is certain that no token is accepted by both authenticators. A token that names audiences of
    /// both is refused.
    pub fn is_distinct_from(&self, other: &Jwt) -> bool {
        let excluded = |one: &RequiredClaim| other.identity.required.iter().any(|other| one.excludes(other));
        self.issuer.is_disjoint(&other.issuer)
            || self.audience.is_disjoint(&other.audience)
            || self.identity.required.iter().any(excluded)
    }

    /// Checks the claims of a token with a valid signature, and returns the caller.
    fn check_claims(
        &self,
        token: UnverifiedToken<'_>,
        tenant: Option<&str>,
        now: Millis,
        under: KeyGeneration,
    ) -> Result<VerifiedToken, AuthnError> {
        check_type(token.media_type()?, &self.accepted_types)?;
        let mut claims = token.into_claims();
        // Everything below sees the tenant in the issuer, not a claim of the same name.
        add_tenant(&mut claims, tenant);
        let span = self.check_dates(&claims, now)?;
        self.audience.check(&claims)?;
        let certificate = self.rules.check(&claims)?;
        let Identity { subject, bindings } =
            self.identity.identify(&claims, tenant, LABEL).map_err(|error| self.refusal(error))?;
        let caller = TokenCaller::new(self.common.caller(subject, claims, bindings), certificate);
        Ok(VerifiedToken { caller, validity: span, key_generation: under })
    }

    /// Checks the dates of the token. The claim `exp` is required. Returns the period in which the result is the same,
    /// in milliseconds since 1970.
    fn check_dates(&self, claims: &Map<String, Value>, now: Millis) -> Result<Range<u64>, AuthnError> {
        let dates = Dates::read(claims)?;
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
