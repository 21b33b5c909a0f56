//! Jobs: what is to do, and its progress.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// The number of done jobs that are kept, and of webhook messages that are kept as dead letters. All other dead letters
/// are kept: there is at most one for each user and conversation.
pub const ENDED_JOBS_LIMIT: usize = 1_000;

/// A job that some process does at least once. It replaces a waiting job with the same key and starts from the
/// beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// The key. It starts with the kind of job (`enforce:` or `webhook:`) and the app or webhook, which determine its
    /// [queue](queue_name).
    pub key: String,
    /// The data that the worker needs, as JSON.
    pub body: String,
}

/// A job and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The key.
    pub key: String,
    /// The data that the worker needs, as JSON.
    pub body: String,
    /// The number of the change that requested the job. If a later change requests it, it is a new job.
    pub revision: u64,
    /// The number of attempts since the job was requested.
    pub attempts: u32,
    /// The number of failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// The earliest time of the next attempt.
    pub due: Millis,
    /// The state.
    pub state: JobState,
    /// The error of the last attempt, if it failed.
    pub error: Option<String>,
    /// Whether another worker claimed the job before and did not report a result. Its last request can still arrive at
    /// the vendor or webhook.
    pub taken_over: bool,
    /// The time at which the job was requested, by the store's clock if it has one. `None`: an earlier version wrote
    /// the job.
    pub asked: Option<Millis>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// The job waits, or a worker does it.
    Pending,
    /// The job is done.
    Done,
    /// The job cannot be done. An operator should look at it.
    DeadLetter,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The job is done.
    Done,
    /// The job must be tried again.
    Retry {
        /// The earliest time of the next attempt.
        due: Millis,
        /// The error. `None`: there was no error.
        error: Option<String>,
    },
    /// The job cannot be done.
    DeadLetter {
        /// The error.
        error: String,
    },
}

/// Returns the queue of a job with this key. Jobs of the same kind for the same app or webhook share a queue. Jobs
/// about a user in all conversations (`*`) can take long, so they have a separate queue.
pub fn queue_name(key: &str) -> String {
    let end = key.match_indices(':').nth(1).map_or(key.len(), |(end, _)| end);
    let whom = key.get(..end).unwrap_or(key);
    if key.ends_with(":*") { format!("{whom}:*") } else { whom.to_owned() }
}

/// Returns the lower bound of the keys that begin with `prefix` and come after `after`.
pub(super) fn lower_bound<'a>(prefix: &'a str, after: &'a str) -> Bound<&'a str> {
    if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) }
}

impl JobState {
    /// Returns the letter that the stores use for this state.
    pub(super) fn as_letter(self) -> &'static str {
        match self {
            JobState::Pending => "p",
            JobState::Done => "d",
            JobState::DeadLetter => "s",
        }
    }
}

impl Job {
    pub(super) fn new(new: NewJob, revision: u64, at: Millis) -> Job {
        Job {
            key: new.key,
            body: new.body,
            revision,
            attempts: 0,
            failures: 0,
            due: at,
            state: JobState::Pending,
            error: None,
            taken_over: false,
            asked: Some(at),
        }
    }

    /// Returns whether the job will not be tried again and only the last jobs of its state are kept.
    pub(super) fn has_ended(&self) -> bool {
        match self.state {
            JobState::Pending => false,
            JobState::Done => true,
            JobState::DeadLetter => self.key.starts_with("webhook:"),
        }
    }

    /// Updates the job after an attempt.
    pub(super) fn record_attempt(&mut self, attempt: &AttemptResult) {
        self.attempts = self.attempts.saturating_add(1);
        let has_failed = matches!(attempt, AttemptResult::Retry { error: Some(_), .. });
        self.failures = if has_failed { self.failures.saturating_add(1) } else { 0 };
        (self.state, self.error) = match attempt {
            AttemptResult::Done => (JobState::Done, None),
            AttemptResult::Retry { due, error } => {
                self.due = *due;
                (JobState::Pending, error.clone())
            }
            AttemptResult::DeadLetter { error } => (JobState::DeadLetter, Some(error.clone())),
        };
        self.taken_over = false;
    }
}
