//! The span of a request in its trace.

use hyper::Method;

use super::context::RequestContext;
use crate::telemetry::metrics::RouteLabel;
use crate::upstream::Span;

/// Exports the span of a request, if spans are exported and the request belongs to a trace.
pub(super) fn record(exchange: &RequestContext, method: &Method, route: &RouteLabel, status: u16) {
    let (Some(spans), Some(trace)) = (&exchange.snapshot.spans, exchange.trace.as_ref()) else { return };
    spans.record(Span {
        trace: trace.clone(),
        method: usual(method),
        route: route.clone(),
        status,
        request_id: exchange.snapshot.settings.known_secrets.redact(exchange.id.as_str()).into_owned(),
        began: exchange.now,
        took: exchange.began.elapsed(),
    });
}

/// Returns the name of the method, or `_OTHER` for an unknown method, as OpenTelemetry requires.
fn usual(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}
