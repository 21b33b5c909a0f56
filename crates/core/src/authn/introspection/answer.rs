//! Interprets the answer of another server: a caller, an invalid credential, or an unusable answer.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};

use super::{Introspection, IntrospectionProtocol};
use crate::authn::binding::TokenCaller;
use crate::authn::certificate::Thumbprint;
use crate::authn::dates::{Dates, TokenClock};
use crate::authn::error::{AuthnError, MappingError};
use crate::authn::purpose::TokenRules;
use crate::model::{Caller, Millis, json};

/// The name of the subject of an answer in errors.
const LABEL: &str = "the caller's id";

/// The maximum difference to the clock of the other server, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// The maximum time for which a credential is refused without a new query.
const REFUSED_LIFETIME: Duration = Duration::from_secs(5);

/// The time without a new query about a credential after a query has failed.
const FAILED_LIFETIME: Duration = Duration::from_secs(1);

/// The meaning of an answer and its lifetime.
#[derive(Clone, Debug)]
pub struct IntrospectionAnswer {
    /// The caller, or the reason why there is none.
    pub caller: Result<TokenCaller, AuthnError>,
    /// The time for which the answer is valid.
    pub lifetime: Duration,
}

impl Introspection {
    /// Reads an answer.
    pub fn parse_answer(&self, status: StatusCode, body: &[u8], now: Millis) -> IntrospectionAnswer {
        let found = self.claims(status, body).and_then(|claims| {
            let (certificate, until) = self.check(&claims, now)?;
            Ok((TokenCaller::new(self.caller(claims)?, certificate), until))
        });
        match found {
            Ok((caller, until)) => {
                let left = Duration::from_millis(until.saturating_sub(now.0));
                IntrospectionAnswer { caller: Ok(caller), lifetime: self.cache_lifetime.min(left) }
            }
            Err(refusal) => self.error_answer(refusal),
        }
    }

    /// Returns the result for a query without an answer, with the reason.
    pub fn failed_answer(&self, reason: String) -> IntrospectionAnswer {
        self.error_answer(unusable_answer(reason))
    }

    fn error_answer(&self, refusal: AuthnError) -> IntrospectionAnswer {
        let lifetime =
            if refusal.is_unavailable() { FAILED_LIFETIME } else { self.cache_lifetime.min(REFUSED_LIFETIME) };
        IntrospectionAnswer { caller: Err(refusal.with_authenticator(&self.common.name)), lifetime }
    }

    /// Returns the claims of the answer, if the answer is usable.
    fn claims(&self, status: StatusCode, body: &[u8]) -> Result<Map<String, Value>, AuthnError> {
        let is_leancloud = matches!(self.protocol, IntrospectionProtocol::LeanCloud { .. });
        match status {
            StatusCode::OK if self.names_nobody(body) => Err(unknown_credential("no user")),
            StatusCode::OK => {
                json::parse_document(body).map_err(|error| unusable_answer(format!("it is not a JSON object: {error}")))
            }
            // LeanCloud answers 401 if the key of this program is wrong.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_leancloud => Err(self.unauthorized_error(status)),
            StatusCode::BAD_REQUEST if is_leancloud && has_code_211(body) => Err(unknown_credential("code 211")),
            _ if self.means_signed_out(status) => Err(unknown_credential(status.as_str())),
            _ if status.is_redirection() => {
                Err(unusable_answer(format!("it redirects ({status}), which is not followed")))
            }
            _ => Err(unusable_answer(format!("it answers {status}"))),
        }
    }

    /// Returns whether the body is a JSON value that names no user: `null`, or `false` of a session endpoint.
    fn names_nobody(&self, body: &[u8]) -> bool {
        let is_session = matches!(self.protocol, IntrospectionProtocol::Session { .. });
        let value = json::strip_bom(body).trim_ascii();
        value == b"null" || is_session && value == b"false"
    }

    /// Returns whether the configuration gives this status the meaning that nobody is signed in.
    fn means_signed_out(&self, status: StatusCode) -> bool {
        match &self.protocol {
            IntrospectionProtocol::Session { signed_out, .. } => signed_out.contains(&status),
            IntrospectionProtocol::Token { .. } | IntrospectionProtocol::LeanCloud { .. } => false,
        }
    }

