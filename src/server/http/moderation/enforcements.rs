//! The jobs of the outbox: enforcements at vendors and deliveries to webhooks, by state.

use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::Value;

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, invalid_field};
use super::read::{self, ReadRequest};
use crate::crypto::{base64url, base64url_decode};
use crate::model::Pattern;
use crate::moderation::api::ListPage;
use crate::moderation::store::{Job, JobState, Store, StoreUnavailable};
use crate::moderation::{self, outbox};
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::vendor::InvalidRequest;

/// The states in the order of the list, with their names.
const STATES: [(JobState, &str); 3] =
    [(JobState::Pending, "pending"), (JobState::DeadLetter, "dead-letter"), (JobState::Done, "done")];

/// A job in the list. Fields that the job does not have are left out.
#[derive(Default, Serialize)]
pub(super) struct JobRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    attempts: u32,
    change: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<String>,
    /// The earliest time of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The id of the event that is sent to a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    kind: &'static str,
    state: &'static str,
    /// The origin of the address of a webhook. The rest can contain a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// The cursor of a list: the state and key after which it continues.
type JobCursor = (JobState, String);

/// Answers a request for a list of jobs.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["state", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let only = params.state.as_deref().map(parse_state).transpose()?;
    let (limit, after) = (fields.limit()?, fields.after(parse_cursor)?);
    ReadRequest::for_everything(visit, fields)?.authorize(visit).await?;
    let Some(store) = visit.exchange.runtime.moderation.store() else { return Err(ApiError::no_store()) };
    let page = page(store, only, after, limit).await.map_err(|unavailable| {
        ApiError::new(
            ErrorCode::Unavailable,
            "The store cannot be read at the moment. Try again.",
            unavailable.to_string(),
        )
    })?;
    Ok(render::json(&page))
}

/// The maximum number of jobs of each app and state in the answer about a user.
const MAX_JOBS_OF_USER: usize = 50;

/// Returns the enforcements of a user in the place of the request. `None`: there is no store, or it cannot be read.
pub(super) async fn jobs_of_user(
    visit: &AuthenticatedRequest<'_>,
    user: &str,
    reader: &ReadRequest,
) -> Option<Vec<JobRecord>> {
    let store = visit.exchange.runtime.moderation.store()?;
    let mut jobs = Vec::new();
    for app in visit.apps(reader.app.as_ref()) {
        let prefix = moderation::enforcement_key_prefix(app.name(), user);
        for (state, word) in STATES {
            let found = store.list_jobs(state, &prefix, "", MAX_JOBS_OF_USER).await.ok()?;
            jobs.extend(found.iter().map(|job| to_record(job, word)));
        }
    }
    jobs.retain(|job| {
        let scope = job.conversation.clone().map_or(Pattern::Everything, Pattern::Exact);
        reader.scope.covers(&scope)
    });
    Some(jobs)
}

fn parse_state(word: &str) -> Result<JobState, InvalidRequest> {
    let known = STATES.into_iter().find(|(_, known)| *known == word);
    known.map(|(state, _)| state).ok_or_else(|| invalid_field("state", "must be pending, dead-letter or done"))
}

fn parse_cursor(text: &str) -> Result<JobCursor, InvalidRequest> {
    let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
    let read = parts.and_then(|(word, key)| Some((parse_state(word).ok()?, key.to_owned())));
    read.ok_or_else(|| invalid_field("after", "must be the `next` of a page of the same list"))
}

async fn page(
    store: &Store,
    only: Option<JobState>,
    after: Option<JobCursor>,
    limit: usize,
) -> Result<ListPage<JobRecord>, StoreUnavailable> {
    let mut page = ListPage::default();
    let begun = |state| after.as_ref().is_none_or(|(from, _)| state_order(*from) <= state_order(state));
    for (state, word) in STATES {
        if only.is_some_and(|only| only != state) || !begun(state) {
            continue;
        }
        let after = after.as_ref().filter(|(from, _)| *from == state).map_or("", |(_, key)| key);
        let jobs = store.list_jobs(state, "", after, limit - page.entries.len()).await?;
        page.entries.extend(jobs.iter().map(|job| to_record(job, word)));
        if let Some(last) = jobs.last().filter(|_| page.entries.len() == limit) {
            page.next = Some(base64url(format!("{word}:{}", last.key).as_bytes()));
            break;
        }
    }
    Ok(page)
}

fn state_order(state: JobState) -> usize {
    STATES.iter().position(|(known, _)| *known == state).unwrap_or_default()
}

fn to_record(job: &Job, state: &'static str) -> JobRecord {
    let body: Value = serde_json::from_str(&job.body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let record = JobRecord {
        attempts: job.attempts,
        change: job.revision,
        due: (job.state == JobState::Pending).then(|| job.due.to_string()),
        error: job.error.clone(),
        state,
        ..JobRecord::default()
    };
    match text("/webhook") {
        Some(url) => JobRecord { kind: "webhook", url: Some(outbox::origin(&url)), event: text("/event/id"), ..record },
        None => JobRecord {
            kind: "enforcement",
            app: text("/app"),
            user: text("/user"),
            conversation: text("/conversation"),
            ..record
        },
    }
}
