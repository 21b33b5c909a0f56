//! The admin listener: probes, with their reasons, and metrics.

mod metrics;

use std::fmt::Write;
use std::time::Instant;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::authn::{CrossSite, RequestTarget};
use crate::config::AdminConfig;
use crate::redaction::KnownSecrets;
use crate::runtime::{CheckResult, ProbeKind, ReadinessCheck, ServerState};
use crate::telemetry::metrics::{ListenerLabel, RouteLabel};

/// Where the metrics are.
const METRICS: &str = "/metrics";

const OPENMETRICS: &str = "application/openmetrics-text";

/// Answers a request to the admin listener.
pub fn serve<B>(runtime: &ServerState, request: &Request<B>) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let (route, mut answer) = match (ProbeKind::at(request.uri().path()), request.uri().path()) {
        (Some(probe), _) => {
            (RouteLabel::Fixed(probe.path()), answered(runtime, request, || probed(runtime, probe, request)))
        }
        (None, METRICS) => (RouteLabel::Fixed(METRICS), answered(runtime, request, || measured(runtime, request))),
        (None, _) => (RouteLabel::Other, text(StatusCode::NOT_FOUND, "There is nothing at this path.\n")),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    runtime.metrics.answered(ListenerLabel::Admin, route, answer.status().as_u16(), began.elapsed());
    answer
}

/// The answer to a request that may only read, and that no other site's page had a browser send.
fn answered<B>(
    runtime: &ServerState,
    request: &Request<B>,
    answer: impl FnOnce() -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let admin = &runtime.snapshot().settings.admin;
    foreign(admin, request).or_else(|| only_read(request)).unwrap_or_else(answer)
}

/// What is answered to a request of another site's page, or to another host than those of `[admin]`.
fn foreign<B>(admin: &AdminConfig, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let target = RequestTarget { headers: request.headers(), uri: request.uri(), is_https: admin.tls.is_some() };
    let reason = match target.cross_site(&admin.hosts, &[])? {
        CrossSite::Page => "Pages of other sites are not answered here.\n",
        CrossSite::Host(_) => "The request names a host that is not listed in [admin] hosts.\n",
    };
    Some(text(StatusCode::FORBIDDEN, reason))
}

fn probed<B>(runtime: &ServerState, probe: ProbeKind, request: &Request<B>) -> Response<Full<Bytes>> {
    if probe == ProbeKind::Ready && is_verbose(request) {
        return verbose(&runtime.checks(), &runtime.snapshot().settings.known_secrets);
    }
    runtime.probe(probe)
}

/// The metrics: in OpenMetrics' format where that is asked for, as Prometheus does, else in Prometheus' older one.
fn measured<B>(runtime: &ServerState, request: &Request<B>) -> Response<Full<Bytes>> {
    let Ok(metrics) = metrics::text(runtime) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The metrics can't be written.\n");
    };
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (form, metrics) = if accepts.into_iter().any(|value| value.contains(OPENMETRICS)) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", metrics)
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", metrics::classic(&metrics))
    };
    let mut answer = text(StatusCode::OK, metrics);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    answer
}

fn is_verbose<B>(request: &Request<B>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|name| matches!(name, "verbose" | "verbose=" | "verbose=1")))
}

fn verbose(checks: &[ReadinessCheck], known: &KnownSecrets) -> Response<Full<Bytes>> {
    let mut lines = String::new();
    for ReadinessCheck { name, finding } in checks {
        let _ = match finding {
            CheckResult::Good => writeln!(lines, "[+] {name}: ok"),
            CheckResult::Notice(reason) => writeln!(lines, "[!] {name}: {reason}"),
            CheckResult::Bad(reason) => writeln!(lines, "[-] {name}: {reason}"),
        };
    }
    let ready = checks.iter().all(ReadinessCheck::passes);
    let lines = known.redact(&lines).into_owned();
    text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

/// What is answered to a request that wants more than to read.
fn only_read<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return None;
    }
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Probes and metrics are asked with GET.\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(answer)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
