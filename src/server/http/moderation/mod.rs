//! `/v1/moderation/…`: the routes that list and change moderation entries at run time. Authentication, limits and
//! policy are the same as for signing.

mod audit;
mod authenticated;
mod change;
mod enforcements;
mod events;
mod fields;
mod file_entries;
mod list;
mod read;
mod resource;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::context::RequestContext;
use super::error::ApiError;
use super::response_body::HttpResponse;
use super::{accept, admission, authenticate};
use authenticated::AuthenticatedRequest;
pub(super) use events::LAST_EVENT_ID;
pub(super) use resource::ModerationResource;

/// The path prefix of all moderation routes.
pub(super) const PATH: &str = "/v1/moderation/";

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
    admission::check_method(request, resource.methods())?;
    admission::check_host(exchange, request)?;
    let caller = authenticate::authenticate(exchange, None, request).await?;
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
            list::answer_conversation(&authenticated, id, request).await
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
