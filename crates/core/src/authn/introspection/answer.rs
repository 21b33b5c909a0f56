//! What an answer means: a caller, a bad credential, or nothing that can be relied on.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{Introspection, IntrospectionProtocol};
use crate::authn::address::check_verified;
use crate::authn::binding::{Thumbprint, TokenCaller};
use crate::authn::dates::{Dates, TokenClock};
use crate::authn::error::AuthnError;
use crate::authn::jwt::check_audience;
use crate::authn::purpose::TokenRules;
use crate::authn::role_mapping::RoleMapping;
use crate::model::{Caller, Millis, Pattern, Role, check_identifier, claim, json};

/// The longest subject, in characters, as for any identifier.
const LONGEST_SUBJECT: usize = 255;

/// By how much the server's clock may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// For how long a credential is refused without asking again, at most.
const REFUSED: Duration = Duration::from_secs(5);

/// For how long nobody is asked about a credential after that failed.
const FAILED: Duration = Duration::from_secs(1);

/// What an answer means, and for how long.
#[derive(Clone, Debug)]
pub struct IntrospectionAnswer {
    /// The caller, or why there is none.
    pub caller: Result<TokenCaller, AuthnError>,
    /// For how long that holds.
    pub lifetime: Duration,
}

impl Introspection {
    /// Reads an answer.
    pub fn read(&self, status: StatusCode, body: &[u8], now: Millis) -> IntrospectionAnswer {
        let found = self.claims(status, body).and_then(|claims| {
            let (certificate, until) = self.check(&claims, now)?;
            Ok((TokenCaller::new(self.caller(claims)?, certificate), until))
        });
        match found {
            Ok((caller, until)) => {
                let left = Duration::from_millis(until.saturating_sub(now.0));
                IntrospectionAnswer { caller: Ok(caller), lifetime: self.cache.min(left) }
            }
            Err(refusal) => self.refused(refusal),
        }
    }

    /// That there was no answer, for this reason.
    pub fn unanswered(&self, reason: String) -> IntrospectionAnswer {
        self.refused(unreliable(reason))
    }

    fn refused(&self, refusal: AuthnError) -> IntrospectionAnswer {
        let lifetime = if refusal.is_unavailable() { FAILED } else { self.cache.min(REFUSED) };
        IntrospectionAnswer { caller: Err(refusal.by(&self.common.name)), lifetime }
    }

    /// What the answer says of the credential, if it says anything.
    fn claims(&self, status: StatusCode, body: &[u8]) -> Result<Map<String, Value>, AuthnError> {
        let is_leancloud = matches!(self.protocol, IntrospectionProtocol::LeanCloud { .. });
        match status {
            StatusCode::OK if body.trim_ascii() == b"null" => Err(unknown("nobody")),
            StatusCode::OK => {
                json::object(body).map_err(|error| unreliable(format!("it is not a JSON object: {error}")))
            }
            // LeanCloud says 401 where the program's own key is wrong.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_leancloud => Err(self.turned_away(status)),
            StatusCode::BAD_REQUEST if is_leancloud && has_code_211(body) => Err(unknown("code 211")),
            _ if status.is_redirection() => Err(unreliable(format!("it redirects ({status}), which is not followed"))),
            _ => Err(unreliable(format!("it answers {status}"))),
        }
    }

    /// An authorization server says of a bad token that it isn't active; this status is for whoever asks (RFC 7662, section 2.3).
    fn turned_away(&self, status: StatusCode) -> AuthnError {
        match self.protocol {
            IntrospectionProtocol::Token { .. } => {
                unknown(&format!("{}: perhaps it does not know this program by what it is shown", status.as_str()))
            }
            _ => unknown(status.as_str()),
        }
    }

