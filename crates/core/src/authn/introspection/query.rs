//! Builds the queries.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::{Introspection, IntrospectionProtocol};
use crate::authn::error::AuthnError;
use crate::authn::request_credentials::bearer_token;
use crate::crypto::{self, percent_encode};
use crate::model::Millis;
use crate::secret::Secret;

/// A query about one credential.
pub struct IntrospectionQuery {
    /// The authenticator that sends the query.
    pub introspection: Arc<Introspection>,
    /// The headers of the request of the caller that are passed on.
    forwarded_headers: Vec<(HeaderName, HeaderValue)>,
}

impl IntrospectionQuery {
    /// Returns the query for the explicit credential of the request, which is in this header.
    pub(in crate::authn) fn explicit(
        introspection: &Arc<Introspection>,
        header: &HeaderName,
        headers: &HeaderMap,
    ) -> Result<IntrospectionQuery, AuthnError> {
        if headers.get(header).is_none_or(|value| value.as_bytes().trim_ascii().is_empty()) {
            return Err(AuthnError::invalid(format!("the header `{header}` is empty"))
                .with_authenticator(&introspection.common.name));
        }
        let names = match &introspection.protocol {
            IntrospectionProtocol::Session { headers, .. } => headers.as_slice(),
            _ => std::slice::from_ref(header),
        };
        let forwarded_headers = select_headers(headers, names).collect();
        Ok(IntrospectionQuery { introspection: Arc::clone(introspection), forwarded_headers })
    }

    /// Returns the query for the cookies of the request, if it has cookies that are passed on.
    pub(in crate::authn) fn ambient(
        introspection: &Arc<Introspection>,
        headers: &HeaderMap,
    ) -> Option<IntrospectionQuery> {
        let IntrospectionProtocol::Session { cookies, headers: names, .. } = &introspection.protocol else {
            return None;
        };
        let cookies = select_cookies(headers, cookies)?;
        let forwarded_headers = std::iter::once(cookies).chain(select_headers(headers, names)).collect();
        Some(IntrospectionQuery { introspection: Arc::clone(introspection), forwarded_headers })
    }

    /// Returns a key that identifies the query unambiguously. It contains the authenticator, the URL of the server, and
    /// all headers that are passed on.
    pub fn cache_key(&self) -> Vec<u8> {
        let url = self.introspection.endpoint.url.to_string();
        let asker = [self.introspection.common.name.as_bytes(), url.as_bytes()];
        let passed =
            self.forwarded_headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
        crypto::join_with_lengths(asker.into_iter().chain(passed))
    }

    /// Returns the HTTP request for the query.
    ///
    /// # Errors
    /// Returns an error if a configured credential is not a valid header value.
    pub fn request(&self, now: Millis) -> Result<Request<Vec<u8>>, AuthnError> {
        let mut request = match &self.introspection.protocol {
            IntrospectionProtocol::Session { .. } => self.forward_all(),
            IntrospectionProtocol::Token { client, .. } => self.token_request(client.as_ref())?,
            IntrospectionProtocol::LeanCloud { app_id, app_key, sign } => {
                self.session_request(app_id, app_key, *sign, now)?
            }
        };
        *request.uri_mut() = self.introspection.endpoint.url.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn forward_all(&self) -> Request<Vec<u8>> {
        let mut request = Request::new(Vec::new());
        request.headers_mut().extend(self.forwarded_headers.iter().cloned());
        request
    }

    /// Builds the request of RFC 7662, section 2.1. The credentials of the client are encoded as in RFC 6749, section
    /// 2.3.1.
    fn token_request(&self, client: Option<&(String, Secret)>) -> Result<Request<Vec<u8>>, AuthnError> {
        let token =
            self.forwarded_headers.first().map(|(_, value)| bearer_token(value)).transpose()?.unwrap_or_default();
        let form = format!("token={}&token_type_hint=access_token", percent_encode(token.as_bytes()));
        let mut request = Request::new(form.into_bytes());
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some((id, secret)) = client {
            let pair = format!("{}:{}", percent_encode(id.as_bytes()), percent_encode(secret.expose()));
            headers.insert(
                AUTHORIZATION,
                sensitive_header(format!("Basic {}", crypto::base64(pair.as_bytes())).as_bytes())?,
            );
        }
        Ok(request)
    }

    fn session_request(&self, id: &str, key: &Secret, sign: bool, now: Millis) -> Result<Request<Vec<u8>>, AuthnError> {
        let mut request = self.forward_all();
        let headers = request.headers_mut();
        headers.insert(HeaderName::from_static("x-lc-id"), sensitive_header(id.as_bytes())?);
        if sign {
            let hash = crypto::md5(&[now.0.to_string().as_bytes(), key.expose()]);
            let signature = format!("{},{}", crypto::hex(&hash), now.0);
            headers.insert(HeaderName::from_static("x-lc-sign"), sensitive_header(signature.as_bytes())?);
        } else {
            headers.insert(HeaderName::from_static("x-lc-key"), sensitive_header(key.expose())?);
        }
        Ok(request)
    }
}

impl fmt::Debug for IntrospectionQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntrospectionQuery({}, …)", self.introspection.endpoint)
    }
}

fn sensitive_header(value: &[u8]) -> Result<HeaderValue, AuthnError> {
    let refuse = |_| {
        let detail = "a configured id or key can't stand in a header".to_owned();
        AuthnError::unavailable("the caller cannot be identified here").with_detail(detail)
    };
    let mut value = HeaderValue::from_bytes(value).map_err(refuse)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the headers of the request that have one of these names.
fn select_headers(headers: &HeaderMap, names: &[HeaderName]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    names.iter().flat_map(|name| headers.get_all(name).iter().map(|value| (name.clone(), value.clone())))
}

/// Returns a `Cookie` header with the cookies of the request that have one of these names, unchanged (RFC 6265,
/// section 4.2). Returns `None` if
/// there are none.
fn select_cookies(headers: &HeaderMap, names: &[String]) -> Option<(HeaderName, HeaderValue)> {
    // HTTP/2 may send the cookies in several headers (RFC 9113, section 8.2.3).
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let wanted: Vec<_> =
        pairs.map(<[u8]>::trim_ascii).filter(|pair| names.iter().any(|own| has_name(own, pair))).collect();
    if wanted.is_empty() {
        return None;
    }
    // Values that came in headers are valid in one header.
    HeaderValue::from_bytes(&wanted.join(&b"; "[..])).ok().map(|value| (COOKIE, value))
}

fn has_name(name: &str, pair: &[u8]) -> bool {
    pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b'='))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_named_cookies_are_passed_on() {
        let kept = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            select_cookies(&headers, &["sid".to_owned(), "sid2".to_owned()]).map(|(_, value)| value.as_bytes().to_vec())
        };
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&["", ";", "SID=1; xsid=2; sid; =sid; other=sid=3"]), None);
        assert_eq!(kept(&["theme=dark; sid=a=b; lang=en"]).unwrap(), b"sid=a=b");
        assert_eq!(kept(&["sid=", "sid2=\"x\""]).unwrap(), b"sid=; sid2=\"x\"");
        assert_eq!(kept(&[" sid=1;sid=2 ;sid2=\u{fe}"]).unwrap(), "sid=1; sid=2; sid2=\u{fe}".as_bytes());
    }
}
