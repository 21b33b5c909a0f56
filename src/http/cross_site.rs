//! Whether a page of another site made the browser send a request.

use hyper::Request;

use super::RequestContext;
use crate::authn::{CrossSite, OwnHosts, RequestTarget};

/// Why ambient credentials don't count for the request, if they don't: a page of another site, whose origin is not listed, made the browser
/// send it, or it was sent to another host than those configured.
pub(super) fn reason<'a, B>(exchange: &RequestContext<'_>, request: &'a Request<B>) -> Option<CrossSite<'a>> {
    let server = &exchange.settings.server;
    let listed = server.cors.as_ref().map_or(&[][..], |cors| &cors.origins);
    target(exchange, request).cross_site(&server.hosts, listed)
}

/// Whether a page of any other origin than our own, listed or not, made the browser send it. Names are no own hosts here.
pub(super) fn is_foreign<B>(exchange: &RequestContext<'_>, request: &Request<B>) -> bool {
    target(exchange, request).cross_site(&OwnHosts::only(None), &[]).is_some()
}

fn target<'a, B>(exchange: &RequestContext<'_>, request: &'a Request<B>) -> RequestTarget<'a> {
    RequestTarget { headers: request.headers(), uri: request.uri(), is_https: exchange.peer.tls.is_some() }
}
