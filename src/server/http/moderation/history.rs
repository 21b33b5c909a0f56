//! The history of changes, newest first, from the log of the store. The log keeps the last changes.

use std::collections::BTreeSet;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::authenticated::AuthenticatedRequest;
use super::enforcements;
use super::fields::{RequestFields, invalid_field, parse_time};
use super::job_record::JobRecord;
use super::read::{self, ReadRequest};
use crate::crypto::{base64url, base64url_decode};
use crate::model::Millis;
use crate::moderation::api::ModerationParameters;
use crate::moderation::store::{ChangeRequest, ChangesSince, LOG_LIMIT, Store, StoreUnavailable, StoredChange};
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::vendor::InvalidRequest;

/// How many changes are read at once, and how often that is done for one page. A page can be shorter than requested.
const CHANGES_PER_READ: u64 = 250;
const MAX_READS: usize = 8;

/// The maximum number of users whose jobs are in the answer about a change.
const MAX_USERS_WITH_JOBS: usize = 20;

/// The position before which a page continues: the number of a change, and how many of its events come after the
/// position.
type HistoryCursor = (u64, usize);

/// The filter of events.
struct EventFilter<'a> {
    reader: &'a ReadRequest,
    user: Option<&'a str>,
    by: Option<&'a str>,
    kind: Option<&'a str>,
    from: Option<Millis>,
    to: Option<Millis>,
}

/// The changes from the newest to the oldest.
struct ReverseLog<'a> {
    store: &'a Store,
    /// The number of the newest change that was not read.
    next: u64,
    /// The number of changes of the next read. It shrinks near the end of the log.
    step: u64,
    /// The oldest change that the log can have.
    oldest: u64,
}

/// Answers a request for events.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let known = ["user", "by", "conversation", "app", "type", "from", "to", "limit", "after", "client_id"];
    let params = read::query(request, &known)?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let reader = read_place(visit, fields)?;
    let filter = EventFilter::read(&params, fields, &reader)?;
    let (limit, after) = (fields.limit()?, fields.after(parse_cursor)?);
    reader.authorize(visit).await?;
    let moderation = &visit.exchange.runtime.moderation;
    let (Some(store), head) = (moderation.store(), moderation.head()) else { return Err(ApiError::no_store()) };
    let (newest, skipped) = after.unwrap_or((head.version, 0));
    let log = ReverseLog {
        store,
        next: newest.min(head.version),
        step: CHANGES_PER_READ,
        oldest: head.version.saturating_sub(LOG_LIMIT) + 1,
    };
    let page = filter.page(log, skipped, limit).await.map_err(|failure| unreadable(&failure))?;
    Ok(render::json(&page))
}

