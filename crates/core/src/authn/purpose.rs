//! The purpose of a token. A token for another purpose is refused, even if the issuer has signed it (RFC 8725, section
//! 3.11).

use std::time::Duration;

use serde_json::{Map, Value};

use super::binding::bound_certificate;
use super::certificate::Thumbprint;
use super::error::{AuthnError, quote};

type ClaimsMap = Map<String, Value>;

/// The values of the header `typ` that are always accepted, in the form of [`normalize_media_type`].
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// The members in which issuers state the kind of a token: `token_type` in RFC 7662, `token_use` for Hydra and Cognito,
/// `typ` for Keycloak, `token_type` and `type` for libraries of Django and Flask.
const KIND_CLAIMS: [&str; 4] = ["token_use", "token_type", "typ", "type"];

/// The kinds of tokens that are not for access, in lower case and without punctuation. An offline token is a refresh
/// token.
const REFUSED_KINDS: [&str; 6] = ["refresh", "refreshtoken", "offline", "offlinetoken", "logout", "logouttoken"];

/// The further rules for authentic tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// Whether tokens that are bound to the key of their client are accepted from any client.
    pub accept_bound: bool,
    /// The maximum age of a token since it was issued.
    pub max_age: Option<Duration>,
}

impl TokenRules {
    /// Checks that a token with these claims is for access. Returns the certificate that the client must have, if the
    /// token is bound to a certificate.
    pub(super) fn check(&self, claims: &ClaimsMap) -> Result<Option<Thumbprint>, AuthnError> {
        check_kind(claims)?;
        if self.accept_bound { Ok(None) } else { bound_certificate(claims) }
    }
}

/// Checks the header `typ` (RFC 7515, section 4.1.9). `more` are further accepted values, in the form of
/// [`normalize_media_type`].
pub(super) fn check_type(typ: Option<&str>, more: &[String]) -> Result<(), AuthnError> {
    let Some(typ) = typ.map(normalize_media_type) else { return Ok(()) };
    if TYPES.contains(&&*typ) || more.contains(&typ) {
        return Ok(());
    }
    Err(AuthnError::invalid("the token was issued for another purpose: its header's `typ` is not accepted")
        .with_detail(quote(&typ)))
}

/// Returns the normal form of a media type in `typ`: in lower case, because the case is not significant, and without
/// `application/` if no other slash follows.
pub fn normalize_media_type(typ: &str) -> String {
    let typ = typ.to_ascii_lowercase();
    match typ.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.to_owned(),
        _ => typ,
    }
}

/// Checks that `aud`, a string or a list of strings, contains one of these audiences.
pub(super) fn check_audience(claims: &ClaimsMap, accepted: &[String]) -> Result<(), AuthnError> {
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

fn check_kind(claims: &ClaimsMap) -> Result<(), AuthnError> {
    for name in KIND_CLAIMS {
        let words = match claims.get(name) {
            Some(Value::Array(words)) => words.as_slice(),
            Some(word) => std::slice::from_ref(word),
            None => &[],
        };
        let mut words = words.iter().filter_map(Value::as_str);
        if let Some(word) = words.find(|word| REFUSED_KINDS.contains(&&*normalize_kind(word))) {
            let refusal = AuthnError::invalid(format!("the token was issued for another purpose (`{name}`)"));
            return Err(refusal.with_detail(quote(word)));
        }
    }
    // A security event token (RFC 8417). The logout tokens of OpenID Connect have this form.
    if claims.get("events").is_some_and(Value::is_object) {
        return Err(AuthnError::invalid(
            "the token was issued for another purpose: it is a security event token (`events`)",
        ));
    }
    Ok(())
}

/// Returns the last part of a name, only lower-case letters and digits: `refreshtoken` for
/// `urn:ietf:params:oauth:token-type:refresh_token`.
fn normalize_kind(word: &str) -> String {
    let last = word.rsplit(':').next().unwrap_or_default();
    last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_case_of_a_media_type_and_its_usual_beginning_do_not_count() {
        for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "Application/at+JWT"] {
            check_type(Some(typ), &[]).unwrap();
        }
        check_type(None, &[]).unwrap();
        for typ in
            ["logout+jwt", "application/logout+jwt", "dpop+jwt", "", "jwt/x", "text/jwt", "application/a/jwt", "jwt "]
        {
            assert!(check_type(Some(typ), &["chat+jwt".to_owned()]).is_err(), "{typ:?}");
        }
        check_type(Some("application/Chat+JWT"), &["chat+jwt".to_owned()]).unwrap();
    }

    #[test]
    fn kinds_are_known_in_every_spelling() {
        let kind = |name: &str, word: &str| check_kind(json!({ name: word }).as_object().unwrap());
        for word in
            ["refresh_token", "Refresh", "refresh-token", "urn:ietf:params:oauth:token-type:refresh_token", "Offline"]
        {
            for name in KIND_CLAIMS {
                assert!(kind(name, word).is_err(), "{name} {word}");
                assert!(check_kind(json!({ name: ["access", word] }).as_object().unwrap()).is_err(), "{name} [{word}]");
            }
        }
        for word in
            ["access_token", "access", "id", "Bearer", "urn:ietf:params:oauth:token-type:access_token", "JWT", ""]
        {
            for name in KIND_CLAIMS {
                kind(name, word).unwrap();
            }
        }
        kind("use", "refresh_token").unwrap();
    }
}
