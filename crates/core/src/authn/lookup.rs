//! Lookups at other servers that are needed before the caller is known.

use std::fmt;
use std::sync::Arc;

use super::binding::TokenCaller;
use super::error::AuthnError;
use super::introspection::IntrospectionQuery;
use super::jwt::KeySet;

/// The reason why there is no caller, or not yet.
#[derive(Debug)]
pub enum IdentifyError {
    /// The credential is not accepted.
    Error(AuthnError),
    /// The program must do this lookup first.
    Pending(PendingLookup),
}

/// A lookup that is still to do.
#[derive(Debug)]
pub enum PendingLookup {
    /// Fetch this key set again, because it may have newer keys.
    Keys(Arc<KeySet>),
    /// Ask another server to which caller a credential belongs.
    Session(IntrospectionQuery),
}

/// The result of a lookup.
#[derive(Debug)]
pub enum LookupResult {
    /// The key set holds the newest available keys.
    Keys,
    /// The caller that the other server names, or an error.
    Caller(Result<TokenCaller, AuthnError>),
}

impl IdentifyError {
    /// Adds the name of the responsible authenticator.
    pub(super) fn with_authenticator(self, authenticator: &Arc<str>) -> IdentifyError {
        match self {
            IdentifyError::Error(refusal) => IdentifyError::Error(refusal.with_authenticator(authenticator)),
            unknown @ IdentifyError::Pending(_) => unknown,
        }
    }

    /// Returns the error. A pending lookup becomes an error, too, for programs that do no lookups.
    pub fn into_refusal(self) -> AuthnError {
        match self {
            IdentifyError::Error(refusal) => refusal,
            IdentifyError::Pending(_) => AuthnError::unavailable("the caller cannot be looked up here"),
        }
    }
}

impl fmt::Display for PendingLookup {
    /// Writes which authenticator asks which server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PendingLookup::Keys(set) => {
                write!(f, "the keys of {} are fetched from {}", set.config.name, set.config.endpoint)
            }
            PendingLookup::Session(IntrospectionQuery { introspection: asker, .. }) => {
                write!(f, "{} asks {} about this token", asker.common.name, asker.endpoint)
            }
        }
    }
}

impl From<AuthnError> for IdentifyError {
    fn from(refusal: AuthnError) -> IdentifyError {
        IdentifyError::Error(refusal)
    }
}

impl From<IntrospectionQuery> for IdentifyError {
    fn from(query: IntrospectionQuery) -> IdentifyError {
        IdentifyError::Pending(PendingLookup::Session(query))
    }
}
