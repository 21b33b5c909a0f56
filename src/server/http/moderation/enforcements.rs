//! The jobs of the outbox: enforcements at vendors and deliveries to webhooks, as a list and in groups.

use std::collections::BTreeMap;

use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, invalid_field};
use super::job_record::{FILTER, JobFilter, JobRecord, STATES, parse_state};
use super::read::{self, ReadRequest};
use crate::crypto::{base64url, base64url_decode};
use crate::model::{Millis, Pattern};
use crate::moderation;
use crate::moderation::api::ListPage;
use crate::moderation::store::{Job, JobState, Store, StoreUnavailable};
use crate::server::http::error::ApiError;
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::telemetry::outbox::DeliveryKind;
use crate::vendor::InvalidRequest;

/// The number of jobs in a read from the store.
const JOBS_PER_READ: usize = 500;

/// The maximum number of jobs that are read for a page of a filtered list. A page can be shorter than requested.
const MAX_JOBS_PER_PAGE: usize = 10_000;

/// The maximum number of jobs that are read for groups, and for a list in the order of time.
const MAX_GROUPED_JOBS: usize = 50_000;

/// The number of jobs that a group names.
const SAMPLE_SIZE: usize = 3;

/// The cursor of a list: the state and key after which it continues.
type JobCursor = (JobState, String);

/// The cursor of a list in the order of time: the time of the request in milliseconds, and the key.
type TimeCursor = (u64, String);

/// Answers a request for a list of jobs.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &[&FILTER[..], &["limit", "after", "client_id"]].concat())?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let filter = JobFilter::read(fields)?;
    let (limit, reader) = (fields.limit()?, ReadRequest::new(visit, fields, filter.scope.clone())?);
    let page = if filter.is_by_time {
        let after = fields.after(parse_time_cursor)?;
        reader.authorize(visit).await?;
        filter.newest(store(visit)?, after, limit).await?
    } else {
        let after = fields.after(parse_cursor)?;
        reader.authorize(visit).await?;
        filter.page(store(visit)?, after, limit).await?
    };
    Ok(render::json(&page))
}

/// Returns the store.
///
/// # Errors
/// Returns an error if there is none.
pub(super) fn store<'a>(visit: &AuthenticatedRequest<'a>) -> Result<&'a Store, ApiError> {
    visit.exchange.runtime.moderation.store().ok_or_else(ApiError::no_store)
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
        for (state, _) in STATES {
            let found = store.list_jobs(state, &prefix, "", MAX_JOBS_OF_USER).await.ok()?;
            jobs.extend(found.iter().map(JobRecord::from));
        }
    }
    jobs.retain(|job| {
        let scope = job.conversation.clone().map_or(Pattern::Everything, Pattern::Exact);
        reader.scope.covers(&scope)
    });
    Some(jobs)
}

fn parse_cursor(text: &str) -> Result<JobCursor, InvalidRequest> {
    let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
    let read = parts.and_then(|(word, key)| Some((parse_state(word).ok()?, key.to_owned())));
    read.ok_or_else(|| invalid_field("after", "must be the `next` of a page of the same list"))
}

/// Reads the cursor of a list in the order of time: the time and key of the last job of the previous page.
fn parse_time_cursor(text: &str) -> Result<TimeCursor, InvalidRequest> {
    let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    let parts = decoded.as_deref().and_then(|decoded| decoded.strip_prefix("at:")?.split_once(':'));
    let read = parts.and_then(|(time, key)| Some((time.parse().ok()?, key.to_owned())));
    read.ok_or_else(|| invalid_field("after", "must be the `next` of a page of the same list"))
}

