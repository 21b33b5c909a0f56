//! The HTTP interface of the server: routes, limits, and one renderer for each shape of error.

mod accept;
mod admission;
mod body;
mod catch;
mod certificate;
mod client_ip;
mod compat;
mod cors;
mod cross_site;
mod error;
mod host_check;
mod metrics;
mod moderation;
mod openapi;
mod params;
mod playground;
mod record;
mod render;
mod request_id;
mod response_body;
mod route;
mod route_label;
mod sign;
#[cfg(feature = "otlp")]
mod span;

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response};
use tower::{Layer, ServiceExt};

use crate::authn::ConnectionPeer;
use crate::clock;
use crate::config::Settings;
use crate::model::Millis;
use crate::server::state::{ServerState, Snapshot};
use crate::telemetry::metrics::ListenerLabel;
use crate::telemetry::trace::TraceContext;
pub use body::drain;
use error::{ApiError, ErrorCode};
use render::ErrorShape;
use request_id::RequestId;
pub use response_body::ResponseBody;

/// An HTTP response of the server.
pub type HttpResponse = Response<ResponseBody>;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The context of one request: the values that every step of answering it reads.
struct RequestContext<'a> {
    runtime: &'a Arc<ServerState>,
    /// The snapshot that was current when the request arrived. The request uses it until its end.
    snapshot: &'a Arc<Snapshot>,
    settings: &'a Settings,
    /// The peer of the connection.
    peer: &'a Arc<ConnectionPeer>,
    /// The IP address of the client, taken from forwarding headers as far as the proxies are trusted.
    address: IpAddr,
    id: &'a RequestId,
    /// The trace context of the request, if the request has one.
    trace: Option<&'a Arc<TraceContext>>,
    began: Instant,
    now: Millis,
}

/// An owned copy of [`RequestContext`], for work that continues after the client has left.
struct OwnedRequestContext {
    runtime: Arc<ServerState>,
    snapshot: Arc<Snapshot>,
    peer: Arc<ConnectionPeer>,
    address: IpAddr,
    id: RequestId,
    trace: Option<Arc<TraceContext>>,
    began: Instant,
    now: Millis,
}

impl RequestContext<'_> {
    fn to_owned_context(&self) -> OwnedRequestContext {
        let (runtime, snapshot) = (Arc::clone(self.runtime), Arc::clone(self.snapshot));
        let (peer, id, trace) = (Arc::clone(self.peer), self.id.clone(), self.trace.cloned());
        OwnedRequestContext {
            runtime,
            snapshot,
            peer,
            address: self.address,
            id,
            trace,
            began: self.began,
            now: self.now,
        }
    }
}

impl OwnedRequestContext {
    fn as_context(&self) -> RequestContext<'_> {
        RequestContext {
            runtime: &self.runtime,
            snapshot: &self.snapshot,
            settings: &self.snapshot.settings,
            peer: &self.peer,
            address: self.address,
            id: &self.id,
            trace: self.trace.as_ref(),
            began: self.began,
            now: self.now,
        }
    }
}

/// Answers a request to the main listener. A panic becomes an answer with status 500.
pub async fn serve(runtime: Arc<ServerState>, peer: Arc<ConnectionPeer>, request: Request<Incoming>) -> HttpResponse {
    let snapshot = runtime.snapshot();
    let id = RequestId::from_headers(request.headers());
    let trace = TraceContext::from_headers(request.headers()).map(Arc::new);
    let (began, now) = (Instant::now(), clock::now());
    let address = client_ip::client_ip(&peer, request.headers(), &snapshot.settings.limits.trusted_proxies);
    let lasting = OwnedRequestContext { runtime, snapshot, peer, address, id, trace, began, now };
    let exchange = lasting.as_context();
    let route = route_label::route_label(&exchange, request.uri().path());
    #[cfg(feature = "otlp")]
    let method = request.method().clone();
    let mut answer = match catch::catch_panic(pin!(serve_with_cors(&exchange, request))).await {
        Ok(answer) => answer,
        Err(_) => render::render_error(
            &exchange,
            ErrorShape::Problem,
            &ApiError::internal("a panic; the log shows its location"),
        ),
    };
    set_common_headers(answer.headers_mut(), exchange.id);
    #[cfg(feature = "otlp")]
    span::record(&exchange, &method, &route, answer.status().as_u16());
    exchange.runtime.metrics.count_answer(ListenerLabel::Main, route, answer.status().as_u16(), began.elapsed());
    answer
}

async fn serve_with_cors(exchange: &RequestContext<'_>, request: Request<Incoming>) -> HttpResponse {
    let Some(cors) = &exchange.settings.server.cors else {
        return route::dispatch(exchange, request).await;
    };
    let authenticators = &exchange.settings.engine.authenticators;
    let methods = moderation::cors_methods(request.uri().path());
    let inner = tower::service_fn(async |request| Ok::<_, Infallible>(route::dispatch(exchange, request).await));
    // The layer's future is boxed, so that the futures of all other requests stay small.
    let Ok(answer) = Box::pin(cors::layer(cors, authenticators, methods).layer(inner).oneshot(request)).await;
    answer
}

/// Sets the headers that every answer has.
fn set_common_headers(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_REQUEST_ID, id.value().clone());
}
