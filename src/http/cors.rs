//! Cross-origin requests from browsers.

use std::time::Duration;

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Cors;

/// How long a browser may remember what a preflight said.
const MAX_AGE: Duration = Duration::from_secs(600);

/// What LeanCloud's SDKs send along, whoever they call. Browsers ask leave for all of it; none but the session means anything here.
const LEANCLOUD: [HeaderName; 6] = [
    HeaderName::from_static("x-lc-id"),
    HeaderName::from_static("x-lc-key"),
    HeaderName::from_static("x-lc-prod"),
    HeaderName::from_static("x-lc-session"),
    HeaderName::from_static("x-lc-sign"),
    HeaderName::from_static("x-lc-ua"),
];

/// Lets pages of the configured origins, spelt exactly so, call from a browser.
pub(super) fn layer(cors: &Cors) -> CorsLayer {
    // `*` is not an origin, and the layer panics on it.
    let origins =
        cors.origins.iter().filter(|origin| *origin != "*").filter_map(|origin| HeaderValue::from_str(origin).ok());
    let exposed = [super::X_REQUEST_ID, HeaderName::from_static("x-ably-errorcode"), RETRY_AFTER];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(cors.credentials)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([&[AUTHORIZATION, CONTENT_TYPE, super::X_REQUEST_ID][..], &LEANCLOUD].concat())
        .expose_headers(exposed)
        .max_age(MAX_AGE)
}
