//! Detects requests that a page of another site made the browser send.

use hyper::Request;

use super::RequestContext;
use crate::authn::{CrossSite, OwnHosts, RequestTarget};

/// Returns the reason why ambient credentials are ignored for the request, or `None` if they are accepted. They are
/// ignored if a page of another site with an origin that is not listed made the browser send the request, or if the
/// request was sent to a host that is not configured.
pub(super) fn cross_site_reason<'a, B>(
    exchange: &RequestContext<'_>,
    request: &'a Request<B>,
) -> Option<CrossSite<'a>> {
    let server = &exchange.settings.server;
    let listed = server.cors.as_ref().map_or(&[][..], |cors| &cors.origins);
    request_target(exchange, request).cross_site(&server.hosts, listed)
}

/// Returns true if a page of any other origin than our own made the browser send the request, even if that origin is
/// listed. The configured host names are not used here.
pub(super) fn is_foreign<B>(exchange: &RequestContext<'_>, request: &Request<B>) -> bool {
    request_target(exchange, request).cross_site(&OwnHosts::from_names(None), &[]).is_some()
}

fn request_target<'a, B>(exchange: &RequestContext<'_>, request: &'a Request<B>) -> RequestTarget<'a> {
    RequestTarget { headers: request.headers(), uri: request.uri(), is_https: exchange.peer.tls.is_some() }
}
