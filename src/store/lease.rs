//! Jobs as they are kept: with who is at them.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{AttemptResult, Job, JobState, NewJob};
use crate::model::Millis;

/// Where a job of this key waits: with all of its kind that are for the same app or webhook. Those about a user everywhere (`*`), which can
/// take long, wait on their own.
pub fn queue(key: &str) -> String {
    let end = key.match_indices(':').nth(1).map_or(key.len(), |(end, _)| end);
    let whom = key.get(..end).unwrap_or(key);
    if key.ends_with(":*") { format!("{whom}:*") } else { whom.to_owned() }
}

/// Where jobs begin whose key begins with `prefix` and is after `after`.
pub(super) fn first<'a>(prefix: &'a str, after: &'a str) -> Bound<&'a str> {
    if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) }
}

/// A job, with who is at it.
#[derive(Serialize, Deserialize)]
pub(super) struct LeasedJob {
    pub(super) job: Job,
    lease: Option<JobLease>,
    /// When it was over, if it is kept only as one of the last.
    pub(super) done: Option<Millis>,
}

/// Who claimed a job.
#[derive(Serialize, Deserialize)]
struct JobLease {
    worker: String,
    /// What was claimed, as it was then: by now the job may have been asked for again, or tried.
    revision: u64,
    attempts: u32,
    /// Until when nobody else may claim it.
    until: Millis,
}

impl LeasedJob {
    /// A job that a change asks for. Whoever is at the one before it still has it.
    pub(super) fn asked(new: NewJob, revision: u64, at: Millis, before: Option<LeasedJob>) -> LeasedJob {
        LeasedJob { job: Job::new(new, revision, at), lease: before.and_then(|before| before.lease), done: None }
    }

    /// When it may be claimed, if ever.
    pub(super) fn ready(&self) -> Option<Millis> {
        let free = self.lease.as_ref().map_or(Millis(0), |lease| lease.until);
        (self.job.state == JobState::Pending).then(|| self.job.due.max(free))
    }

    /// Ends the lease of a worker that is gone, if there is one. Returns whether there was.
    pub(super) fn abandon(&mut self) -> bool {
        self.lease.as_mut().map(|lease| lease.until = Millis(0)).is_some()
    }

    /// Gives it to a worker.
    pub(super) fn lend(&mut self, worker: &str, until: Millis) -> Job {
        self.job.taken_over |= self.lease.is_some();
        let (revision, attempts) = (self.job.revision, self.job.attempts);
        self.lease = Some(JobLease { worker: worker.to_owned(), revision, attempts, until });
        self.job.clone()
    }

    /// Whether this worker was the last to claim it, has it from that as `job`, and hasn't given it back.
    pub(super) fn is_with(&self, worker: &str, job: &Job) -> bool {
        let is = |lease: &JobLease| (lease.revision, lease.attempts) == (job.revision, job.attempts);
        self.lease.as_ref().is_some_and(|lease| lease.worker == worker && is(lease))
    }

    /// Takes it back from who had it, and notes what came of it if it still is the same. Returns whether it is.
    pub(super) fn settle(&mut self, revision: u64, attempt: &AttemptResult, now: Millis) -> bool {
        self.lease = None;
        if self.job.revision != revision {
            return false;
        }
        self.job.settle(attempt);
        self.done = self.job.is_over().then_some(now);
        true
    }
}

impl JobState {
    /// How stores spell it.
    pub(super) fn letter(self) -> &'static str {
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

    /// Whether nothing more comes of it, so that it is kept only as one of the last in its state.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            JobState::Pending => false,
            JobState::Done => true,
            JobState::DeadLetter => self.key.starts_with("webhook:"),
        }
    }

    /// How it stands after an attempt.
    pub(super) fn settle(&mut self, attempt: &AttemptResult) {
        self.attempts = self.attempts.saturating_add(1);
        let has_failed = matches!(attempt, AttemptResult::Again { error: Some(_), .. });
        self.failures = if has_failed { self.failures.saturating_add(1) } else { 0 };
        (self.state, self.error) = match attempt {
            AttemptResult::Done => (JobState::Done, None),
            AttemptResult::Again { due, error } => {
                self.due = *due;
                (JobState::Pending, error.clone())
            }
            AttemptResult::DeadLetter { error } => (JobState::DeadLetter, Some(error.clone())),
        };
        self.taken_over = false;
    }
}