/// Answers a request for one change.
pub(super) async fn answer_change(
    visit: &AuthenticatedRequest<'_>,
    number: &str,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["conversation", "app", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = number.parse().ok().filter(|number| plain && *number > 0);
    let number = number.ok_or_else(|| invalid_field("id", "must be the number of a change"))?;
    let reader = read_place(visit, fields)?;
    reader.authorize(visit).await?;
    let Some(store) = visit.exchange.runtime.moderation.store() else { return Err(ApiError::no_store()) };
    let found = match store.changes_since(number - 1).await.map_err(|failure| unreadable(&failure))? {
        ChangesSince::Changes(changes) => changes.into_iter().find(|change| change.version == number),
        ChangesSince::NoLongerKept => None,
    };
    let filter = EventFilter { reader: &reader, user: None, by: None, kind: None, from: None, to: None };
    let events = found.iter().flat_map(|change| &change.events).filter_map(|event| filter.included(event));
    let events: Vec<Value> = events.collect();
    let Some(change) = found.filter(|_| !events.is_empty()) else {
        let detail = "There is no such change, or it is no longer kept.";
        return Err(ApiError::with_same_message(ErrorCode::NotFound, detail));
    };
    let jobs = jobs_of_change(visit, &reader, number, &events).await;
    let mut body = json!({ "change": number, "time": change.at.to_string(), "events": events, "jobs": jobs });
    if let Some(ChangeRequest { id, policy }) = change.request {
        (body["request_id"], body["policy"]) = (id.into(), policy.into());
    }
    Ok(render::json(&body))
}

/// Returns the jobs of a change. A job that a later change requested again belongs to that change.
async fn jobs_of_change(
    visit: &AuthenticatedRequest<'_>,
    reader: &ReadRequest,
    number: u64,
    events: &[Value],
) -> Vec<JobRecord> {
    let about = |event: &Value| event.pointer("/data/user").and_then(Value::as_str).map(str::to_owned);
    let users: BTreeSet<String> = events.iter().filter_map(about).collect();
    let mut jobs = Vec::new();
    for user in users.iter().take(MAX_USERS_WITH_JOBS) {
        let known = enforcements::jobs_of_user(visit, user, reader).await.unwrap_or_default();
        jobs.extend(known.into_iter().filter(|job| job.change == number));
    }
    jobs
}

fn read_place(visit: &AuthenticatedRequest<'_>, fields: RequestFields<'_>) -> Result<ReadRequest, ApiError> {
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    ReadRequest::new(visit, fields, place)
}

fn unreadable(unavailable: &StoreUnavailable) -> ApiError {
    let detail = "The store cannot be read at the moment. Try again.";
    ApiError::new(ErrorCode::Unavailable, detail, unavailable.to_string())
}

fn parse_cursor(text: &str) -> Result<HistoryCursor, InvalidRequest> {
    let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = decoded.as_deref().and_then(|decoded| decoded.split_once('-'));
    let cursor = parts.and_then(|(version, skipped)| Some((version.parse().ok()?, skipped.parse().ok()?)));
    cursor.ok_or_else(|| invalid_field("after", "must be the `next` of a page of the same list"))
}

impl<'a> EventFilter<'a> {
    fn read(
        params: &'a ModerationParameters,
        fields: RequestFields<'a>,
        reader: &'a ReadRequest,
    ) -> Result<EventFilter<'a>, InvalidRequest> {
        let time = |field, text: &Option<String>| text.as_deref().map(|text| parse_time(field, text)).transpose();
        let (from, to) = (time("from", &params.from)?, time("to", &params.to)?);
        let (by, kind) = (params.by.as_deref(), params.r#type.as_deref());
        Ok(EventFilter { reader, user: fields.user()?, by, kind, from, to })
    }

    /// Returns the event if the filter includes it.
    fn included(&self, event: &str) -> Option<Value> {
        let event: Value = serde_json::from_str(event).ok()?;
        let text = |pointer| event.pointer(pointer).and_then(Value::as_str);
        let is = |wanted: Option<&str>, found: Option<&str>| wanted.is_none_or(|wanted| found == Some(wanted));
        let kind = text("/type").unwrap_or_default();
        let is_kind =
            self.kind.is_none_or(|wanted| kind == wanted || kind.split_once('.').map(|(of, _)| of) == Some(wanted));
        let time = text("/time").and_then(|time| Millis::parse(time).ok()).unwrap_or(Millis(0));
        let is_then = self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time <= to);
        let is_about = is(self.user, text("/data/user")) && is(self.by, text("/data/by/subject"));
        (is_about && is_kind && is_then && self.reader.includes_event(&event)).then_some(event)
    }

    /// Returns a page of events. `oldest` is the time of the oldest change that is kept, on the last page.
    async fn page(&self, mut log: ReverseLog<'_>, skipped: usize, limit: usize) -> Result<Value, StoreUnavailable> {
        let (mut events, mut skipped, mut oldest) = (Vec::new(), skipped, None);
        for _ in 0..MAX_READS {
            let Some(changes) = log.read().await? else {
                let oldest = oldest.map(|at: Millis| ("oldest", at.to_string()));
                return Ok(page(events, oldest));
            };
            for change in changes.iter().rev() {
                for (number, event) in change.events.iter().rev().enumerate().skip(skipped) {
                    events.extend(self.included(event));
                    if events.len() == limit {
                        return Ok(page(events, Some(next(change.version, number + 1))));
                    }
                }
                (skipped, oldest) = (0, Some(change.at));
            }
        }
        Ok(page(events, Some(next(log.next, 0))))
    }
}

/// Returns a page with a further member.
fn page(events: Vec<Value>, more: Option<(&str, String)>) -> Value {
    let more = more.map(|(name, text)| (name.to_owned(), Value::from(text)));
    [("events".to_owned(), events.into())].into_iter().chain(more).collect()
}

/// Returns the cursor of the next page.
fn next(version: u64, skipped: usize) -> (&'static str, String) {
    ("next", base64url(format!("{version}-{skipped}").as_bytes()))
}

impl ReverseLog<'_> {
    /// Reads the newest changes that were not read. Returns `None` at the end of the log.
    async fn read(&mut self) -> Result<Option<Vec<StoredChange>>, StoreUnavailable> {
        while self.step > 0 && self.next >= self.oldest && self.next > 0 {
            let before = self.next.saturating_sub(self.step).max(self.oldest - 1);
            if let Some(changes) = self.read_after(before).await? {
                self.next = before;
                return Ok(Some(changes));
            }
            // The log has only a part of these changes.
            self.step /= 2;
        }
        Ok(None)
    }

    /// Reads the changes after `before`, up to the newest that was not read. `None`: they are no longer kept.
    async fn read_after(&self, before: u64) -> Result<Option<Vec<StoredChange>>, StoreUnavailable> {
        let (mut changes, mut last) = (Vec::new(), before);
        while last < self.next {
            match self.store.changes_since(last).await? {
                ChangesSince::Changes(more) if !more.is_empty() => {
                    last = more.last().map_or(self.next, |change| change.version);
                    changes.extend(more.into_iter().filter(|change| change.version <= self.next));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(changes))
    }
}