impl JobFilter<'_> {
    /// Returns a page of the newest jobs before the cursor. If there are too many jobs, only some are read.
    async fn newest(
        &self,
        store: &Store,
        before: Option<TimeCursor>,
        limit: usize,
    ) -> Result<ListPage<JobRecord>, StoreUnavailable> {
        let (prefix, mut newest, mut left) = (self.key_prefix(), BTreeMap::new(), MAX_GROUPED_JOBS);
        for (state, _) in STATES.into_iter().filter(|(own, _)| self.state.is_none_or(|only| only == *own)) {
            let mut after = String::new();
            while left > 0 {
                let jobs = store.list_jobs(state, &prefix, &after, JOBS_PER_READ.min(left)).await?;
                left -= jobs.len();
                let Some(last) = jobs.last() else { break };
                after.clone_from(&last.key);
                for job in jobs {
                    let position = (job.asked.map_or(0, |asked| asked.0), job.key.clone());
                    let record = JobRecord::from(&job);
                    if self.selects(&record) && before.as_ref().is_none_or(|before| position < *before) {
                        newest.insert(position, record);
                    }
                }
                // One more than the page, so that it is known whether there is another page.
                while newest.len() > limit + 1 {
                    newest.pop_first();
                }
            }
        }
        let has_more = newest.len() > limit;
        if has_more {
            newest.pop_first();
        }
        let next = newest.first_key_value().filter(|_| has_more);
        let next = next.map(|((time, key), _)| base64url(format!("at:{time}:{key}").as_bytes()));
        Ok(ListPage { entries: newest.into_values().rev().collect(), next })
    }

    async fn page(
        &self,
        store: &Store,
        after: Option<JobCursor>,
        limit: usize,
    ) -> Result<ListPage<JobRecord>, StoreUnavailable> {
        let (prefix, mut page, mut left) = (self.key_prefix(), ListPage::default(), MAX_JOBS_PER_PAGE);
        let first = after.as_ref().map_or(0, |(from, _)| state_order(*from));
        for (state, word) in
            STATES.into_iter().skip(first).filter(|(own, _)| self.state.is_none_or(|only| only == *own))
        {
            let mut key =
                after.as_ref().filter(|(from, _)| *from == state).map_or_else(String::new, |(_, key)| key.clone());
            loop {
                let most = if self.is_open() { limit - page.entries.len() } else { JOBS_PER_READ };
                let jobs = store.list_jobs(state, &prefix, &key, most).await?;
                for job in &jobs {
                    left -= 1;
                    page.entries.extend(Some(JobRecord::from(job)).filter(|record| self.selects(record)));
                    if page.entries.len() == limit || left == 0 {
                        page.next = Some(base64url(format!("{word}:{}", job.key).as_bytes()));
                        return Ok(page);
                    }
                }
                match jobs.into_iter().next_back() {
                    Some(last) if left > 0 => key = last.key,
                    _ => break,
                }
            }
        }
        Ok(page)
    }
}

fn state_order(state: JobState) -> usize {
    STATES.iter().position(|(known, _)| *known == state).unwrap_or_default()
}

/// The jobs that wait, and the failed jobs in groups.
#[derive(Serialize)]
struct JobGroups {
    /// Whether all jobs were read. If not, the numbers of the groups are too small.
    complete: bool,
    dead_letters: u64,
    groups: Vec<JobGroup>,
    pending: PendingJobs,
}

#[derive(Serialize)]
struct PendingJobs {
    count: u64,
    /// The time since when the oldest due job has been due.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
}

/// Failed jobs with the same app or webhook, state, cause and error.
#[derive(Serialize)]
struct JobGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    count: u64,
    /// The error. `…` stands for names and long numbers in it.
    error: String,
    kind: &'static str,
    /// The time at which the oldest job was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    sample: Vec<JobSample>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// A job that a group names.
