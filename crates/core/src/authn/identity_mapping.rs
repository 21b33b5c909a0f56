//! The mapping from claims to the identity of a caller. The claims are those of a token, of the answer of another
//! server, or of the headers of a proxy.

use serde_json::{Map, Value};

use super::common::{check_subject, check_verified};
use super::error::{AuthnError, MappingError};
use super::required_claim::RequiredClaim;
use super::role_mapping::RoleMapping;
use super::tenant::SubjectPrefix;
use crate::model::{Pattern, Role, claim};

/// How an authenticator reads the subject and the roles of a caller from claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityMapping {
    /// The claims that can name the caller, each a literal name or a JSON pointer. The first with a value counts.
    pub subject: Vec<String>,
    /// Whether a subject can be a whole number, which stands for its digits.
    pub numeric_subject: bool,
    /// The prefix of the subject.
    pub subject_prefix: SubjectPrefix,
    /// Claims that must have certain values.
    pub required: Vec<RequiredClaim>,
    /// The claims with roles.
    pub roles: RoleMapping,
}

/// The subject and the roles of a caller.
#[derive(Debug)]
pub(super) struct Identity {
    /// The subject, with the prefix.
    pub(super) subject: String,
    /// The roles, each with its scope.
    pub(super) bindings: Vec<(Pattern, Role)>,
}

impl IdentityMapping {
    /// Reads the identity of a caller of this tenant, if there are tenants. `label` names the subject in errors.
    pub(super) fn identify(
        &self,
        claims: &Map<String, Value>,
        tenant: Option<&str>,
        label: &str,
    ) -> Result<Identity, MappingError> {
        self.required.iter().try_for_each(|required| required.check(claims)).map_err(MappingError::Refused)?;
        let (name, bare) = self.bare_subject(claims)?;
        check_verified(claims, name).map_err(MappingError::Refused)?;
        let subject = format!("{}{bare}", self.subject_prefix.resolve(tenant));
        check_subject(label, &bare, &subject).map_err(MappingError::Refused)?;
        Ok(Identity { subject, bindings: self.roles.read(claims)? })
    }

    /// Checks that claims can name this subject, which includes the prefix.
    pub(super) fn check_subject(&self, subject: &str, label: &str) -> Result<(), AuthnError> {
        check_subject(label, self.strip_prefix(subject)?, subject)
    }

    /// Returns the subject without the prefix.
    pub(super) fn strip_prefix<'a>(&self, subject: &'a str) -> Result<&'a str, AuthnError> {
        let bare = self.subject_prefix.strip(subject);
        bare.ok_or_else(|| AuthnError::invalid(format!("its subjects start with `{}`", self.subject_prefix)))
    }

    /// Returns the claim that names the caller, and its value.
    pub(super) fn subject_claim<'a>(&self, claims: &'a Map<String, Value>) -> Option<(&str, &'a Value)> {
        let value = |name: &'_ String| claim(claims, name).filter(|value| !value.is_null());
        self.subject.iter().find_map(|name| Some((name.as_str(), value(name)?)))
    }

    /// Joins the names of the claims that can name the caller, for a message.
    pub(super) fn subject_claims(&self) -> String {
        let names: Vec<_> = self.subject.iter().map(|name| format!("`{name}`")).collect();
        names.join(" or ")
    }

    /// Returns the subject without the prefix, and the claim that names it.
    fn bare_subject(&self, claims: &Map<String, Value>) -> Result<(&str, String), MappingError> {
        match self.subject_claim(claims).ok_or(MappingError::NoSubject)? {
            (name, Value::String(text)) => Ok((name, text.clone())),
            (name, Value::Number(number)) if self.numeric_subject && !number.is_f64() => Ok((name, number.to_string())),
            _ => Err(MappingError::MalformedSubject),
        }
    }
}
