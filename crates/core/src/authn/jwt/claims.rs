//! The claims of a token with a valid signature: the audience and the subject.

use serde_json::{Map, Value};

use crate::authn::error::{AuthnError, quote};
use crate::model::{check_identifier, claim};

type ClaimsObject = Map<String, Value>;

/// The longest subject, in characters, the same as for any identifier.
const LONGEST_SUBJECT: usize = 255;

/// Checks that `aud`, a string or a list of strings, contains one of these audiences.
pub(in crate::authn) fn check_audience(claims: &ClaimsObject, accepted: &[String]) -> Result<(), AuthnError> {
    let malformed = || AuthnError::invalid("the token must name its audience (aud), as a string or a list of strings");
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(malformed)?,
        _ => return Err(malformed()),
    };
    if named.iter().any(|name| accepted.iter().any(|accepted| accepted == name)) {
        return Ok(());
    }
    Err(AuthnError::invalid("the token is for another audience (aud)").with_detail(quote(&named.join(" "))))
}

/// Returns the subject: the prefix followed by the value of the claim.
pub(super) fn subject(claims: &ClaimsObject, name: &str, prefix: &str) -> Result<String, AuthnError> {
    let Some(bare) = claim(claims, name).and_then(Value::as_str) else {
        let text = "the token must name its subject, as a string";
        return Err(AuthnError::invalid(text).with_detail(format!("it is read from the claim `{name}`")));
    };
    let whole = format!("{prefix}{bare}");
    check_subject(bare, &whole)?;
    Ok(whole)
}

/// Checks a subject, without and with the prefix.
pub(super) fn check_subject(bare: &str, whole: &str) -> Result<(), AuthnError> {
    for subject in [bare, whole] {
        let refuse = |flaw| AuthnError::invalid(format!("the token's subject {flaw}"));
        check_identifier(subject, LONGEST_SUBJECT).map_err(refuse)?;
    }
    if bare == "*" {
        return Err(AuthnError::invalid("the token's subject must not be `*`"));
    }
    Ok(())
}
