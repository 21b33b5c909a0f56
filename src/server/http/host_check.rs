//! Checks the method and the host of a request. The demonstration has public secrets, so it serves only loopback hosts.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::{Request, Version};

use super::{ApiError, ErrorCode, RequestContext};
use crate::authn::host_name;

/// Refuses requests to hosts other than loopback while the secrets of the demonstration are in use. The listener is
/// then bound to loopback. This check stops DNS rebinding: web pages whose host name resolves to a loopback address.
pub(super) fn demonstration<B>(exchange: &RequestContext<'_>, request: &Request<B>) -> Result<(), ApiError> {
    if !exchange.settings.demonstration || is_to_loopback(request) {
        return Ok(());
    }
    let detail = "The demonstration answers only requests to localhost, 127.0.0.1 or [::1]. To serve other hosts, \
                  configure your own secrets.";
    Err(ApiError::with_same_message(ErrorCode::Denied, detail))
}

/// Refuses a request that names several hosts (RFC 9112, section 3.2; RFC 9113, section 8.3.1), and a request with
/// HTTP/1.1 that has no `Host`. A proxy in front of the server might have read another host than the server would.
pub(super) fn check_single_host<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter().map(hyper::header::HeaderValue::as_bytes);
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

/// Refuses a request with any other method than these.
pub(super) fn check_method<B>(request: &Request<B>, methods: &'static str) -> Result<(), ApiError> {
    if methods.split(", ").any(|method| request.method() == method) {
        return Ok(());
    }
    let detail = format!("This path supports only {methods}.");
    Err(ApiError { allowed_methods: Some(methods), ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, detail) })
}

/// Returns true if the request names a host, and if all places that name it name a loopback host.
fn is_to_loopback<B>(request: &Request<B>) -> bool {
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let headers = request.headers().get_all(HOST).iter().map(hyper::header::HeaderValue::as_bytes);
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
