//! Claims that must have certain values.

use serde_json::{Map, Value};

use super::error::{AuthnError, quote};
use crate::model::claim;

/// A claim that must have one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    /// The claim: a literal name or a JSON pointer.
    pub name: String,
    /// The accepted values. A list of values in a token is never equal to one of them.
    pub values: Vec<Value>,
}

impl RequiredClaim {
    /// Checks the value of the claim.
    pub(super) fn check(&self, claims: &Map<String, Value>) -> Result<(), AuthnError> {
        let name = &self.name;
        match claim(claims, name) {
            Some(value) if self.values.contains(value) => Ok(()),
            None | Some(Value::Null) => Err(AuthnError::invalid(format!("the required claim `{name}` is missing"))),
            Some(value) => Err(AuthnError::invalid(format!("the claim `{name}` does not have a required value"))
                .with_detail(quote(&value.to_string()))),
        }
    }

    /// Returns whether no claims meet both requirements.
    pub(super) fn excludes(&self, other: &RequiredClaim) -> bool {
        self.name == other.name && !self.values.iter().any(|value| other.values.contains(value))
    }
}
