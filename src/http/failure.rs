//! What goes wrong with a request: once for the caller and once for the log.

use std::borrow::Cow;

use hyper::StatusCode;
use serde::Serialize;

use crate::authn::AuthnError;
use crate::limits::RateLimited;
use crate::observe::audit::AuditError;
use crate::policy::{Denial, DenyReason};
use crate::remote::FactsUnavailable;
use crate::roster::{ChangeError, RejectReason, ReplicaStale};
use crate::vendor::InvalidRequest;

/// What sort of failure it is: the word that programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Malformed,
    InvalidField,
    Unauthenticated,
    Denied,
    Banned,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    RateLimited,
    Overloaded,
    Unavailable,
    Internal,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::InvalidField => "invalid_field",
            Code::Unauthenticated => "unauthenticated",
            Code::Denied => "denied",
            Code::Banned => "banned",
            Code::NotFound => "not_found",
            Code::MethodNotAllowed => "method_not_allowed",
            Code::NotAcceptable => "not_acceptable",
            Code::Conflict => "conflict",
            Code::TooLarge => "too_large",
            Code::UnsupportedMediaType => "unsupported_media_type",
            Code::RateLimited => "rate_limited",
            Code::Overloaded => "overloaded",
            Code::Unavailable => "unavailable",
            Code::Internal => "internal",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Code::Malformed | Code::InvalidField => StatusCode::BAD_REQUEST,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::Denied | Code::Banned => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Code::Conflict => StatusCode::CONFLICT,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Code::Overloaded | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A request that got no signature.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    /// For the caller: names the field and the reason. Never a secret, token or signature.
    pub(super) detail: Cow<'static, str>,
    /// For the log: may say more. Never a secret, token or signature either.
    pub(super) log: Cow<'static, str>,
    pub(super) more: Box<More>,
    /// The methods of the route, where it was another.
    pub(super) allow: Option<&'static str>,
    /// For how many seconds not to ask again.
    pub(super) retry_after: Option<u64>,
    /// Whether whoever noticed it has seen to the log, where each single one would be a flood.
    pub(super) is_logged: bool,
}

/// What a problem says beyond the members that all problems have.
#[derive(Debug, Default, Serialize)]
pub(super) struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ban: Option<Ban>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The line of the policy file that stands against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
}

/// The ban that a refusal is due to.
#[derive(Debug, Serialize)]
pub(super) struct Ban {
    user: String,
    conversation: String,
}

impl Failure {
    /// A failure of this sort: what the caller is told, and what the log is told.
    pub(super) fn new(code: Code, detail: impl Into<Cow<'static, str>>, log: impl Into<Cow<'static, str>>) -> Failure {
        let (detail, log) = (detail.into(), log.into());
        let retry_after = (code.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Failure {
            status: code.status(),
            code,
            detail,
            log,
            more: Box::default(),
            allow: None,
            retry_after,
            is_logged: false,
        }
    }

    /// One whose message for the caller says all there is to say.
    pub(super) fn plain(code: Code, detail: impl Into<Cow<'static, str>>) -> Failure {
        let detail = detail.into();
        Failure::new(code, detail.clone(), detail)
    }

    /// Our own fault.
    pub(super) fn internal(log: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(Code::Internal, "Something went wrong here. The log has more under this request id.", log)
    }

    /// That `Accept` leaves none of these media types.
    pub(super) fn not_acceptable(types: &[&str]) -> Failure {
        let detail = format!("Accept leaves nothing that can be answered: {}.", types.join(", "));
        Failure::plain(Code::NotAcceptable, detail)
    }

    /// That there is nothing but the policy file.
    pub(super) fn no_store() -> Failure {
        let detail = "There is no [store] in the configuration: the policy file is all there is, and nothing is changed while the \
                      program runs.";
        Failure::plain(Code::NotFound, detail)
    }

    /// With another status than the one that belongs to the code.
    pub(super) fn with_status(self, status: StatusCode) -> Failure {
        Failure { status, ..self }
    }
}

impl From<InvalidRequest> for Failure {
    fn from(invalid: InvalidRequest) -> Failure {
        let mut failure = Failure::plain(Code::InvalidField, format!("{} {}", invalid.field, invalid.message));
        failure.more.field = Some(invalid.field);
        failure
    }
}

impl From<&AuthnError> for Failure {
    fn from(refusal: &AuthnError) -> Failure {
        let code = match refusal {
            _ if refusal.is_cross_site() => Code::Denied,
            _ if refusal.is_unavailable() => Code::Unavailable,
            _ => Code::Unauthenticated,
        };
        Failure::new(code, refusal.public(), refusal.log())
    }
}

impl From<RateLimited> for Failure {
    fn from(RateLimited(wait): RateLimited) -> Failure {
        let detail =
            "There are too many requests from this address or caller. Ask again after the time in Retry-After.";
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Failure { retry_after: Some(seconds.max(1)), ..Failure::plain(Code::RateLimited, detail) }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Failure {
        let detail = "The answer could not be recorded in the audit log, so it is not given. Try again.";
        Failure::new(Code::Unavailable, detail, error.to_string())
    }
}

impl From<FactsUnavailable> for Failure {
    fn from(unavailable: FactsUnavailable) -> Failure {
        let detail = "What the decision depends on can't be found out at the moment. Try again.";
        Failure { is_logged: true, ..Failure::new(Code::Unavailable, detail, unavailable.to_string()) }
    }
}

impl From<ReplicaStale> for Failure {
    fn from(stale: ReplicaStale) -> Failure {
        let detail = "Who is banned can't be told for certain at the moment, so nothing is decided. Try again.";
        Failure::new(Code::Unavailable, detail, stale.to_string())
    }
}

impl From<ChangeError> for Failure {
    fn from(not_changed: ChangeError) -> Failure {
        match not_changed {
            ChangeError::Stale(stale) => Failure::from(stale),
            ChangeError::NoStore => Failure::no_store(),
            ChangeError::Unavailable(unavailable) => {
                let detail =
                    "The change could not be stored, or it isn't known whether it was. Ask for the same again.";
                Failure::new(Code::Unavailable, detail, unavailable.to_string())
            }
            ChangeError::Broken(unavailable) => {
                let detail = "Nothing can be changed until chat-signer is started anew, as its store could not be \
                              written. Whether this change was made shows then.";
                Failure::new(Code::Unavailable, detail, unavailable.to_string())
            }
        }
    }
}

impl From<&RejectReason> for Failure {
    fn from(why: &RejectReason) -> Failure {
        let code = match why {
            RejectReason::Denied(denial) => return Failure::from(&**denial),
            RejectReason::Unfit(_) => Code::Malformed,
            RejectReason::NotThere | RejectReason::NotOutranked(_) => Code::Denied,
            RejectReason::File(..) | RejectReason::Conflict(_) => Code::Conflict,
        };
        let mut failure = Failure::new(code, why.public(), why.log());
        failure.more.line = if let RejectReason::File(line, _) = why { Some(*line) } else { None };
        failure
    }
}

impl From<&Denial> for Failure {
    fn from(denial: &Denial) -> Failure {
        let code = if denial.code() == "banned" { Code::Banned } else { Code::Denied };
        let mut failure = Failure::new(code, denial.public(), denial.log());
        failure.more.rule = denial.rule().map(str::to_owned);
        failure.more.reason = denial.reason().map(str::to_owned);
        if let DenyReason::Banned { user, scope, .. } = &denial.cause {
            failure.more.ban = Some(Ban { user: user.clone(), conversation: scope.to_string() });
        }
        failure
    }
}
