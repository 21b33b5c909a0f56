//! What the tests of all vendors need.

use serde_json::{Map, Value};

use super::Params;
use crate::model::{Caller, CallerKind};

/// Strict parameters.
pub(super) fn params(values: Value) -> Params {
    let Value::Object(values) = values else { unreachable!("parameters are an object") };
    Params { values, lenient: false }
}

/// Parameters as from a query.
pub(super) fn query(values: Value) -> Params {
    Params { lenient: true, ..params(values) }
}

/// A user without claims.
pub(super) fn user(subject: &str) -> Caller {
    caller(CallerKind::User, subject)
}

/// A service without claims.
pub(super) fn service(subject: &str) -> Caller {
    caller(CallerKind::Service, subject)
}

fn caller(kind: CallerKind, subject: &str) -> Caller {
    let subject = subject.to_owned();
    Caller { kind, subject, authenticator: "test".into(), claims: Map::new(), bindings: Vec::new() }
}
