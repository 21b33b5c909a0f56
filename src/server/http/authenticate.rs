//! Authenticates the caller of a request. Checks its client certificate, and detects requests that a page of another site
//! made the browser send.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use super::context::RequestContext;
use super::error::ApiError;
use super::{metrics, record};
use crate::authn::{AuthnError, ClientCertificate, CrossSite, IdentifyError, RequestCredentials, RequestTarget};
use crate::model::Caller;
use crate::vendor::App;

/// Authenticates the caller, for one app or for all apps. If the caller is refused, the refusal is written to the audit
/// log.
pub(super) async fn authenticate(
    exchange: &RequestContext,
    app: Option<&App>,
    request: &Request<Incoming>,
) -> Result<Arc<Caller>, ApiError> {
    let cross_site = cross_site_reason(exchange, request);
    let certificate = client_certificate(exchange);
    let presented = RequestCredentials { headers: request.headers(), peer: &exchange.peer, certificate, cross_site };
    authenticate_presented(exchange, app, &presented).await
}

/// Authenticates the caller with these credentials, for one app or for all apps. If the caller is refused, the refusal
/// is written to the audit log.
pub(super) async fn authenticate_presented(
    exchange: &RequestContext,
    app: Option<&App>,
    presented: &RequestCredentials<'_>,
) -> Result<Arc<Caller>, ApiError> {
    let refusal = match identify(exchange, presented, app.map(|app| &**app.name())).await {
        Ok(caller) => {
            metrics::count_accepted(exchange, &caller);
            return Ok(caller);
        }
        Err(refusal) => refusal,
    };
    Err(Box::pin(record::record_refusal(exchange, app, &refusal)).await?)
}

/// Authenticates the caller. If a credential must be looked up at another server, this is done at most once.
async fn identify(
    exchange: &RequestContext,
    credentials: &RequestCredentials<'_>,
    app: Option<&str>,
) -> Result<Arc<Caller>, AuthnError> {
    let authenticators = &exchange.settings().engine.authenticators;
    match authenticators.identify(credentials, app, exchange.now) {
        Ok(caller) => Ok(caller),
        Err(IdentifyError::Error(refusal)) => Err(refusal),
        Err(IdentifyError::Pending(lookup)) => {
            // This future is boxed, so that the futures of all other requests stay small.
            let found = Box::pin(exchange.snapshot.upstreams.look_up(lookup, exchange.trace.as_ref())).await;
            authenticators.identify_with(found, credentials, app, exchange.now)
        }
    }
}

/// Returns the client certificate as valid if the current settings still trust its authority and it has not expired. A
/// connection can outlive both.
fn client_certificate(exchange: &RequestContext) -> ClientCertificate<'_> {
    let Some(certificate) = exchange.peer.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) else {
        return ClientCertificate::Absent;
    };
    let tls = exchange.settings().server.tls.as_ref();
    if tls.is_some_and(|tls| tls.accepts_certificate(certificate, exchange.now)) {
        ClientCertificate::Valid(certificate)
    } else {
        ClientCertificate::NoLongerValid
    }
}

/// Returns the reason why ambient credentials are ignored for the request, or `None` if they are accepted. They are
/// ignored if a page of another site with an origin that is not listed made the browser send the request, or if the
/// request was sent to a host that is not configured.
fn cross_site_reason<'a, B>(exchange: &RequestContext, request: &'a Request<B>) -> Option<CrossSite<'a>> {
    let server = &exchange.settings().server;
    let listed = server.cors.as_ref().map_or(&[][..], |cors| &cors.origins);
    request_target(exchange, request).cross_site(&server.hosts, listed)
}

/// Returns true if a page of any other origin than our own made the browser send the request, even if that origin is
/// listed. The configured host names are not used here.
#[cfg(feature = "playground")]
pub(super) fn is_foreign<B>(exchange: &RequestContext, request: &Request<B>) -> bool {
    request_target(exchange, request).cross_site(&crate::authn::OwnHosts::from_names(None), &[]).is_some()
}

fn request_target<'a, B>(exchange: &RequestContext, request: &'a Request<B>) -> RequestTarget<'a> {
    RequestTarget { headers: request.headers(), uri: request.uri(), is_https: exchange.peer.tls.is_some() }
}
