//! Renders answers: one renderer for each shape of error.

use std::borrow::Cow;

use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode, ProblemExtensions};
use super::response_body::{HttpResponse, ResponseBody};
use crate::moderation::api::Problem;
use crate::vendor::ErrorShape;

const X_ABLY_ERRORCODE: HeaderName = HeaderName::from_static("x-ably-errorcode");

/// The media type of problem details.
pub(super) const PROBLEM: &str = "application/problem+json";

/// Returns a successful answer.
pub(super) fn success(content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut answer = Response::new(ResponseBody::from(body.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Returns a successful answer with a JSON body.
pub(super) fn json(body: &impl Serialize) -> HttpResponse {
    json_response(StatusCode::OK, "application/json", body)
}

/// Returns the answer to an error, and logs the error.
pub(super) fn render_error(exchange: &RequestContext, shape: ErrorShape, failure: &ApiError) -> HttpResponse {
    log_error(exchange, failure);
    let mut answer = match shape {
        ErrorShape::Problem => render_problem(exchange, failure),
        ErrorShape::Ably => render_ably_error(failure),
        ErrorShape::LeanCloud => render_leancloud_error(failure),
    };
    let headers = answer.headers_mut();
    match failure.status {
        StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::REQUEST_TIMEOUT => headers.insert(CONNECTION, HeaderValue::from_static("close")),
        _ => None,
    };
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = failure.allowed_methods {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    answer
}

/// Logs an error at the level of its status.
pub(super) fn log_error(exchange: &RequestContext, failure: &ApiError) {
    let (request_id, code, log) = (exchange.id.as_str(), failure.code.as_str(), &*failure.log);
    let trace_id = exchange.trace.as_ref().map(|trace| &*trace.trace_id);
    // The limits log a count of overloaded requests.
    let is_quiet = failure.is_logged || failure.code == ErrorCode::Overloaded;
    match failure.status.as_u16() {
        500 if !is_quiet => tracing::error!(request_id, trace_id, code, "{log}"),
        501.. if !is_quiet => tracing::warn!(request_id, trace_id, code, "{log}"),
        _ => tracing::debug!(request_id, trace_id, code, "{log}"),
    }
}

fn render_problem(exchange: &RequestContext, failure: &ApiError) -> HttpResponse {
    #[derive(Serialize)]
    struct ProblemWithExtensions<'a> {
        #[serde(flatten)]
        problem: Problem<'a>,
        #[serde(flatten)]
        extensions: &'a ProblemExtensions,
    }
    let problem = Problem {
        r#type: Some("about:blank".into()),
        title: Some(failure.status.canonical_reason().unwrap_or("Error").into()),
        status: Some(failure.status.as_u16()),
        detail: Some(Cow::Borrowed(&failure.detail)),
        code: Some(failure.code.as_str().into()),
        request_id: Some(exchange.id.as_str().into()),
    };
    json_response(failure.status, PROBLEM, &ProblemWithExtensions { problem, extensions: &failure.extensions })
}

/// Renders an error for ably-js. Only a 403 with all three members makes it stop. With any other answer it retries
/// every 15 seconds. So every error that a retry cannot fix is a 403.
fn render_ably_error(failure: &ApiError) -> HttpResponse {
    #[derive(Serialize)]
    struct AblyError<'a> {
        error: VendorError<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct VendorError<'a> {
        message: &'a str,
        code: u32,
        status_code: u16,
    }
    let (status, code) = ably_status(failure.status);
    let error = VendorError { message: &failure.detail, code, status_code: status.as_u16() };
    let mut answer = json_response(status, "application/json", &AblyError { error });
    answer.headers_mut().insert(X_ABLY_ERRORCODE, HeaderValue::from(code));
    answer
}

/// Returns the status and error code of Ably for a status. Ably's codes begin with the status. Code 50003 is Ably's
/// code for an internal timeout.
fn ably_status(status: StatusCode) -> (StatusCode, u32) {
    match status {
        StatusCode::UNAUTHORIZED => (status, 40100),
        StatusCode::REQUEST_TIMEOUT => (status, 40800),
        StatusCode::TOO_MANY_REQUESTS => (status, 42900),
        StatusCode::SERVICE_UNAVAILABLE => (status, 50003),
        _ if status.is_server_error() => (status, 50000),
        _ => (StatusCode::FORBIDDEN, 40300),
    }
}

/// Renders an error for LeanCloud's SDKs. The codes are those of the REST interface. Code 1 is the error code of cloud
/// functions.
fn render_leancloud_error(failure: &ApiError) -> HttpResponse {
    #[derive(Serialize)]
    struct VendorError<'a> {
        code: u16,
        error: &'a str,
    }
    let code = match failure.status.as_u16() {
        known @ (401 | 403 | 429) => known,
        _ => 1,
    };
    json_response(failure.status, "application/json", &VendorError { code, error: &failure.detail })
}

fn json_response(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Serializing strings and numbers cannot fail. If it did, the status would still report the error.
    let mut answer = success(content_type, serde_json::to_vec(body).unwrap_or_default());
    *answer.status_mut() = status;
    answer
}