#[derive(Serialize)]
struct JobSample {
    change: u64,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// Groups by their keys, each with its jobs by the time of the request.
type GroupedJobs = BTreeMap<[String; 5], (u64, Vec<Job>)>;

/// Answers a request for groups of failed jobs.
pub(super) async fn answer_groups(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    ReadRequest::new(visit, fields, None)?.authorize(visit).await?;
    let store = store(visit)?;
    let (mut pending, mut dead_letters, mut waiting) = (0, 0, 0);
    for kind in DeliveryKind::ALL {
        let queues = visit.exchange.runtime.change_subscribers().queues(kind);
        let depth = store.count_jobs(kind.key_prefix(), queues, visit.exchange.now).await?;
        (pending, dead_letters) = (pending + depth.pending, dead_letters + depth.dead_letter);
        waiting = waiting.max(depth.oldest);
    }
    let (groups, complete) = group_jobs(store).await?;
    let oldest = (waiting > 0).then(|| Millis(visit.exchange.now.0.saturating_sub(waiting)).to_string());
    let pending = PendingJobs { count: pending, oldest };
    let groups = groups.into_values().filter_map(|(count, jobs)| JobGroup::new(count, &jobs)).collect();
    Ok(render::json(&JobGroups { complete, dead_letters, groups, pending }))
}

/// Groups the failed jobs: dead letters, then pending jobs. Returns also whether all jobs were read.
async fn group_jobs(store: &Store) -> Result<(GroupedJobs, bool), StoreUnavailable> {
    let (mut groups, mut left) = (GroupedJobs::new(), MAX_GROUPED_JOBS);
    for state in [JobState::DeadLetter, JobState::Pending] {
        let mut after = String::new();
        loop {
            let jobs = store.list_jobs(state, "", &after, JOBS_PER_READ.min(left)).await?;
            left -= jobs.len();
            match jobs.last() {
                Some(last) => after.clone_from(&last.key),
                None if left == 0 => return Ok((groups, false)),
                None => break,
            }
            jobs.into_iter().filter(|job| job.error.is_some()).for_each(|job| add_to_group(&mut groups, job));
        }
    }
    Ok((groups, true))
}

fn add_to_group(groups: &mut GroupedJobs, job: Job) {
    let JobRecord { app, url, kind, state, cause, error, .. } = JobRecord::from(&job);
    let target = if kind == DeliveryKind::Webhook.as_str() { url } else { app };
    let error = generalize(error.as_deref().unwrap_or_default());
    let key =
        [kind.to_owned(), target.unwrap_or_default(), state.to_owned(), cause.unwrap_or_default().to_owned(), error];
    let (count, jobs) = groups.entry(key).or_default();
    *count += 1;
    jobs.push(job);
    jobs.sort_by_key(|job| job.asked);
    jobs.truncate(SAMPLE_SIZE);
}

/// Returns an error without the parts that differ from job to job: quoted parts, and words with more than four digits.
fn generalize(error: &str) -> String {
    let is_long = |word: &str| word.bytes().filter(u8::is_ascii_digit).count() > 4;
    let words = error.split(' ').map(|word| {
        let is_quoted = word.len() > 1 && word.starts_with(['`', '"', '\'']);
        if is_quoted || is_long(word) { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

impl JobGroup {
    fn new(count: u64, jobs: &[Job]) -> Option<JobGroup> {
        let JobRecord { again, app, cause, error, kind, state, url, .. } = JobRecord::from(jobs.first()?);
        let sample =
            jobs.iter().map(JobRecord::from).map(|JobRecord { change, id, user, .. }| JobSample { change, id, user });
        Some(JobGroup {
            again,
            app: app.filter(|_| url.is_none()),
            cause,
            count,
            error: generalize(error.as_deref().unwrap_or_default()),
            kind,
            oldest: jobs.first()?.asked.map(|asked| asked.to_string()),
            sample: sample.collect(),
            state,
            url,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_kind_are_one_group() {
        for (error, general) in [
            ("talkjs: it answers 401", "talkjs: it answers 401"),
            ("leancloud: it answers 400 with the code 4101", "leancloud: it answers 400 with the code 4101"),
            ("the id `tom` is not allowed", "the id … is not allowed"),
            ("the conversation 5f3c2a1b9e8d7c6b5a493827 is gone", "the conversation … is gone"),
        ] {
            assert_eq!(generalize(error), general);
        }
    }
}
