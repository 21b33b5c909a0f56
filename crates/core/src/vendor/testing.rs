//! Helpers for the tests of all vendors.

use serde_json::{Map, Value};

use super::Params;
use crate::model::{Caller, CallerKind};

/// Returns strict parameters.
pub(super) fn params(values: Value) -> Params {
    let Value::Object(values) = values else { unreachable!("parameters are an object") };
    Params { values, lenient: false }
}

/// Returns lenient parameters, as a query has them.
pub(super) fn query(values: Value) -> Params {
    Params { lenient: true, ..params(values) }
}

/// Returns a user without claims.
pub(super) fn user(subject: &str) -> Caller {
    caller(CallerKind::User, subject)
}

/// Returns a service without claims.
pub(super) fn service(subject: &str) -> Caller {
    caller(CallerKind::Service, subject)
}

fn caller(kind: CallerKind, subject: &str) -> Caller {
    let subject = subject.to_owned();
    Caller { kind, subject, authenticator: "test".into(), claims: Map::new(), bindings: Vec::new() }
}
