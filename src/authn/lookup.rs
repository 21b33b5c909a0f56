//! What has to be found out elsewhere before it is known who is calling.

use std::fmt;
use std::sync::Arc;

use super::TokenCaller;
use super::introspection::Question;
use super::jwt::KeySet;
use super::refusal::Refusal;

/// Why there is no caller, or not yet.
#[derive(Debug)]
pub enum Unidentified {
    /// The credential is not accepted.
    Refused(Refusal),
    /// This must be looked up first.
    Unknown(Lookup),
}

/// Something to look up.
#[derive(Debug)]
pub enum Lookup {
    /// Whether this key set has newer keys.
    Keys(Arc<KeySet>),
    /// Whom another server knows by a credential.
    Session(Question),
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// The key set holds the newest keys that are to be had.
    Keys,
    /// Who the caller is, as far as whoever was asked knows.
    Caller(Result<TokenCaller, Refusal>),
}

impl Unidentified {
    /// Names the authenticator that was responsible.
    pub(super) fn by(self, authenticator: &Arc<str>) -> Unidentified {
        match self {
            Unidentified::Refused(refusal) => Unidentified::Refused(refusal.by(authenticator)),
            unknown @ Unidentified::Unknown(_) => unknown,
        }
    }

    /// A refusal, where nothing is looked up.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Unidentified::Refused(refusal) => refusal,
            Unidentified::Unknown(_) => Refusal::unavailable("who the caller is can't be looked up here"),
        }
    }
}

impl fmt::Display for Lookup {
    /// Who asks whom, to follow "the caller can't be told".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lookup::Keys(set) => write!(f, "the keys of {} are fetched from {}", set.authenticator, set.endpoint),
            Lookup::Session(Question { asker, .. }) => {
                write!(f, "{} asks {} whose this token is", asker.common.name, asker.endpoint)
            }
        }
    }
}

impl From<Refusal> for Unidentified {
    fn from(refusal: Refusal) -> Unidentified {
        Unidentified::Refused(refusal)
    }
}
