//! `/v1/roster/…`: what moderators change and see at run time, under the same authentication, limits and policy as signing.

mod change;
mod conversations;
mod cursor;
mod enforcements;
mod entry;
mod events;
mod fields;
mod list;
mod read;
mod record;
mod resource;
mod visit;
mod wishes;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Method, Request};

use super::{ApiError, HttpResponse, RequestContext, accept, answer, guard, limit};
pub(super) use resource::ModerationResource;
use visit::AuthenticatedRequest;

/// What all paths of the roster begin with.
pub(super) const PATH: &str = "/v1/roster/";

/// Where a reader of events got to (HTML, section 9.2).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// With which methods pages of listed origins may ask for something at this path.
pub(super) fn methods_for_pages(path: &str) -> &'static [Method] {
    match path.strip_prefix(PATH).map(ModerationResource::at) {
        Some(Ok(ModerationResource::Conversation(_))) => &[Method::GET, Method::PUT, Method::DELETE],
        _ => &[Method::GET, Method::POST],
    }
}

/// Answers a request to something of the roster's, in the order in which all requests are looked at.
pub(super) async fn answer(
    exchange: &RequestContext<'_>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = limit::enter(exchange)?;
    let resource = ModerationResource::at(request.uri().path().strip_prefix(PATH).unwrap_or_default())?;
    guard::only(request, resource.methods())?;
    guard::demonstration(exchange, request)?;
    guard::one_host(request)?;
    let caller = answer::authenticate(exchange, None, request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let visit = AuthenticatedRequest { exchange, caller: Arc::clone(&caller) };
    acceptable(request, resource.media())?;
    let place = match *request.method() {
        Method::GET | Method::DELETE => read::no_body(exchange, request, place).await?,
        _ => place,
    };
    match &resource {
        ModerationResource::Entries(table) if request.method() == Method::GET => {
            list::answer(&visit, *table, request).await
        }
        ModerationResource::Conversation(id) if request.method() == Method::GET => {
            conversations::answer(&visit, id, request).await
        }
        ModerationResource::Events => events::answer(&visit, request).await,
        ModerationResource::Enforcements => enforcements::answer(&visit, request).await,
        _ => change::answer(&visit, &resource, request, place).await,
    }
}

fn acceptable(request: &Request<Incoming>, media: &'static str) -> Result<(), ApiError> {
    let chosen = accept::choose(request.headers(), &[(media, ())]);
    chosen.ok_or_else(|| ApiError::not_acceptable(&[media]))
}
