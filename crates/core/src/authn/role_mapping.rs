//! The roles that an issuer gives to its callers. Roles that the policy does not list, roles stronger than the maximum
//! of the issuer, and scopes that are not valid patterns are ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{AuthnError, MappingError};
use crate::model::{Pattern, Role, RoleHierarchy, claim};

type IssuerClaims = Map<String, Value>;

/// The maximum number of scopes in which an issuer may give roles to a caller.
const MAX_SCOPES: usize = 64;

/// The claims with the roles of an issuer, and the limits for these roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMapping {
    /// The claim with roles at scope `*`: a list of words, or words in one string.
    pub roles: Option<String>,
    /// The claim with roles by scope: an object that maps patterns to words.
    pub bindings: Option<String>,
    /// The roles of the policy.
    pub role_hierarchy: RoleHierarchy,
    /// The strongest accepted role. Without it, no role is accepted.
    pub max_role: Option<Role>,
}

impl RoleMapping {
    /// Returns a mapping that gives no roles.
    pub fn none(role_hierarchy: &RoleHierarchy) -> RoleMapping {
        RoleMapping { roles: None, bindings: None, role_hierarchy: role_hierarchy.clone(), max_role: None }
    }

    /// Reads the roles in these claims, each with its scope. No scope is repeated.
    pub(super) fn read(&self, claims: &IssuerClaims) -> Result<Vec<(Pattern, Role)>, MappingError> {
        let Some(max) = self.max_role else {
            return Ok(Vec::new());
        };
        let role = |word: &str| self.role_hierarchy.find(word).filter(|role| *role <= max);
        let everywhere = read_words(claims, self.roles.as_deref())?.into_iter().filter_map(role);
        let scoped = read_scopes(claims, self.bindings.as_deref())?
            .filter_map(|(scope, word)| Some((Pattern::parse(scope).ok()?, role(word.as_str()?)?)));
        let all = everywhere.map(|role| (Pattern::Everything, role)).chain(scoped);
        strongest_roles(all).map_err(MappingError::MalformedRoles)
    }
}

/// Returns the strongest role of each scope. The number of scopes is limited, because a decision about a pattern
/// compares each scope with all others.
///
/// # Errors
/// Returns an error if there are too many scopes.
pub fn strongest_roles(bindings: impl Iterator<Item = (Pattern, Role)>) -> Result<Vec<(Pattern, Role)>, AuthnError> {
    let mut roles: BTreeMap<Pattern, Role> = BTreeMap::new();
    for (scope, role) in bindings {
        let known = roles.entry(scope.home_conversation().into_owned()).or_insert(role);
        *known = role.max(*known);
    }
    if roles.len() > MAX_SCOPES {
        return Err(AuthnError::invalid(format!(
            "the caller must not have roles in more than {MAX_SCOPES} different scopes"
        )));
    }
    Ok(roles.into_iter().collect())
}

/// Returns the words in a list, or in one string separated by white space.
fn read_words<'a>(claims: &'a IssuerClaims, name: Option<&str>) -> Result<Vec<&'a str>, MappingError> {
    match name.and_then(|name| claim(claims, name)) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(line)) => Ok(line.split_whitespace().collect()),
        Some(Value::Array(list)) => Ok(list.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(wrong_type_error("roles", "a list of strings or words in one string", name)),
    }
}

/// Returns the members of an object that maps scopes to words.
fn read_scopes<'a>(
    claims: &'a IssuerClaims,
    name: Option<&str>,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, MappingError> {
    match name.and_then(|name| claim(claims, name)) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(members)) => Ok(Some(members).into_iter().flatten()),
        Some(_) => Err(wrong_type_error("bindings", "an object of pattern and role", name)),
    }
}

fn wrong_type_error(what: &str, wanted: &str, claim: Option<&str>) -> MappingError {
    let detail = format!("they are read from the claim `{}`", claim.unwrap_or_default());
    MappingError::MalformedRoles(
        AuthnError::invalid(format!("the caller's {what} must be {wanted}")).with_detail(detail),
    )
}
