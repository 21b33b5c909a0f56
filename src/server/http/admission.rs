//! Admits a request or rejects it before it costs anything: checks the limits, the method and the host.

use std::net::IpAddr;
use std::pin::pin;

use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Version};

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use crate::authn::host_name;
use crate::server::limits::AdmissionPermit;

/// Counts the request for its address and takes a permit for a request in progress. The caller keeps the permit until
/// the end of the request.
pub(super) fn enter(exchange: &RequestContext) -> Result<AdmissionPermit, ApiError> {
    let limits = &exchange.snapshot.limits;
    limits.check_address(exchange.address)?;
    limits.in_flight.try_acquire().ok_or_else(overloaded)
}

/// Waits for data from the client. If the data is not there yet, the request exchanges its permit for one of the
/// permits for waiting requests meanwhile. So slow clients do not keep out other clients.
pub(super) async fn wait_for_client<T>(
    exchange: &RequestContext,
    place: AdmissionPermit,
    data: impl Future<Output = Result<T, ApiError>>,
) -> Result<(T, AdmissionPermit), ApiError> {
    let limits = &exchange.snapshot.limits;
    let mut coming = pin!(data);
    tokio::select! {
        biased;
        here = &mut coming => return Ok((here?, place)),
        () = std::future::ready(()) => {}
    }
    let waiting = limits.waiting.try_acquire().ok_or_else(overloaded)?;
    drop(place);
    let here = coming.await?;
    drop(waiting);
    Ok((here, limits.in_flight.try_acquire().ok_or_else(overloaded)?))
}

/// Returns the error if too many requests are in progress.
pub(super) fn overloaded() -> ApiError {
    ApiError::with_same_message(ErrorCode::Overloaded, "Too many requests are in progress. Retry shortly.")
}

/// Refuses a request with any other method than these.
pub(super) fn check_method<B>(request: &Request<B>, methods: &'static str) -> Result<(), ApiError> {
    if methods.split(", ").any(|method| request.method() == method) {
        return Ok(());
    }
    let detail = format!("This path supports only {methods}.");
    Err(ApiError { allowed_methods: Some(methods), ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, detail) })
}

/// Refuses a request to a host that this server does not serve. The demonstration has public secrets, so it serves only
/// loopback hosts.
pub(super) fn check_host<B>(exchange: &RequestContext, request: &Request<B>) -> Result<(), ApiError> {
    check_demonstration_host(exchange, request)?;
    check_single_host(request)
}

/// Refuses requests to hosts other than loopback while the secrets of the demonstration are in use. The listener is
/// then bound to loopback. This check stops DNS rebinding: web pages whose host name resolves to a loopback address.
fn check_demonstration_host<B>(exchange: &RequestContext, request: &Request<B>) -> Result<(), ApiError> {
    if !exchange.settings().demonstration || is_to_loopback(request) {
        return Ok(());
    }
    let detail = "The demonstration answers only requests to localhost, 127.0.0.1 or [::1]. To serve other hosts, \
                  configure your own secrets.";
    Err(ApiError::with_same_message(ErrorCode::Denied, detail))
}

/// Refuses a request that names several hosts (RFC 9112, section 3.2; RFC 9113, section 8.3.1), and a request with
/// HTTP/1.1 that has no `Host`. A proxy in front of the server might have read another host than the server would.
fn check_single_host<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let fits = match (hosts.next(), hosts.next()) {
        (None, _) => request.version() != Version::HTTP_11,
        (Some(host), None) => {
            request.uri().authority().is_none_or(|target| target.as_str().as_bytes().eq_ignore_ascii_case(host))
        }
        _ => false,
    };
    let detail = "The request must have exactly one Host header, and its target must name no other host.";
    if fits { Ok(()) } else { Err(ApiError::with_same_message(ErrorCode::Malformed, detail)) }
}

/// Returns true if the request names a host, and if all places that name it name a loopback host.
fn is_to_loopback<B>(request: &Request<B>) -> bool {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let headers = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    let mut hosts = authority.into_iter().chain(headers).peekable();
    hosts.peek().is_some() && hosts.all(|host| std::str::from_utf8(host).is_ok_and(is_loopback))
}

fn is_loopback(host: &str) -> bool {
    let name = host_name(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["localhost", "LOCALHOST:7480", "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:7480"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "10.0.0.1",
            "[::2]:1",
            "a@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
