//! Builds the queries.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request};

use super::{Introspection, IntrospectionProtocol};
use crate::authn::credential::bearer_token;
use crate::authn::error::AuthnError;
use crate::crypto::{self, percent_encode};
use crate::model::Millis;
use crate::secret::Secret;

/// A query about one credential.
pub struct IntrospectionQuery {
    /// The authenticator that sends the query.
    pub introspection: Arc<Introspection>,
    /// The headers of the request of the caller that are passed on.
    pub(super) forwarded_headers: Vec<(HeaderName, HeaderValue)>,
}

impl IntrospectionQuery {
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
