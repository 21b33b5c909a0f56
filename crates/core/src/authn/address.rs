//! Subjects that are an e-mail address or a phone number. A user can enter the address of another person, so an address
//! is accepted only if the issuer has verified it.

use serde_json::{Map, Value};

use super::error::AuthnError;
use crate::model::claim;

/// The claims with an address, each with the claims that say whether the issuer has verified the address. The first
/// flag has the name in OpenID Connect Core 1.0, section 5.1; the others are the names that other issuers use.
const ADDRESSES: [(&str, &[&str]); 2] = [
    ("email", &["email_verified", "emailVerified", "verified_email", "is_email_verified"]),
    ("phone_number", &["phone_number_verified", "phoneNumberVerified", "phone_verified"]),
];

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
