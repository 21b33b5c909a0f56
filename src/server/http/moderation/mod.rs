//! `/v1/moderation/…`: the routes that list and change moderation entries at run time. Authentication, limits and
//! policy are the same as for signing.

mod audit;
mod authenticated;
mod change;
mod conversations;
mod cursor;
mod enforcements;
mod entry;
mod events;
mod fields;
mod list;
mod read;
mod resource;
mod wishes;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Method, Request};

use super::{ApiError, HttpResponse, RequestContext, accept, admission, host_check, sign};
use authenticated::AuthenticatedRequest;
pub(super) use resource::ModerationResource;

/// The path prefix of all moderation routes.
pub(super) const PATH: &str = "/v1/moderation/";

/// The header with the id of the last event that a client received (HTML, section 9.2).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Returns the methods that pages of listed origins can use at this path.
pub(super) fn cors_methods(path: &str) -> &'static [Method] {
    match path.strip_prefix(PATH).map(ModerationResource::from_path) {
        Some(Ok(ModerationResource::Conversation(_))) => &[Method::GET, Method::PUT, Method::DELETE],
        _ => &[Method::GET, Method::POST],
    }
}

/// Answers a request to a moderation route. The order of the checks is the same as for signing.
pub(super) async fn answer(
    exchange: &RequestContext<'_>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = admission::enter(exchange)?;
    let resource = ModerationResource::from_path(request.uri().path().strip_prefix(PATH).unwrap_or_default())?;
    host_check::check_method(request, resource.methods())?;
    host_check::demonstration(exchange, request)?;
    host_check::check_single_host(request)?;
    let caller = sign::authenticate(exchange, None, request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let authenticated = AuthenticatedRequest { exchange, caller: Arc::clone(&caller) };
    check_accept(request, resource.media_type())?;
    let place = match *request.method() {
        Method::GET | Method::DELETE => read::check_no_body(exchange, request, place).await?,
        _ => place,
    };
    match &resource {
        ModerationResource::Entries(table) if request.method() == Method::GET => {
            list::answer(&authenticated, *table, request).await
        }
        ModerationResource::Conversation(id) if request.method() == Method::GET => {
            conversations::answer(&authenticated, id, request).await
        }
        ModerationResource::Events => events::answer(&authenticated, request).await,
        ModerationResource::Enforcements => enforcements::answer(&authenticated, request).await,
        _ => change::answer(&authenticated, &resource, request, place).await,
    }
}

fn check_accept(request: &Request<Incoming>, media: &'static str) -> Result<(), ApiError> {
    let chosen = accept::choose(request.headers(), &[(media, ())]);
    chosen.ok_or_else(|| ApiError::not_acceptable(&[media]))
}
