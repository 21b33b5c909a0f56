//! What has to be found out elsewhere before it is known who is calling.

use std::fmt;
use std::sync::Arc;

use super::TokenCaller;
use super::error::AuthnError;
use super::introspection::IntrospectionQuery;
use super::jwt::KeySet;

/// Why there is no caller, or not yet.
#[derive(Debug)]
pub enum IdentifyError {
    /// The credential is not accepted.
    Refused(AuthnError),
    /// This must be looked up first.
    Unknown(PendingLookup),
}

/// Something to look up.
#[derive(Debug)]
pub enum PendingLookup {
    /// Whether this key set has newer keys.
    Keys(Arc<KeySet>),
    /// Whom another server knows by a credential.
    Session(IntrospectionQuery),
}

/// What was found.
#[derive(Debug)]
pub enum LookupResult {
    /// The key set holds the newest keys that are to be had.
    Keys,
    /// Who the caller is, as far as whoever was asked knows.
    Caller(Result<TokenCaller, AuthnError>),
}

impl IdentifyError {
    /// Names the authenticator that was responsible.
    pub(super) fn by(self, authenticator: &Arc<str>) -> IdentifyError {
        match self {
            IdentifyError::Refused(refusal) => IdentifyError::Refused(refusal.by(authenticator)),
            unknown @ IdentifyError::Unknown(_) => unknown,
        }
    }

    /// A refusal, where nothing is looked up.
    pub fn into_refusal(self) -> AuthnError {
        match self {
            IdentifyError::Refused(refusal) => refusal,
            IdentifyError::Unknown(_) => AuthnError::unavailable("who the caller is can't be looked up here"),
        }
    }
}

impl fmt::Display for PendingLookup {
    /// Who asks whom, to follow "the caller can't be told".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PendingLookup::Keys(set) => {
                write!(f, "the keys of {} are fetched from {}", set.authenticator, set.endpoint)
            }
            PendingLookup::Session(IntrospectionQuery { asker, .. }) => {
                write!(f, "{} asks {} whose this token is", asker.common.name, asker.endpoint)
            }
        }
    }
}

impl From<AuthnError> for IdentifyError {
    fn from(refusal: AuthnError) -> IdentifyError {
        IdentifyError::Refused(refusal)
    }
}
