//! The kinds of authenticators.

use std::sync::Arc;

use super::api_key::ApiKey;
use super::common::Common;
use super::forwarded::Forwarded;
use super::identity_mapping::IdentityMapping;
use super::introspection::Introspection;
use super::jwt::Jwt;
use super::mtls::Mtls;
use super::purpose::TokenRules;
use super::tenant::SubjectPrefix;
use super::unix_peer::UnixPeer;

/// A way to authenticate a request.
#[derive(Debug)]
pub enum Authenticator {
    /// A signed token.
    Jwt(Jwt),
    /// A key in a header.
    ApiKey(ApiKey),
    /// A header from a trusted proxy.
    Forwarded(Forwarded),
    /// The answer of another server.
    Introspection(Arc<Introspection>),
    /// A client certificate.
    Mtls(Mtls),
    /// A process on this machine, connected through a Unix socket.
    UnixPeer(UnixPeer),
}

impl Authenticator {
    /// Returns the settings that all authenticators have.
    pub fn common(&self) -> &Common {
        match self {
            Authenticator::Jwt(jwt) => &jwt.common,
            Authenticator::ApiKey(api_key) => &api_key.common,
            Authenticator::Forwarded(forwarded) => &forwarded.common,
            Authenticator::Introspection(introspection) => &introspection.common,
            Authenticator::Mtls(mtls) => &mtls.common,
            Authenticator::UnixPeer(process) => &process.common,
        }
    }

    /// Returns the authenticator if it reads the headers of a proxy.
    pub fn as_forwarded(&self) -> Option<&Forwarded> {
        match self {
            Authenticator::Forwarded(forwarded) => Some(forwarded),
            Authenticator::Jwt(_)
            | Authenticator::ApiKey(_)
            | Authenticator::Introspection(_)
            | Authenticator::Mtls(_)
            | Authenticator::UnixPeer(_) => None,
        }
    }

    /// Returns whether the credentials are ambient: a program other than the caller's can add them to a request.
    pub fn is_ambient(&self) -> bool {
        match self {
            Authenticator::Jwt(_) | Authenticator::ApiKey(_) => false,
            Authenticator::Introspection(introspection) => introspection.passes_cookies(),
            Authenticator::Forwarded(_) | Authenticator::Mtls(_) | Authenticator::UnixPeer(_) => true,
        }
    }

    /// Returns the further rules for authentic tokens, if this authenticator accepts tokens.
    pub fn token_rules(&self) -> Option<&TokenRules> {
        match self {
            Authenticator::Jwt(jwt) => Some(&jwt.rules),
            Authenticator::Introspection(introspection) => introspection.token_rules(),
            Authenticator::ApiKey(_)
            | Authenticator::Forwarded(_)
            | Authenticator::Mtls(_)
            | Authenticator::UnixPeer(_) => None,
        }
    }

    /// Returns how the credentials give the identity of the caller, if the configuration does not list the callers.
    pub fn identity(&self) -> Option<&IdentityMapping> {
        match self {
            Authenticator::Jwt(jwt) => Some(&jwt.identity),
            Authenticator::Forwarded(forwarded) => Some(&forwarded.identity),
            Authenticator::Introspection(introspection) => Some(&introspection.identity),
            Authenticator::ApiKey(_) | Authenticator::Mtls(_) | Authenticator::UnixPeer(_) => None,
        }
    }

    /// Returns the prefix that the authenticator puts before the subjects of its callers, if it can have one.
    pub(super) fn subject_prefix(&self) -> Option<&SubjectPrefix> {
        Some(&self.identity()?.subject_prefix)
    }

    /// Returns the length of the prefix of this subject in bytes, if the subject starts with the prefix that the
    /// authenticator puts before the subjects of its callers.
    pub(super) fn prefix_length(&self, subject: &str) -> Option<usize> {
        Some(subject.len() - self.identity()?.subject_prefix.strip(subject)?.len())
    }

    /// Returns the owner of this subject, if the configuration gives the subject to a caller of this authenticator.
    pub(super) fn reserved_for(&self, subject: &str) -> Option<&'static str> {
        match self {
            Authenticator::ApiKey(api_key) => api_key.has_id(subject).then_some("the id of an API key"),
            Authenticator::Mtls(mtls) => mtls.has_subject(subject).then_some("reserved for a client certificate"),
            Authenticator::UnixPeer(process) => {
                process.can_have_subject(subject).then_some("reserved for a local process")
            }
            Authenticator::Jwt(_) | Authenticator::Forwarded(_) | Authenticator::Introspection(_) => None,
        }
    }
}
