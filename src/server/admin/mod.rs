//! The admin listener: probes, their reasons, and metrics.

mod metrics;

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::authn::{CrossSite, RequestTarget};
use crate::config::AdminConfig;
use crate::redaction::KnownSecrets;
use crate::server::routes::{self, RouteTarget};
use crate::server::state::{CheckResult, ConfigParts, ProbeKind, ReadinessCheck, ServerState};
use crate::telemetry::metrics::{ListenerLabel, RouteLabel};

const OPENMETRICS: &str = "application/openmetrics-text";

/// Answers a request to the admin listener.
pub fn serve<B>(runtime: &ServerState, request: &Request<B>) -> Response<Full<Bytes>> {
    let began = Instant::now();
    runtime.was_probed.store(true, Ordering::Relaxed);
    let (label, mut answer) = answer(runtime, request);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    runtime.metrics.count_answer(ListenerLabel::Admin, label, answer.status().as_u16(), began.elapsed());
    answer
}

/// Returns the label of the route, and the answer.
fn answer<B>(runtime: &ServerState, request: &Request<B>) -> (RouteLabel, Response<Full<Bytes>>) {
    let nothing = || (RouteLabel::Other, text_response(StatusCode::NOT_FOUND, "There is nothing at this path.\n"));
    let Some(route) = routes::find(request.uri().path()) else { return nothing() };
    let answer = match route.target {
        RouteTarget::Probe(probe) => answer_read_request(runtime, request, || answer_probe(runtime, probe, request)),
        RouteTarget::Metrics => answer_read_request(runtime, request, || answer_metrics(runtime, request)),
        RouteTarget::OpenApi
        | RouteTarget::Moderation
        | RouteTarget::Decide
        | RouteTarget::Console
        | RouteTarget::Playground(_) => {
            return nothing();
        }
    };
    (RouteLabel::Fixed(route.path), answer)
}

/// Returns the answer to a request that only reads and that no page of another site made the browser send.
fn answer_read_request<B>(
    runtime: &ServerState,
    request: &Request<B>,
    answer: impl FnOnce() -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let admin = &runtime.snapshot().settings.admin;
    reject_cross_site(admin, request).or_else(|| reject_other_methods(request)).unwrap_or_else(answer)
}

/// Returns the refusal if a page of another site sent the request, or if the request names a host that `[admin]` does
/// not list.
fn reject_cross_site<B>(admin: &AdminConfig, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let target = RequestTarget { headers: request.headers(), uri: request.uri(), is_https: admin.tls.is_some() };
    let reason = match target.cross_site(&admin.hosts, &[])? {
        CrossSite::Page => "Requests from pages of other sites are refused.\n",
        CrossSite::Host(_) => "The request names a host that is not listed in [admin] hosts.\n",
    };
    Some(text_response(StatusCode::FORBIDDEN, reason))
}

fn answer_probe<B>(runtime: &ServerState, probe: ProbeKind, request: &Request<B>) -> Response<Full<Bytes>> {
    if probe == ProbeKind::Ready && is_verbose(request) {
        let known = &runtime.snapshot().settings.known_secrets;
        return verbose_answer(&runtime.checks(), runtime.reloads.parts(), known);
    }
    runtime.probe(probe)
}

/// Returns the metrics: in the OpenMetrics format if the client accepts it, as Prometheus does, otherwise in the older
/// text format of Prometheus.
fn answer_metrics<B>(runtime: &ServerState, request: &Request<B>) -> Response<Full<Bytes>> {
    let Ok(metrics) = metrics::openmetrics_text(runtime) else {
        return text_response(StatusCode::INTERNAL_SERVER_ERROR, "The metrics cannot be encoded.\n");
    };
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (form, metrics) = if accepts.into_iter().any(|value| value.contains(OPENMETRICS)) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", metrics::to_prometheus_text(&metrics))
    };
    let mut answer = text_response(StatusCode::OK, metrics);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    answer
}

fn is_verbose<B>(request: &Request<B>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|name| matches!(name, "verbose" | "verbose=" | "verbose=1")))
}

/// Returns a line for each check. While a part of the configuration keeps earlier values, also a line for each part.
fn verbose_answer(checks: &[ReadinessCheck], parts: ConfigParts, known: &KnownSecrets) -> Response<Full<Bytes>> {
    let mut lines = String::new();
    for ReadinessCheck { name, result: finding } in checks {
        let _ = match finding {
            CheckResult::Good => writeln!(lines, "[+] {name}: ok"),
            CheckResult::Notice(reason) => writeln!(lines, "[!] {name}: {reason}"),
            CheckResult::Bad(reason) => writeln!(lines, "[-] {name}: {reason}"),
        };
    }
    let parts = if parts.values().all(Option::is_none) { ConfigParts::new() } else { parts };
    for (part, reason) in parts {
        let _ = match reason {
            None => writeln!(lines, "[+] {part}: ok"),
            Some(reason) => writeln!(lines, "[!] {part}: the earlier values are in force: {reason}"),
        };
    }
    let ready = checks.iter().all(ReadinessCheck::passes);
    let lines = known.redact(&lines).into_owned();
    text_response(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

/// Returns the refusal if the method is not GET or HEAD.
fn reject_other_methods<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return None;
    }
    let mut answer = text_response(StatusCode::METHOD_NOT_ALLOWED, "Use GET or HEAD for probes and metrics.\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(answer)
}

fn text_response(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
