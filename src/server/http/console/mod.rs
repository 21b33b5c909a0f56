//! The console: the page for moderators, if `[console]` enables it. The page sends its requests to the routes of
//! moderation. It is public, because it holds no data: the policy decides about each of these requests.

mod assets;
mod modules;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use serde_json::json;

pub(super) use assets::build;

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::response_body::HttpResponse;
use super::{admission, render};
use crate::server::routes::{CONSOLE, Route};

/// The languages of the page.
const LANGUAGES: [&str; 2] = ["en", "zh"];

/// The headers of all answers below the path of the page, also of errors. Scripts, styles and requests are limited to
/// the own origin, no text becomes markup or code, and no other page can show or open the console.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), clipboard-read=(), \
         publickey-credentials-get=()",
    ),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

/// Returns whether the console is enabled.
pub(super) fn is_served(exchange: &RequestContext) -> bool {
    exchange.settings().console.is_some()
}

/// Returns whether this is the path of the page, or a path below it.
pub(super) fn is_path(path: &str) -> bool {
    path.strip_prefix(CONSOLE).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Sets the headers of an answer below the path of the page.
pub(super) fn set_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Answers a request for the page, for its public settings, or for one of its files.
pub(super) fn answer(
    exchange: &RequestContext,
    route: &Route,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let _slot = admission::enter(exchange)?;
    let config = exchange.settings().console.as_ref().ok_or_else(not_found)?;
    admission::check_host(exchange, request)?;
    admission::check_method(request, route.methods)?;
    match request.uri().path().strip_prefix(CONSOLE).unwrap_or_default() {
        "" => Ok(assets::page(request.headers())),
        "/config" => {
            let mut public = json!(config);
            public["languages"] = json!(LANGUAGES);
            public["build"] = json!(build());
            Ok(render::json(&public))
        }
        below => assets::file(below, request.headers()).ok_or_else(not_found),
    }
}

fn not_found() -> ApiError {
    ApiError::with_same_message(ErrorCode::NotFound, "There is nothing at this path. The console is at /console.")
}
