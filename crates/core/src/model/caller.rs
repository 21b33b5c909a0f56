//! The authenticated sender of a request.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Pattern, Role};

/// Whether a caller is an end user's device or a backend. The configuration of the authenticator decides this. A claim
/// never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerKind {
    /// An end user's device. It may be the client itself.
    User,
    /// A backend. It is never the client.
    Service,
}

impl CallerKind {
    /// Returns the name in the policy file and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            CallerKind::User => "user",
            CallerKind::Service => "service",
        }
    }
}

/// The sender of the request, as the result of authentication.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User or service.
    pub kind: CallerKind,
    /// The identity: the token's subject after the authenticator's prefix, or the id of the API key.
    pub subject: String,
    /// The name of the authenticator that identified the caller.
    pub authenticator: Arc<str>,
    /// All claims of the token. Empty for an API key.
    pub claims: Map<String, Value>,
    /// The roles that the token claims, each with its scope. Contains only roles that the policy lists and that the
    /// authenticator's `max_role` allows.
    pub bindings: Vec<(Pattern, Role)>,
}

impl Caller {
    /// Returns whether the caller is this client: a user with exactly this name. A service is never a client.
    pub fn is_client(&self, client: &str) -> bool {
        self.kind == CallerKind::User && self.subject == client
    }

    /// Returns a claim by its literal name, or by a JSON pointer (RFC 6901) if `name` starts with `/`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        claim(&self.claims, name)
    }
}

/// Returns a member of `claims` by its literal name, or by a JSON pointer (RFC 6901) if `name` starts with `/`.
pub fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = match pointer.split_once('/') {
        Some((first, _)) => (first, &pointer[first.len()..]),
        None => (pointer, ""),
    };
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}
