//! Jobs of the outbox as lists show them, and the filter of these lists.

use serde::Serialize;
use serde_json::Value;

use super::fields::{RequestFields, invalid_field};
use crate::crypto::{base64url, percent_encode};
use crate::model::Pattern;
use crate::moderation::outbox;
use crate::moderation::store::{FailureCause, Job, JobState};
use crate::telemetry::outbox::DeliveryKind;
use crate::vendor::InvalidRequest;

/// The states in the order of the list, with their names.
pub(super) const STATES: [(JobState, &str); 3] =
    [(JobState::Pending, "pending"), (JobState::DeadLetter, "dead-letter"), (JobState::Done, "done")];

/// The parameters of the filter.
pub(super) const FILTER: [&str; 9] =
    ["state", "kind", "app", "webhook", "user", "conversation", "cause", "error", "order"];

/// A job in the list. Fields that the job does not have are left out.
#[derive(Default, Serialize)]
pub(super) struct JobRecord {
    /// Whether another attempt can help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) again: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<String>,
    /// The time at which the job was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    pub(super) change: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation: Option<String>,
    /// The earliest time of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The id of the event that is sent to a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// The number of failures in a row.
    failures: u32,
    pub(super) id: String,
    pub(super) kind: &'static str,
    /// The time at which the job was done or became a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<String>,
    pub(super) stage: &'static str,
    pub(super) state: &'static str,
    /// The origin of the address of a webhook. The rest can contain a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
}

impl From<&Job> for JobRecord {
    fn from(job: &Job) -> JobRecord {
        let body: Value = serde_json::from_str(&job.body).unwrap_or_default();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let record = JobRecord {
            again: job.cause.map(FailureCause::can_pass),
            asked: job.asked.map(|asked| asked.to_string()),
            attempts: job.attempts,
            cause: job.cause.map(FailureCause::as_str),
            change: job.revision,
            due: (job.state == JobState::Pending).then(|| job.due.to_string()),
            error: job.error.clone(),
            failures: job.failures,
            id: base64url(job.key.as_bytes()),
            settled: job.settled.map(|settled| settled.to_string()),
            stage: stage(job),
            state: state_name(job.state),
            ..JobRecord::default()
        };
        let names = |parent: &str| ["app", "user", "conversation"].map(|name| text(&format!("{parent}/{name}")));
        let Some(url) = text("/webhook") else {
            let [app, user, conversation] = names("");
            return JobRecord { kind: DeliveryKind::Enforcement.as_str(), app, user, conversation, ..record };
        };
        let [app, user, conversation] = names("/event/data");
        let (url, event) = (Some(outbox::origin(&url)), text("/event/id"));
        JobRecord { kind: DeliveryKind::Webhook.as_str(), url, event, app, user, conversation, ..record }
    }
}

/// Returns how far a job is.
fn stage(job: &Job) -> &'static str {
    match job.state {
        JobState::Pending if job.error.is_some() => "retrying",
        // An event may be given back because an earlier event waits.
        JobState::Pending if job.attempts > 0 && !job.key.starts_with(DeliveryKind::Webhook.key_prefix()) => "told",
        JobState::Pending => "waiting",
        JobState::DeadLetter => "dead-letter",
        JobState::Done => "done",
    }
}

fn state_name(state: JobState) -> &'static str {
    STATES.iter().find(|(known, _)| *known == state).map_or("", |(_, name)| name)
}

/// Parses the name of a state.
pub(super) fn parse_state(word: &str) -> Result<JobState, InvalidRequest> {
    let known = STATES.into_iter().find(|(_, known)| *known == word);
    known.map(|(state, _)| state).ok_or_else(|| invalid_field("state", "must be pending, dead-letter or done"))
}