    /// Returns the error for an answer with the status 401 or 403. An authorization server reports an invalid token as
    /// inactive. It uses these statuses if it does not accept the credentials of this program (RFC 7662, section 2.3).
    fn unauthorized_error(&self, status: StatusCode) -> AuthnError {
        match self.protocol {
            IntrospectionProtocol::Token { .. } => {
                unknown_credential(&format!("{}: perhaps it does not know this program's credentials", status.as_str()))
            }
            _ => unknown_credential(status.as_str()),
        }
    }

    /// Checks the answer of an authorization server about the token itself. Returns the certificate to which the token
    /// is bound, if there is one, and the end of the validity, in milliseconds since 1970.
    fn check(&self, claims: &Map<String, Value>, now: Millis) -> Result<(Option<Thumbprint>, u64), AuthnError> {
        let IntrospectionProtocol::Token { audience, rules, .. } = &self.protocol else {
            let inactive = claims.get("active") == Some(&Value::Bool(false));
            return if inactive { Err(unknown_credential("inactive")) } else { Ok((None, u64::MAX)) };
        };
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err(unknown_credential("inactive")),
            _ => return Err(unusable_answer("it must say whether the token is active: true or false".to_owned())),
        }
        if let Some(audience) = audience {
            audience.check(claims)?;
        }
        Ok((rules.check(claims)?, check_dates(claims, rules, now)?))
    }

    fn caller(&self, claims: Map<String, Value>) -> Result<Arc<Caller>, AuthnError> {
        if self.identity.subject_claim(&claims).is_some_and(|(_, value)| value == "") {
            return Err(unknown_credential("no user"));
        }
        let identity = self.identity.identify(&claims, None, LABEL).map_err(|error| self.refusal(error))?;
        // LeanCloud users can change most of their data at LeanCloud, and the answer also contains their session.
        let claims = if matches!(self.protocol, IntrospectionProtocol::LeanCloud { .. }) { Map::new() } else { claims };
        Ok(self.common.caller(identity.subject, claims, identity.bindings))
    }

    /// Checks that an answer can name this subject, which includes the prefix.
    pub(in crate::authn) fn check_subject(&self, subject: &str) -> Result<(), AuthnError> {
        self.identity.check_subject(subject, LABEL)
    }

    fn refusal(&self, error: MappingError) -> AuthnError {
        match error {
            MappingError::NoSubject => unknown_credential("no user"),
            MappingError::MalformedSubject => {
                unusable_answer(format!("its {} must be a string or a whole number", self.identity.subject_claims()))
            }
            MappingError::MalformedRoles(error) => unusable_answer(error.log_message()),
            MappingError::Refused(error) => error,
        }
    }
}

/// Checks the dates of the token, if the answer has them (RFC 7662, section 2.2). Returns the end of the validity, in
/// milliseconds since 1970.
fn check_dates(claims: &Map<String, Value>, rules: &TokenRules, now: Millis) -> Result<u64, AuthnError> {
    let dates = Dates::read_answer(claims).map_err(|refusal| unusable_answer(refusal.log_message()))?;
    // The expiry has no leeway, because the server decides with its own clock.
    let expiry = dates.expiry.unwrap_or(u64::MAX);
    if expiry <= now.0 {
        return Err(unknown_credential("expired"));
    }
    let span = TokenClock::new(now, LEEWAY_SECONDS, rules.max_age).check(&dates)?;
    Ok(span.end.min(expiry))
}

/// Returns whether LeanCloud answers "Could not find user.". This is its answer for an invalid session.
fn has_code_211(body: &[u8]) -> bool {
    json::parse_document(body).is_ok_and(|answer| answer.get("code").and_then(Value::as_u64) == Some(211))
}

fn unknown_credential(word: &str) -> AuthnError {
    AuthnError::invalid("the credential is unknown or no longer valid")
        .with_detail(format!("the server answers: {word}"))
}

fn unusable_answer(reason: String) -> AuthnError {
    AuthnError::unavailable("the caller cannot be identified at the moment").with_detail(reason)
}
