//! Errors of requests: one message for the caller and one for the log.

use std::borrow::Cow;

use hyper::StatusCode;
use serde::Serialize;

use crate::authn::AuthnError;
use crate::moderation::store::StoreUnavailable;
use crate::moderation::{ChangeError, RejectReason, ReplicaStale};
use crate::policy::{Denial, DenyReason};
use crate::server::limits::RateLimited;
use crate::telemetry::audit::AuditError;
use crate::upstream::FactsUnavailable;
use crate::vendor::InvalidRequest;

/// The error code that programs read.
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

/// The error that a request is answered with.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    /// The message for the caller. It names the field and the reason. It must not contain a secret, token or signature.
    pub(super) detail: Cow<'static, str>,
    /// The message for the log, which can have more details. It must not contain a secret, token or signature either.
    pub(super) log: Cow<'static, str>,
    pub(super) extensions: Box<ProblemExtensions>,
    /// The methods that the route supports, if the request used another one.
    pub(super) allowed_methods: Option<&'static str>,
    /// How long the client should wait before it retries, in seconds.
    pub(super) retry_after: Option<u64>,
    /// Whether the error is already in the log. Some errors are logged where they occur, at a limited rate.
    pub(super) is_logged: bool,
}

/// The members of a problem beyond those that all problems have.
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
    /// The line of the policy file that conflicts with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
}

/// The ban that is the reason of a denial.
#[derive(Debug, Serialize)]
pub(super) struct BanDetails {
    user: String,
    conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl ApiError {
    /// Creates an error with a message for the caller and a message for the log.
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
            extensions: Box::default(),
            allowed_methods: None,
            retry_after,
            is_logged: false,
        }
    }

    /// Creates an error with the same message for the caller and for the log.
    pub(super) fn with_same_message(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> ApiError {
        let detail = detail.into();
        ApiError::new(code, detail.clone(), detail)
    }

    /// Creates an internal error.
    pub(super) fn internal(log: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(
            ErrorCode::Internal,
            "Internal error. The server's log has the details under this request id.",
            log,
        )
    }

    /// Creates the error for an `Accept` header that excludes all of these media types.
    pub(super) fn not_acceptable(types: &[&str]) -> ApiError {
        let detail = format!("Accept excludes all media types of this path: {}.", types.join(", "));
        ApiError::with_same_message(ErrorCode::NotAcceptable, detail)
    }

    /// Creates the error for requests that need a store, if none is configured.
    pub(super) fn no_store() -> ApiError {
        let detail = "There is no [store] in the configuration: moderation entries come only from the policy file and \
                      cannot be changed at run time.";
        ApiError::with_same_message(ErrorCode::NotFound, detail)
    }

    /// Replaces the status that belongs to the code.
    pub(super) fn with_status(self, status: StatusCode) -> ApiError {
        ApiError { status, ..self }
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(invalid: InvalidRequest) -> ApiError {
        let mut failure =
            ApiError::with_same_message(ErrorCode::InvalidField, format!("{} {}", invalid.field, invalid.message));
        failure.extensions.field = Some(invalid.field);
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
        ApiError::new(code, refusal.public_message(), refusal.log_message())
    }
}

impl From<RateLimited> for ApiError {
    fn from(RateLimited(wait): RateLimited) -> ApiError {
        let detail = "Too many requests from this address or caller. Retry after the time in Retry-After.";
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        ApiError { retry_after: Some(seconds.max(1)), ..ApiError::with_same_message(ErrorCode::RateLimited, detail) }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> ApiError {
        let detail = "The answer could not be recorded in the audit log, so it is withheld. Try again.";
        ApiError::new(ErrorCode::Unavailable, detail, error.to_string())
    }
}

impl From<StoreUnavailable> for ApiError {
    fn from(unavailable: StoreUnavailable) -> ApiError {
        let detail = "The store cannot be used at the moment. Try again.";
        ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
    }
}

impl From<FactsUnavailable> for ApiError {
    fn from(unavailable: FactsUnavailable) -> ApiError {
        let detail = "A service that the decision depends on is not available. Try again.";
        ApiError { is_logged: true, ..ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string()) }
    }
}

impl From<ReplicaStale> for ApiError {
    fn from(stale: ReplicaStale) -> ApiError {
        let detail = "The moderation entries are not up to date at the moment, so no decision is possible. Try again.";
        ApiError::new(ErrorCode::Unavailable, detail, stale.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(not_changed: ChangeError) -> ApiError {
        match not_changed {
            ChangeError::Stale(stale) => ApiError::from(stale),
            ChangeError::NoStore => ApiError::no_store(),
            ChangeError::Unavailable(unavailable) => {
                let detail = "The change could not be stored, or the outcome is unknown. Send the same request again.";
                ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
            }
            ChangeError::Broken(unavailable) => {
                let detail = "The store could not be written, so changes are rejected until chat-signer is restarted. \
                              Check after the restart whether this change was made.";
                ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
            }
        }
    }
}

impl From<&RejectReason> for ApiError {
    fn from(why: &RejectReason) -> ApiError {
        let code = match why {
            RejectReason::Denied(denial) => return ApiError::from(&**denial),
            RejectReason::Invalid(_) => ErrorCode::Malformed,
            RejectReason::NoRole | RejectReason::NotOutranked(_) => ErrorCode::Denied,
            RejectReason::File(..) | RejectReason::Conflict(_) | RejectReason::Changed => ErrorCode::Conflict,
        };
        let mut failure = ApiError::new(code, why.public_message(), why.log_message());
        failure.extensions.line = if let RejectReason::File(line, _) = why { Some(*line) } else { None };
        failure
    }
}

impl From<&Denial> for ApiError {
    fn from(denial: &Denial) -> ApiError {
        let code = if denial.code() == "banned" { ErrorCode::Banned } else { ErrorCode::Denied };
        let mut failure = ApiError::new(code, denial.public_message(), denial.log_message());
        failure.extensions.rule = denial.rule().map(str::to_owned);
        failure.extensions.reason = denial.reason().map(str::to_owned);
        if let DenyReason::Banned { user, scope, until, .. } = &denial.reason {
            let (conversation, until) = (scope.to_string(), until.map(|until| until.to_string()));
            failure.extensions.ban = Some(BanDetails { user: user.clone(), conversation, until });
        }
        failure
    }
}