    /// Checks what an authorization server says of the token itself. Returns the certificate that it is bound to, if it is, and until
    /// when the answer holds, in milliseconds since 1970.
    fn check(&self, claims: &Map<String, Value>, now: Millis) -> Result<(Option<Thumbprint>, u64), AuthnError> {
        let IntrospectionProtocol::Token { audience, rules, .. } = &self.protocol else {
            let inactive = claims.get("active") == Some(&Value::Bool(false));
            return if inactive { Err(unknown("inactive")) } else { Ok((None, u64::MAX)) };
        };
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(unknown("inactive")),
            _ => return Err(unreliable("it must say whether the token is active: true or false".to_owned())),
        }
        if let Some(audience) = audience {
            check_audience(claims, audience)?;
        }
        Ok((rules.check(claims)?, check_dates(claims, rules, now)?))
    }

    fn caller(&self, claims: Map<String, Value>) -> Result<Arc<Caller>, AuthnError> {
        check_verified(&claims, &self.subject)?;
        let subject = self.subject(&claims)?;
        let bindings = self.bindings(&claims)?;
        // A LeanCloud user can change most of what LeanCloud knows of them, and the answer has their session besides.
        let claims = if matches!(self.protocol, IntrospectionProtocol::LeanCloud { .. }) { Map::new() } else { claims };
        Ok(self.common.caller(subject, claims, bindings))
    }

    /// Who the caller is: a text, or a whole number, as many backends count their users.
    fn subject(&self, claims: &Map<String, Value>) -> Result<String, AuthnError> {
        let bare = match claim(claims, &self.subject) {
            None | Some(Value::Null) => return Err(unknown("nobody")),
            Some(Value::String(text)) if text.is_empty() => return Err(unknown("nobody")),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_u64() || number.is_i64() => number.to_string(),
            Some(_) => return Err(unreliable(format!("its `{}` is neither a text nor a whole number", self.subject))),
        };
        let whole = format!("{}{bare}", self.subject_prefix);
        check_subject(&bare, &whole)?;
        Ok(whole)
    }

    /// Checks that an answer can name this subject, which stands behind the prefix.
    pub(in crate::authn) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        let Some(bare) = subject.strip_prefix(&self.subject_prefix) else {
            return Err(AuthnError::new(format!("its subjects start with `{}`", self.subject_prefix)));
        };
        check_subject(bare, subject)
    }

    fn bindings(&self, claims: &Map<String, Value>) -> Result<Vec<(Pattern, Role)>, AuthnError> {
        // Backends write null for none.
        let given = |name: &&str| claim(claims, name) != Some(&Value::Null);
        let (roles, bindings) = (self.roles.as_deref().filter(given), self.bindings.as_deref().filter(given));
        let grants = RoleMapping { roles, bindings, ladder: &self.ladder, max_role: self.max_role };
        grants.read(claims).map_err(|refusal| unreliable(refusal.log()))
    }
}

/// Checks a subject, as the answer has it and behind the prefix.
fn check_subject(bare: &str, whole: &str) -> Result<(), AuthnError> {
    for subject in [bare, whole] {
        check_identifier(subject, LONGEST_SUBJECT)
            .map_err(|flaw| AuthnError::new(format!("the caller's id {flaw}")))?;
    }
    if bare == "*" {
        return Err(AuthnError::new("a caller's subject must not be `*`"));
    }
    Ok(())
}

/// Checks the token's dates, if they are stated (RFC 7662, section 2.2). Returns until when it counts.
fn check_dates(claims: &Map<String, Value>, rules: &TokenRules, now: Millis) -> Result<u64, AuthnError> {
    // Servers write null for none.
    let given = |name: &str| claims.get(name).filter(|value| !value.is_null());
    let dates = Dates::read(given).map_err(|refusal| unreliable(refusal.log()))?;
    // The server has the last word on the expiry, and its clock is the one that counts.
    let expiry = dates.expiry.unwrap_or(u64::MAX);
    if expiry <= now.0 {
        return Err(unknown("expired"));
    }
    let span = TokenClock::new(now, LEEWAY_SECONDS, rules.max_age).check(&dates)?;
    Ok(span.end.min(expiry))
}

/// LeanCloud's "Could not find user.", which is what it says of a bad session.
fn has_code_211(body: &[u8]) -> bool {
    json::object(body).is_ok_and(|answer| answer.get("code").and_then(Value::as_u64) == Some(211))
}

fn unknown(word: &str) -> AuthnError {
    AuthnError::new("the credential is not known, or no longer").detail(format!("the answer is {word}"))
}

fn unreliable(reason: String) -> AuthnError {
    AuthnError::unavailable("who the caller is can't be found out at the moment").detail(reason)
}