/// The filter of a list. `None`: everything.
#[derive(Default)]
pub(super) struct JobFilter<'a> {
    pub(super) state: Option<JobState>,
    kind: Option<DeliveryKind>,
    app: Option<&'a str>,
    user: Option<&'a str>,
    pub(super) scope: Option<Pattern>,
    cause: Option<FailureCause>,
    /// The origin of a webhook, or its host.
    webhook: Option<&'a str>,
    /// A part of the error.
    error: Option<&'a str>,
    /// Whether the newest job comes first. Otherwise the order is that of the states and keys.
    pub(super) is_by_time: bool,
}

impl<'a> JobFilter<'a> {
    /// Reads the filter.
    pub(super) fn read(fields: RequestFields<'a>) -> Result<JobFilter<'a>, InvalidRequest> {
        let params = fields.params;
        let kind = |word: &str| DeliveryKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        let cause = |word: &str| FailureCause::ALL.into_iter().find(|cause| cause.as_str() == word);
        fields.app()?;
        Ok(JobFilter {
            state: params.state.as_deref().map(parse_state).transpose()?,
            kind: word("kind", params.kind.as_deref(), kind, "enforcement or webhook")?,
            app: params.app.as_deref(),
            user: fields.user()?,
            scope: fields.scope()?.map(|scope| scope.home_conversation().into_owned()),
            cause: word("cause", params.cause.as_deref(), cause, "unreachable, trouble, refused, gone or impossible")?,
            webhook: params.webhook.as_deref(),
            error: params.error.as_deref(),
            is_by_time: word("order", params.order.as_deref(), |word| (word == "time").then_some(()), "time")?
                .is_some(),
        })
    }

    /// Returns the beginning of the keys of all jobs that the filter selects.
    pub(super) fn key_prefix(&self) -> String {
        let encoded = |text: &str| percent_encode(text.as_bytes());
        match (self.kind, self.app, self.user) {
            (Some(DeliveryKind::Enforcement), Some(app), Some(user)) => {
                format!("enforce:{}:{}:", encoded(app), encoded(user))
            }
            (Some(DeliveryKind::Enforcement), Some(app), None) => format!("enforce:{}:", encoded(app)),
            (Some(kind), ..) => kind.key_prefix().to_owned(),
            (None, ..) => String::new(),
        }
    }

    /// Returns whether every job in the state passes.
    pub(super) fn is_open(&self) -> bool {
        let JobFilter { state: _, kind, app, user, scope, cause, webhook, error, is_by_time: _ } = self;
        kind.is_none()
            && cause.is_none()
            && scope.is_none()
            && [app, user, webhook, error].into_iter().all(Option::is_none)
    }

    /// Returns whether the filter selects this job.
    pub(super) fn selects(&self, job: &JobRecord) -> bool {
        let is = |wanted: Option<&str>, own: Option<&str>| wanted.is_none() || wanted == own;
        let is_here = |scope: &Pattern| {
            let place = job.conversation.as_deref().map_or(Ok(Pattern::Everything), Pattern::parse);
            place.is_ok_and(|place| scope.covers(&place.home_conversation()))
        };
        let is_at = |webhook: &str| {
            let url = job.url.as_deref().unwrap_or_default();
            url == webhook || url.split_once("://").is_some_and(|(_, host)| host == webhook)
        };
        is(self.kind.map(DeliveryKind::as_str), Some(job.kind))
            && is(self.app, job.app.as_deref())
            && is(self.user, job.user.as_deref())
            && is(self.cause.map(FailureCause::as_str), job.cause)
            && self.scope.as_ref().is_none_or(is_here)
            && self.webhook.is_none_or(is_at)
            && self.error.is_none_or(|part| job.error.as_deref().is_some_and(|error| error.contains(part)))
    }
}

fn word<T>(
    field: &str,
    text: Option<&str>,
    find: impl Fn(&str) -> Option<T>,
    known: &str,
) -> Result<Option<T>, InvalidRequest> {
    let Some(text) = text else { return Ok(None) };
    find(text).map(Some).ok_or_else(|| invalid_field(field, format!("must be {known}")))
}
