//! A request as a part of its trace.

use hyper::Method;

use super::RequestContext;
use crate::telemetry::metrics::RouteLabel;
use crate::upstream::Span;

/// Has a request sent to who collects the traces, if someone does and it belongs to one.
pub(super) fn record(exchange: &RequestContext<'_>, method: &Method, route: &RouteLabel, status: u16) {
    let (Some(spans), Some(trace)) = (&exchange.snapshot.spans, exchange.trace) else { return };
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

/// The method, or what OpenTelemetry calls one that a caller made up.
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
