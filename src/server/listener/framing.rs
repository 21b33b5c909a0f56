//! Checks of each request as an HTTP message. They apply on both listeners, before the handler.
//!
//! hyper refuses most requests that RFC 9112 and RFC 9113 forbid. These checks refuse the others, because a proxy in
//! front may interpret the same bytes in another way than hyper. If a request has both `Content-Length` and
//! `Transfer-Encoding`, hyper removes the length and closes the connection after the answer, so a check here could not
//! see it.

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode, Version};

use crate::server::http::{ResponseBody, drain};

/// The reason why a message is refused. The text is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    /// An ambiguous transfer coding. A recipient must not guess the coding (RFC 9112, section 6.1).
    #[error("Transfer-Encoding must be given once, as `chunked`, or be left out.\n")]
    TransferEncoding,
    /// A host with a user name (RFC 9113, section 8.3.1, and RFC 9110, sections 4.2.4 and 7.2).
    #[error("The host must have no user name or password before it: remove all up to `@`.\n")]
    Userinfo,
    /// A scheme other than http and https.
    #[error("The scheme of the request's target must be http or https.\n")]
    Scheme,
}

/// Checks the transfer coding, the host and the scheme of a request.
///
/// # Errors
/// Returns the first error that it finds.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), FramingError> {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err(FramingError::TransferEncoding),
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes);
    if authority.into_iter().chain(hosts).any(|host| host.contains(&b'@')) {
        return Err(FramingError::Userinfo);
    }
    let is_served = |scheme: &str| ["http", "https"].iter().any(|served| scheme.eq_ignore_ascii_case(served));
    if request.uri().scheme_str().is_some_and(|scheme| !is_served(scheme)) {
        return Err(FramingError::Scheme);
    }
    Ok(())
}

/// Builds the answer to a refused message. In HTTP/1.1 the connection closes after it, because the start of the next
/// message is unknown.
pub(super) fn error_response(error: FramingError, request: Request<Incoming>) -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::from(error.to_string()));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if request.version() < Version::HTTP_2 {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    drain(request.into_body());
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check_target(target: &str, headers: &[(&str, &str)]) -> Result<(), FramingError> {
        let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap())
    }

    #[test]
    fn one_chunked_coding_is_the_only_one() {
        for codings in [&[][..], &["chunked"], &["Chunked"]] {
            let headers: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            assert_eq!(check_target("/", &headers), Ok(()), "{codings:?}");
        }
        for codings in [
            &["chunked", "chunked"][..],
            &["gzip", "chunked"],
            &["", "chunked"],
            &["chunked, chunked"],
            &["gzip, chunked"],
            &["chunked,"],
            &[", chunked"],
            &["\"chunked\""],
            &[""],
        ] {
            let headers: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            assert_eq!(check_target("/", &headers), Err(FramingError::TransferEncoding), "{codings:?}");
        }
    }

    #[test]
    fn targets_name_a_host_and_a_scheme_that_are_served() {
        for target in ["/", "/a@b", "/?a=b@c", "*", "http://localhost/", "HTTPS://localhost:1/", "localhost:443"] {
            assert_eq!(check_target(target, &[("host", "localhost")]), Ok(()), "{target}");
        }
        for target in ["http://user@localhost/", "http://user:word@localhost/", "http://a%40b@localhost/"] {
            assert_eq!(check_target(target, &[]), Err(FramingError::Userinfo), "{target}");
        }
        assert_eq!(check_target("/", &[("host", "user@localhost")]), Err(FramingError::Userinfo));
        for target in ["ftp://localhost/", "ws://localhost/", "httpx://localhost/", "file://localhost/"] {
            assert_eq!(check_target(target, &[]), Err(FramingError::Scheme), "{target}");
        }
    }
}
