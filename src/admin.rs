//! The admin listener: probes, with their reasons.

use std::fmt::Write;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::runtime::{Check, Finding, Probe, Runtime};

/// Answers a request to the admin listener.
pub fn serve<B>(runtime: &Runtime, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut answer = match Probe::at(request.uri().path()) {
        None => text(StatusCode::NOT_FOUND, "There is nothing at this path.\n"),
        Some(_) if request.method() != Method::GET && request.method() != Method::HEAD => wrong_method(),
        Some(Probe::Ready) if is_verbose(request) => verbose(&runtime.checks()),
        Some(probe) => runtime.probe(probe),
    };
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn is_verbose<B>(request: &Request<B>) -> bool {
    request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|name| matches!(name, "verbose" | "verbose=" | "verbose=1")))
}

fn verbose(checks: &[Check]) -> Response<Full<Bytes>> {
    let mut lines = String::new();
    for Check { name, finding } in checks {
        let _ = match finding {
            Finding::Good => writeln!(lines, "[+] {name}: ok"),
            Finding::Notice(reason) => writeln!(lines, "[!] {name}: {reason}"),
            Finding::Bad(reason) => writeln!(lines, "[-] {name}: {reason}"),
        };
    }
    let ready = checks.iter().all(Check::passes);
    text(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, lines)
}

fn wrong_method() -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "Probes are asked with GET.\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
