//! Cross-origin requests from browsers.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::console;
use super::context::{RequestContext, X_REQUEST_ID};
use super::moderation::{self, LAST_EVENT_ID, MODERATION_VERSION};
use super::response_body::HttpResponse;
use super::route::ResolvedRoute;
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

/// Headers that libraries in web pages often add to each request. They have no effect here.
const COMMON_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("baggage"),
    HeaderName::from_static("sentry-trace"),
    HeaderName::from_static("x-requested-with"),
];

/// Returns the settings, if pages of other origins may call this path. The console works only on pages of its own origin.
pub(super) fn settings<'a>(exchange: &'a RequestContext, path: &str) -> Option<&'a CorsConfig> {
    exchange.settings().server.cors.as_ref().filter(|_| !console::is_path(path))
}

/// Answers a request to a path that pages of other origins may call. Adds the headers that browsers require.
pub(super) async fn serve(
    exchange: &RequestContext,
    cors: &CorsConfig,
    route: &ResolvedRoute<'_>,
    request: Request<Incoming>,
) -> HttpResponse {
    let authenticators = &exchange.settings().engine.authenticators;
    let methods = moderation::cors_methods(request.uri().path());
    let inner = tower::service_fn(async |request| Ok::<_, Infallible>(route.dispatch(exchange, request).await));
    let Ok(answer) = layer(cors, authenticators, methods).layer(inner).oneshot(request).await;
    answer
}

/// Returns the layer that lets pages of the configured origins call from a browser, with their users' credentials.
/// A `*` in an origin stands for one label.
fn layer(cors: &CorsConfig, authenticators: &Authenticators, methods: &'static [Method]) -> CorsLayer {
    let allowed = cors.origins.clone();
    let is_allowed = move |origin: &HeaderValue, _: &Parts| allowed.iter().any(|one| one.matches(origin));
    let own = [AUTHORIZATION, CONTENT_TYPE, X_REQUEST_ID, LAST_EVENT_ID, TRACEPARENT, TRACESTATE];
    let exposed = [MODERATION_VERSION, X_REQUEST_ID, HeaderName::from_static("x-ably-errorcode"), RETRY_AFTER];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_credentials(cors.credentials)
        .allow_methods(methods.to_vec())
        .allow_headers(
            own.into_iter()
                .chain(LEANCLOUD_SDK_HEADERS)
                .chain(COMMON_HEADERS)
                .chain(cors.headers.iter().cloned())
                .chain(authenticators.page_headers().cloned())
                .collect::<Vec<_>>(),
        )
        .expose_headers(exposed)
        .max_age(MAX_AGE)
}
