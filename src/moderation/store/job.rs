//! Jobs: tasks for the outbox, with their progress.

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
    /// The cause of the error.
    #[serde(default)]
    pub cause: Option<FailureCause>,
    /// Whether another worker claimed the job before and did not report a result. Its last request can still arrive at
    /// the vendor or webhook.
    pub taken_over: bool,
    /// The time at which the job was done or became a dead letter.
    #[serde(default)]
    pub settled: Option<Millis>,
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

/// Why an attempt failed. It decides what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// There was no connection, or no answer in time.
    Unreachable,
    /// The answer was an error that can pass, or this process could not do its part.
    Trouble,
    /// The credential was refused (401, 403).
    Refused,
    /// The receiver does not want the event any more (410).
    Gone,
    /// Every further attempt fails in the same way.
    Impossible,
}

impl FailureCause {
    /// All causes.
    pub const ALL: [FailureCause; 5] = [
        FailureCause::Unreachable,
        FailureCause::Trouble,
        FailureCause::Refused,
        FailureCause::Gone,
        FailureCause::Impossible,
    ];

    /// Returns the name in lists and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureCause::Unreachable => "unreachable",
            FailureCause::Trouble => "trouble",
            FailureCause::Refused => "refused",
            FailureCause::Gone => "gone",
            FailureCause::Impossible => "impossible",
        }
    }

    /// Returns whether another attempt can help.
    pub fn can_pass(self) -> bool {
        match self {
            FailureCause::Unreachable | FailureCause::Trouble | FailureCause::Refused => true,
            FailureCause::Gone | FailureCause::Impossible => false,
        }
    }

    /// Returns the name of the index of pending jobs that failed for this cause. Stores use it beside the letters of
    /// the states.
    pub(super) fn index_name(self) -> &'static str {
        match self {
            FailureCause::Unreachable => "fu",
            FailureCause::Trouble => "ft",
            FailureCause::Refused => "fr",
            FailureCause::Gone => "fg",
            FailureCause::Impossible => "fi",
        }
    }
}

/// A failure: its cause, and a sentence without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// The cause.
    pub cause: FailureCause,
    /// The sentence.
    pub message: String,
}

impl JobFailure {
    /// Creates a failure.
    pub fn new(cause: FailureCause, message: impl Into<String>) -> JobFailure {
        JobFailure { cause, message: message.into() }
    }
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
        error: Option<JobFailure>,
    },
    /// The job cannot be done.
    DeadLetter {
        /// The error.
        error: JobFailure,
    },
}

/// Returns the queue of a job with this key. Jobs of the same kind for the same app or webhook share a queue. If the last
/// part of the key begins with `*`, it names a separate queue: for example, jobs about a user in all conversations (`*`)
/// can take long.
pub fn queue_name(key: &str) -> String {
    let target = parts(key, 2);
    match key.rsplit_once(':') {
        Some((_, lane)) if lane.starts_with('*') => format!("{target}:{lane}"),
        _ => target.to_owned(),
    }
}

/// Returns the parts of a key that say what it is about: kind, app or webhook, and user. Events about the same user are
/// sent in the order of their keys.
pub fn subject(key: &str) -> &str {
    parts(key, 3)
}

fn parts(key: &str, count: usize) -> &str {
    let end = key.match_indices(':').nth(count - 1).map_or(key.len(), |(end, _)| end);
    key.get(..end).unwrap_or(key)
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
            cause: None,
            taken_over: false,
            settled: None,
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

    /// Returns the index of pending jobs that failed, if the job is one of them.
    pub(super) fn failure_index(&self) -> Option<&'static str> {
        self.cause.filter(|_| self.state == JobState::Pending).map(FailureCause::index_name)
    }

    /// Returns the job as requested anew: it is due now, and its attempts count from 0.
    #[must_use]
    pub fn retried(&self, now: Millis) -> Job {
        let (attempts, failures, state, settled) = (0, 0, JobState::Pending, None);
        Job { attempts, failures, state, settled, due: now, error: None, cause: None, ..self.clone() }
    }

    /// Returns the job as done by other means. It keeps its error.
    #[must_use]
    pub fn closed(&self, now: Millis) -> Job {
        Job { state: JobState::Done, settled: Some(now), ..self.clone() }
    }

    /// Updates the job after an attempt that ended at the time `now`.
    pub(super) fn record_attempt(&mut self, attempt: &AttemptResult, now: Millis) {
        self.attempts = self.attempts.saturating_add(1);
        let has_failed = matches!(attempt, AttemptResult::Retry { error: Some(_), .. });
        self.failures = if has_failed { self.failures.saturating_add(1) } else { 0 };
        let (state, failure) = match attempt {
            AttemptResult::Done => (JobState::Done, None),
            AttemptResult::Retry { due, error } => {
                self.due = *due;
                (JobState::Pending, error.as_ref())
            }
            AttemptResult::DeadLetter { error } => (JobState::DeadLetter, Some(error)),
        };
        (self.state, self.taken_over) = (state, false);
        (self.error, self.cause) =
            (failure.map(|failure| failure.message.clone()), failure.map(|failure| failure.cause));
        self.settled = (state != JobState::Pending).then_some(now);
    }
}
