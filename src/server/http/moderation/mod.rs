//! `/v1/moderation/…`: the routes that list and change moderation entries at run time. Authentication, limits and
//! policy are the same as for signing.

mod abilities;
mod audit;
mod authenticated;
mod change;
mod conversations;
mod decide;
mod endings;
mod enforcements;
mod events;
mod explain;
mod fields;
mod file_entries;
mod history;
mod job_changes;
mod job_record;
mod list;
mod preview;
mod read;
mod users;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};

use super::context::{self, RequestContext};
use super::error::{ApiError, ErrorCode};
use super::response_body::HttpResponse;
use super::{accept, admission, authenticate};
use crate::moderation::api::{ModerationResource, PathError};
use crate::moderation::store::StoreHead;
use authenticated::AuthenticatedRequest;
pub(super) use decide::answer as answer_decisions;
pub(super) use events::LAST_EVENT_ID;

/// The header with the version of the entries, as in the ids of events: the epoch and the number of a change.
pub(super) const MODERATION_VERSION: HeaderName = HeaderName::from_static("moderation-version");

/// Returns the methods that pages of listed origins can use at this path.
pub(super) fn cors_methods(path: &str) -> &'static [Method] {
    match ModerationResource::from_path(path) {
        Ok(ModerationResource::Conversation(_)) => &[Method::GET, Method::PUT, Method::DELETE],
        _ => &[Method::GET, Method::POST],
    }
}

/// Answers a request to a moderation route. A successful answer names the version of the entries: for a list, a version
/// that the list contains completely.
pub(super) async fn answer(
    exchange: &RequestContext,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let moderation = &exchange.runtime.moderation;
    let (before, is_read) = (moderation.head(), request.method() == Method::GET);
    let mut answer = answer_authenticated(exchange, request).await?;
    let version = if is_read { before } else { moderation.head() };
    set_version(&mut answer, &version);
    Ok(answer)
}

/// Sets the header with the version of the entries.
fn set_version(answer: &mut HttpResponse, head: &StoreHead) {
    let version = Some(format!("{}-{}", head.epoch, head.version)).filter(|_| !head.epoch.is_empty());
    let version = version.and_then(|version| HeaderValue::try_from(version).ok());
    answer.headers_mut().extend(version.map(|version| (MODERATION_VERSION, version)));
}

/// The order of the checks is the same as for signing.
async fn answer_authenticated(
    exchange: &RequestContext,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = admission::enter(exchange)?;
    let resource = ModerationResource::from_path(request.uri().path()).map_err(path_error)?;
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
        ModerationResource::Explain => explain::answer(&authenticated, request).await,
        ModerationResource::Enforcements => enforcements::answer(&authenticated, request).await,
        ModerationResource::Abilities => abilities::answer(&authenticated, request).await,
        ModerationResource::Preview => preview::answer(&authenticated, request, place).await,
        ModerationResource::Users => users::answer_search(&authenticated, request).await,
        ModerationResource::User(id) => users::answer_user(&authenticated, id, request).await,
        ModerationResource::Changes => history::answer(&authenticated, request).await,
        ModerationResource::Change(number) => history::answer_change(&authenticated, number, request).await,
        ModerationResource::Conversations => conversations::answer(&authenticated, request).await,
        ModerationResource::People(id) => conversations::answer_people(&authenticated, id, request).await,
        ModerationResource::Endings => endings::answer(&authenticated, request).await,
        ModerationResource::EnforcementGroups => enforcements::answer_groups(&authenticated, request).await,
        ModerationResource::EnforcementCommand(command) => {
            job_changes::answer(&authenticated, *command, request, place).await
        }
        _ => change::answer(&authenticated, &resource, request, place).await,
    }
}

fn check_accept(request: &Request<Incoming>, media: &'static str) -> Result<(), ApiError> {
    let chosen = accept::choose(request.headers(), &[(media, ())]);
    chosen.ok_or_else(|| ApiError::not_acceptable(&[media]))
}

fn path_error(error: PathError) -> ApiError {
    match error {
        PathError::NotFound => ApiError::with_same_message(
            ErrorCode::NotFound,
            "There is nothing at this path. Moderation has: bans, bans/lift, mutes, mutes/lift, roles, roles/remove, \
             blocks, blocks/lift, conversations/{id}, events, enforcements, enforcements/groups, enforcements/retry, \
             enforcements/close, enforcements/repeat, explain, abilities, preview, users, users/{id}, changes, \
             changes/{id}, conversations, conversations/{id}/people, endings.",
        ),
        PathError::Malformed => ApiError::with_same_message(
            ErrorCode::Malformed,
            "The id in the path is not well encoded: two hex digits must follow each %, and the text \
             must be UTF-8.",
        ),
    }
}
