//! What goes wrong with a request: once for the caller and once for the log.

use std::borrow::Cow;

use hyper::StatusCode;
use serde::Serialize;

use crate::authn::AuthnError;
use crate::limits::RateLimited;
use crate::moderation::{ChangeError, RejectReason, ReplicaStale};
use crate::policy::{Denial, DenyReason};
use crate::telemetry::audit::AuditError;
use crate::upstream::FactsUnavailable;
use crate::vendor::InvalidRequest;

/// What sort of failure it is: the word that programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
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

impl ErrorCode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Malformed => "malformed",
            ErrorCode::InvalidField => "invalid_field",
            ErrorCode::Unauthenticated => "unauthenticated",
            ErrorCode::Denied => "denied",
            ErrorCode::Banned => "banned",
            ErrorCode::NotFound => "not_found",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::NotAcceptable => "not_acceptable",
            ErrorCode::Conflict => "conflict",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::UnsupportedMediaType => "unsupported_media_type",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            ErrorCode::Malformed | ErrorCode::InvalidField => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorCode::Denied | ErrorCode::Banned => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Overloaded | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A request that got no signature.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    /// For the caller: names the field and the reason. Never a secret, token or signature.
    pub(super) detail: Cow<'static, str>,
    /// For the log: may say more. Never a secret, token or signature either.
    pub(super) log: Cow<'static, str>,
    pub(super) more: Box<ProblemExtensions>,
    /// The methods of the route, where it was another.
    pub(super) allow: Option<&'static str>,
    /// For how many seconds not to ask again.
    pub(super) retry_after: Option<u64>,
    /// Whether whoever noticed it has seen to the log, where each single one would be a flood.
    pub(super) is_logged: bool,
}

/// What a problem says beyond the members that all problems have.
#[derive(Debug, Default, Serialize)]
pub(super) struct ProblemExtensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ban: Option<BanDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The line of the policy file that stands against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
}

/// The ban that a refusal is due to.
#[derive(Debug, Serialize)]
pub(super) struct BanDetails {
    user: String,
    conversation: String,
}

impl ApiError {
    /// A failure of this sort: what the caller is told, and what the log is told.
    pub(super) fn new(
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
        log: impl Into<Cow<'static, str>>,
    ) -> ApiError {
        let (detail, log) = (detail.into(), log.into());
        let retry_after = (code.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        ApiError {
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
    pub(super) fn plain(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> ApiError {
        let detail = detail.into();
        ApiError::new(code, detail.clone(), detail)
    }

    /// Our own fault.
    pub(super) fn internal(log: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(ErrorCode::Internal, "Something went wrong here. The log has more under this request id.", log)
    }

    /// That `Accept` leaves none of these media types.
    pub(super) fn not_acceptable(types: &[&str]) -> ApiError {
        let detail = format!("Accept leaves nothing that can be answered: {}.", types.join(", "));
        ApiError::plain(ErrorCode::NotAcceptable, detail)
    }

    /// That there is nothing but the policy file.
    pub(super) fn no_store() -> ApiError {
        let detail = "There is no [store] in the configuration: the policy file is all there is, and nothing is changed while the \
                      program runs.";
        ApiError::plain(ErrorCode::NotFound, detail)
    }

    /// With another status than the one that belongs to the code.
    pub(super) fn with_status(self, status: StatusCode) -> ApiError {
        ApiError { status, ..self }
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(invalid: InvalidRequest) -> ApiError {
        let mut failure = ApiError::plain(ErrorCode::InvalidField, format!("{} {}", invalid.field, invalid.message));
        failure.more.field = Some(invalid.field);
        failure
    }
}

impl From<&AuthnError> for ApiError {
    fn from(refusal: &AuthnError) -> ApiError {
        let code = match refusal {
            _ if refusal.is_cross_site() => ErrorCode::Denied,
            _ if refusal.is_unavailable() => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthenticated,
        };
        ApiError::new(code, refusal.public(), refusal.log())
    }
}

impl From<RateLimited> for ApiError {
    fn from(RateLimited(wait): RateLimited) -> ApiError {
        let detail =
            "There are too many requests from this address or caller. Ask again after the time in Retry-After.";
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        ApiError { retry_after: Some(seconds.max(1)), ..ApiError::plain(ErrorCode::RateLimited, detail) }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> ApiError {
        let detail = "The answer could not be recorded in the audit log, so it is not given. Try again.";
        ApiError::new(ErrorCode::Unavailable, detail, error.to_string())
    }
}

impl From<FactsUnavailable> for ApiError {
    fn from(unavailable: FactsUnavailable) -> ApiError {
        let detail = "What the decision depends on can't be found out at the moment. Try again.";
        ApiError { is_logged: true, ..ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string()) }
    }
}

impl From<ReplicaStale> for ApiError {
    fn from(stale: ReplicaStale) -> ApiError {
        let detail = "Who is banned can't be told for certain at the moment, so nothing is decided. Try again.";
        ApiError::new(ErrorCode::Unavailable, detail, stale.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(not_changed: ChangeError) -> ApiError {
        match not_changed {
            ChangeError::Stale(stale) => ApiError::from(stale),
            ChangeError::NoStore => ApiError::no_store(),
            ChangeError::Unavailable(unavailable) => {
                let detail =
                    "The change could not be stored, or it isn't known whether it was. Ask for the same again.";
                ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
            }
            ChangeError::Broken(unavailable) => {
                let detail = "Nothing can be changed until chat-signer is started anew, as its store could not be \
                              written. Whether this change was made shows then.";
                ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
            }
        }
    }
}

impl From<&RejectReason> for ApiError {
    fn from(why: &RejectReason) -> ApiError {
        let code = match why {
            RejectReason::Denied(denial) => return ApiError::from(&**denial),
            RejectReason::Unfit(_) => ErrorCode::Malformed,
            RejectReason::NotThere | RejectReason::NotOutranked(_) => ErrorCode::Denied,
            RejectReason::File(..) | RejectReason::Conflict(_) => ErrorCode::Conflict,
        };
        let mut failure = ApiError::new(code, why.public(), why.log());
        failure.more.line = if let RejectReason::File(line, _) = why { Some(*line) } else { None };
        failure
    }
}

impl From<&Denial> for ApiError {
    fn from(denial: &Denial) -> ApiError {
        let code = if denial.code() == "banned" { ErrorCode::Banned } else { ErrorCode::Denied };
        let mut failure = ApiError::new(code, denial.public(), denial.log());
        failure.more.rule = denial.rule().map(str::to_owned);
        failure.more.reason = denial.reason().map(str::to_owned);
        if let DenyReason::Banned { user, scope, .. } = &denial.cause {
            failure.more.ban = Some(BanDetails { user: user.clone(), conversation: scope.to_string() });
        }
        failure
    }
}
