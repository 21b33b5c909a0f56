//! Cross-origin requests from browsers.

use std::time::Duration;

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::moderation::LAST_EVENT_ID;
use crate::authn::Authenticators;
use crate::config::CorsConfig;
use crate::telemetry::trace::{TRACEPARENT, TRACESTATE};

/// How long a browser can cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Headers that LeanCloud's SDKs send with every request. Browsers ask for permission for all of them. They have no
/// effect here.
const LEANCLOUD_SDK_HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("x-lc-id"),
    HeaderName::from_static("x-lc-key"),
    HeaderName::from_static("x-lc-prod"),
    HeaderName::from_static("x-lc-sign"),
    HeaderName::from_static("x-lc-ua"),
];

/// Returns the layer that lets pages of the configured origins call from a browser, with their users' credentials.
/// Origins must match exactly.
pub(super) fn layer(cors: &CorsConfig, authenticators: &Authenticators, methods: &'static [Method]) -> CorsLayer {
    // `*` is not an origin, and the layer panics on it.
    let origins =
        cors.origins.iter().filter(|origin| *origin != "*").filter_map(|origin| HeaderValue::from_str(origin).ok());
    let own = [AUTHORIZATION, CONTENT_TYPE, super::X_REQUEST_ID, LAST_EVENT_ID, TRACEPARENT, TRACESTATE];
    let exposed = [super::X_REQUEST_ID, HeaderName::from_static("x-ably-errorcode"), RETRY_AFTER];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(cors.credentials)
        .allow_methods(methods.to_vec())
        .allow_headers(
            own.into_iter()
                .chain(LEANCLOUD_SDK_HEADERS)
                .chain(authenticators.page_headers().cloned())
                .collect::<Vec<_>>(),
        )
        .expose_headers(exposed)
        .max_age(MAX_AGE)
}
