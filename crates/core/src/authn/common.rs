//! The settings that all authenticators have, and the checks of the subjects of their callers.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::AuthnError;
use crate::model::{Caller, CallerKind, Pattern, Role, check_identifier, claim};

pub(super) const NOT_FOR_THIS_APP: &str = "these callers are not accepted for this app";

/// The longest subject, in characters, the same as for any identifier.
const MAX_SUBJECT_CHARS: usize = 255;

/// The claims with an address, each with the claims that say whether the issuer has verified the address. The first
/// flag has the name in OpenID Connect Core 1.0, section 5.1; the others are the names that other issuers use.
const ADDRESSES: [(&str, &[&str]); 2] = [
    ("email", &["email_verified", "emailVerified", "verified_email", "is_email_verified"]),
    ("phone_number", &["phone_number_verified", "phoneNumberVerified", "phone_verified"]),
];

/// The settings that all authenticators have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// The name of the authenticator in the configuration.
    pub name: Arc<str>,
    /// The kind of the callers.
    pub kind: CallerKind,
    /// The apps that the callers may use; `None` means all apps.
    pub apps: Option<Vec<String>>,
}

impl Common {
    /// Returns whether the callers may use this app.
    pub fn accepts_app(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Returns whether the callers may use this app. Returns true if there is no app.
    pub(super) fn accepts_optional_app(&self, app: Option<&str>) -> bool {
        app.is_none_or(|app| self.accepts_app(app))
    }

    /// Returns a caller of this authenticator.
    pub(super) fn caller(
        &self,
        subject: String,
        claims: Map<String, Value>,
        bindings: Vec<(Pattern, Role)>,
    ) -> Arc<Caller> {
        let authenticator = Arc::clone(&self.name);
        Arc::new(Caller { kind: self.kind, subject, authenticator, claims, bindings })
    }

    /// Checks every caller last, for all kinds of credentials.
    pub(super) fn admit(&self, caller: Arc<Caller>, app: Option<&str>) -> Result<Arc<Caller>, AuthnError> {
        if caller.subject == "*" {
            return Err(AuthnError::invalid("a caller's subject must not be `*`"));
        }
        if !self.accepts_optional_app(app) {
            return Err(AuthnError::invalid(NOT_FOR_THIS_APP));
        }
        Ok(caller)
    }
}

/// Checks a subject, without and with the prefix. `label` names it in the error.
pub(super) fn check_subject(label: &str, bare: &str, whole: &str) -> Result<(), AuthnError> {
    for subject in [bare, whole] {
        let refuse = |flaw| AuthnError::invalid(format!("{label} {flaw}"));
        check_identifier(subject, MAX_SUBJECT_CHARS).map_err(refuse)?;
    }
    if bare == "*" {
        return Err(AuthnError::invalid(format!("{label} must not be `*`")));
    }
    Ok(())
}

/// Returns whether this claim (a name or a JSON pointer) is an address of the user.
pub fn is_address_claim(subject: &str) -> bool {
    !verification_flags(subject).is_empty()
}

/// Checks that the claims do not mark the address in the subject as unverified. If the claims have no such flag, the
/// check succeeds, because many issuers verify all addresses.
pub(super) fn check_verified(claims: &Map<String, Value>, subject: &str) -> Result<(), AuthnError> {
    let is_verified = |flag: &String| match claim(claims, flag) {
        None | Some(Value::Null | Value::Bool(true)) => true,
        // Some issuers write the value in quotes.
        Some(Value::String(word)) => word.eq_ignore_ascii_case("true"),
        Some(_) => false,
    };
    match verification_flags(subject).iter().find(|flag| !is_verified(flag)) {
        Some(flag) => Err(AuthnError::invalid(format!("the caller's address is not verified (`{flag}`)"))),
        None => Ok(()),
    }
}

/// Returns the claims beside an address that may say whether it is verified. The list is empty if the claim is not an
/// address.
fn verification_flags(subject: &str) -> Vec<String> {
    let (place, name) = subject.split_at(subject.rfind('/').map_or(0, |slash| slash + 1));
    let known = ADDRESSES.iter().filter(|(address, _)| *address == name);
    known.flat_map(|(_, flags)| *flags).map(|flag| format!("{place}{flag}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_verification_flag_is_beside_the_address() {
        for (subject, flag) in [
            ("email", Some("email_verified")),
            ("/user/email", Some("/user/email_verified")),
            ("https://example.com/phone_number", Some("https://example.com/phone_number_verified")),
            ("sub", None),
            ("emails", None),
            ("/email/id", None),
        ] {
            assert_eq!(verification_flags(subject).first().map(String::as_str), flag, "{subject}");
        }
    }

    #[test]
    fn only_unverified_addresses_are_refused() {
        let passes = |value: Value| {
            let claims =
                Map::from_iter([("email".to_owned(), "a@example.com".into()), ("email_verified".to_owned(), value)]);
            check_verified(&claims, "email").is_ok()
        };
        let other = json!({"email": "a@example.com", "email_verified": true, "emailVerified": false});
        assert!(check_verified(other.as_object().unwrap(), "email").is_err(), "one of two says no");
        for value in [json!(true), json!("true"), json!("True"), json!(null)] {
            assert!(passes(value.clone()), "{value}");
        }
        for value in [json!(false), json!("false"), json!(""), json!(0), json!(1), json!([true]), json!({})] {
            assert!(!passes(value.clone()), "{value}");
        }
    }
}
