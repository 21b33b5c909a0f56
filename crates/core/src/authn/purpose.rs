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

/// Claims that only ID tokens have: a value of the login request, and hashes of the values that were issued with it.
const ID_TOKEN_CLAIMS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// The kinds of ID tokens, in the same form as [`REFUSED_KINDS`].
const ID_TOKEN_KINDS: [&str; 2] = ["id", "idtoken"];

/// The further rules for authentic tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// Whether tokens that are bound to the key of their client are accepted from any client.
    pub accept_bound: bool,
    /// The maximum age of a token since it was issued.
    pub max_age: Option<Duration>,
    /// Whether ID tokens are refused.
    pub refuse_id_tokens: bool,
}

impl TokenRules {
    /// Checks that a token with these claims is for access. Returns the certificate that the client must have, if the
    /// token is bound to a certificate.
    pub(super) fn check(&self, claims: &ClaimsMap) -> Result<Option<Thumbprint>, AuthnError> {
        check_kind(claims)?;
        if self.refuse_id_tokens {
            check_no_id_token(claims)?;
        }
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

/// Checks that the claims are not those of an ID token (OpenID Connect Core 1.0, section 2). An ID token tells a client
/// who has logged in. It is not meant for servers, and other parties than the client often get to see it.
fn check_no_id_token(claims: &ClaimsMap) -> Result<(), AuthnError> {
    let given = |name: &&&str| claims.get(**name).is_some_and(|value| !value.is_null());
    let is_id = |name: &&&str| {
        let mut kinds = words(claims, name).map(normalize_kind);
        kinds.any(|kind| ID_TOKEN_KINDS.contains(&kind.as_str()))
    };
    match ID_TOKEN_CLAIMS.iter().find(given).or_else(|| KIND_CLAIMS.iter().find(is_id)) {
        Some(name) => Err(AuthnError::invalid(format!("the token is an ID token (`{name}`): send an access token"))),
        None => Ok(()),
    }
}

fn check_kind(claims: &ClaimsMap) -> Result<(), AuthnError> {
    for name in KIND_CLAIMS {
        if let Some(word) = words(claims, name).find(|word| REFUSED_KINDS.contains(&&*normalize_kind(word))) {
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

/// Returns the texts in a claim, which is a text or a list.
fn words<'a>(claims: &'a ClaimsMap, name: &str) -> impl Iterator<Item = &'a str> {
    let words = match claims.get(name) {
        Some(Value::Array(words)) => words.as_slice(),
        Some(word) => std::slice::from_ref(word),
        None => &[],
    };
    words.iter().filter_map(Value::as_str)
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

    #[test]
    fn an_id_token_is_known_by_a_text_or_a_list() {
        for name in KIND_CLAIMS {
            for kind in [json!("id"), json!(["id"]), json!(["access", "id_token"])] {
                assert!(check_no_id_token(json!({ name: kind }).as_object().unwrap()).is_err(), "{name} {kind}");
            }
            check_no_id_token(json!({ name: ["access"] }).as_object().unwrap()).unwrap();
        }
    }
}
