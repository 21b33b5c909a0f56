//! The jobs of the outbox: enforcements at vendors and deliveries to webhooks, by state.

use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, invalid_field};
use super::read::{self, ReadRequest};
use crate::crypto::{base64url, base64url_decode};
use crate::moderation::outbox;
use crate::moderation::store::{Job, JobState, Store, StoreUnavailable};
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::vendor::InvalidRequest;

/// The states in the order of the list, with their names.
const STATES: [(JobState, &str); 3] =
    [(JobState::Pending, "pending"), (JobState::DeadLetter, "dead-letter"), (JobState::Done, "done")];

/// One page of jobs.
#[derive(Default, Serialize)]
struct EnforcementPage {
    entries: Vec<Map<String, Value>>,
    /// The cursor of the next page, or `None` on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The cursor of a list: the state and key after which it continues.
type JobCursor = (JobState, String);

/// Answers a request for a list of jobs.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["state", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings };
    let only = fields.params.text("state")?.map(parse_state).transpose()?;
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
    Ok(render::success("application/json", serde_json::to_vec(&page).unwrap_or_default()))
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
) -> Result<EnforcementPage, StoreUnavailable> {
    let mut page = EnforcementPage::default();
    let begun = |state| after.as_ref().is_none_or(|(from, _)| state_order(*from) <= state_order(state));
    for (state, word) in STATES {
        if only.is_some_and(|only| only != state) || !begun(state) {
            continue;
        }
        let after = after.as_ref().filter(|(from, _)| *from == state).map_or("", |(_, key)| key);
        let jobs = store.list_jobs(state, "", after, limit - page.entries.len()).await?;
        page.entries.extend(jobs.iter().map(|job| job_json(job, word)));
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

/// Returns a job as JSON. Of the address of a webhook, only the origin is shown, because the rest can contain a secret.
fn job_json(job: &Job, state: &str) -> Map<String, Value> {
    let body: Value = serde_json::from_str(&job.body).unwrap_or_default();
    let mut entry = Map::new();
    if let Some(url) = body.get("webhook").and_then(Value::as_str) {
        entry.insert("kind".to_owned(), json!("webhook"));
        entry.insert("url".to_owned(), json!(outbox::origin(url)));
        entry.insert("event".to_owned(), json!(body.pointer("/event/id")));
    } else {
        entry.insert("kind".to_owned(), json!("enforcement"));
        let about = ["app", "user", "conversation"].map(|name| (name.to_owned(), body.get(name).cloned()));
        entry.extend(
            about.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_null())?))),
        );
    }
    entry.insert("state".to_owned(), json!(state));
    entry.insert("change".to_owned(), json!(job.revision));
    entry.insert("attempts".to_owned(), json!(job.attempts));
    if job.state == JobState::Pending {
        entry.insert("due".to_owned(), json!(job.due.to_string()));
    }
    if let Some(error) = &job.error {
        entry.insert("error".to_owned(), json!(error));
    }
    entry
}
