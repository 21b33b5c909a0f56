//! Who sent the request, once that is proven.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Pattern, Role};

/// Whether a caller is an end user's device or a backend. The authenticator's configuration says which, never a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerKind {
    /// An end user's device. It may be its own client.
    User,
    /// A backend. It is nobody's client.
    Service,
}

impl CallerKind {
    /// How the policy file and the audit log spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            CallerKind::User => "user",
            CallerKind::Service => "service",
        }
    }
}

/// Who sent the request: the result of authentication.
#[derive(Clone, Debug)]
pub struct Caller {
    /// User or service.
    pub kind: CallerKind,
    /// The identity: the token's subject behind its authenticator's prefix, or the API key's id.
    pub subject: String,
    /// The name of the authenticator that vouches for it.
    pub authenticator: Arc<str>,
    /// What the token says, whole; empty for an API key.
    pub claims: Map<String, Value>,
    /// The roles that the token claims, each with its scope: only those the policy lists and the authenticator's
    /// `max_role` lets through.
    pub bindings: Vec<(Pattern, Role)>,
}

impl Caller {
    /// Whether this caller is this client: a user of that very name. A service is nobody.
    pub fn is(&self, client: &str) -> bool {
        self.kind == CallerKind::User && self.subject == client
    }

    /// A claim by its literal name, or by a JSON pointer (RFC 6901) if `name` starts with `/`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        claim(&self.claims, name)
    }
}

/// A member of `claims` by its literal name, or by a JSON pointer (RFC 6901) if `name` starts with `/`.
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
