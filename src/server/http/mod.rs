//! The HTTP interface of the server: routes, limits, and one renderer for each shape of error.

mod accept;
mod admission;
mod authenticate;
mod body;
mod client_ip;
mod console;
mod context;
mod cors;
mod error;
mod facts;
mod gate;
mod metrics;
mod moderation;
mod openapi;
mod params;
#[cfg(feature = "playground")]
mod playground;
mod question;
mod record;
mod render;
mod response_body;
mod route;
mod sign;
mod signing_route;
#[cfg(feature = "otlp")]
mod span;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use crate::authn::ConnectionPeer;
use crate::clock;
use crate::server::state::ServerState;
use crate::telemetry::trace::TraceContext;
use crate::vendor::ErrorShape;
pub use body::drain;
use context::{RequestContext, RequestId, X_REQUEST_ID};
use error::ApiError;
pub use response_body::{HttpResponse, ResponseBody};

/// Answers a request to the main listener. A panic becomes an answer with status 500.
pub async fn serve(runtime: Arc<ServerState>, peer: Arc<ConnectionPeer>, request: Request<Incoming>) -> HttpResponse {
    let snapshot = runtime.snapshot();
    let id = RequestId::from_headers(request.headers());
    let trace = TraceContext::from_headers(request.headers()).map(Arc::new);
    let (began, now) = (Instant::now(), clock::now());
    let address = client_ip::client_ip(&peer, request.headers(), &snapshot.settings.limits.trusted_proxies);
    let exchange = RequestContext { runtime, snapshot, peer, address, id, trace, began, now };
    let resolved = route::resolve(&exchange, request.uri().path());
    #[cfg(feature = "otlp")]
    let method = request.method().clone();
    let answering = async {
        match cors::settings(&exchange, request.uri().path()) {
            None => resolved.dispatch(&exchange, request).await,
            // This future is boxed, so that the futures of all other requests stay small.
            Some(cors) => Box::pin(cors::serve(&exchange, cors, &resolved, request)).await,
        }
    };
    let mut answer = match catch_panic(pin!(answering)).await {
        Ok(answer) => answer,
        Err(_) => render::render_error(
            &exchange,
            ErrorShape::Problem,
            &ApiError::internal("a panic; the log shows its location"),
        ),
    };
    set_common_headers(answer.headers_mut(), &exchange.id);
    #[cfg(feature = "otlp")]
    span::record(&exchange, &method, &resolved.label, answer.status().as_u16());
    resolved.count(&exchange, answer.status().as_u16());
    answer
}

/// Sets the headers that every answer has. Only the files of the console can be cached.
fn set_common_headers(headers: &mut HeaderMap, id: &RequestId) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_REQUEST_ID, id.value());
}

/// Returns the output of the future, or the payload of its panic.
///
/// The state that requests share is behind locks and atomics that survive a panic. No request sees a partial change.
async fn catch_panic<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    std::future::poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::pin::pin;

    use super::*;

    fn future_size<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_request_is_small() {
        let size = future_size(serve);
        assert!(size <= 4096, "{size} bytes");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_everything_else_is_let_through() {
        assert_eq!(catch_panic(pin!(async { 7 })).await.unwrap(), 7);
        let late = pin!(async {
            tokio::task::yield_now().await;
            panic!("expected by this test");
        });
        assert!(catch_panic(late).await.is_err());
    }
}
