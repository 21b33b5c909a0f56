//! Jobs as the stores keep them: each job with its lease.

use serde::{Deserialize, Serialize};

use super::job::{AttemptResult, Job, JobState, NewJob};
use crate::model::Millis;

/// A job and its lease.
#[derive(Serialize, Deserialize)]
pub(super) struct LeasedJob {
    pub(super) job: Job,
    lease: Option<JobLease>,
    /// The time at which the job ended. `None`: the job is not over, or it is kept without a limit.
    pub(super) done: Option<Millis>,
}

/// The lease of the worker that claimed a job.
#[derive(Serialize, Deserialize)]
struct JobLease {
    worker: String,
    /// The revision of the job when the worker claimed it. With `attempts`, it shows whether the job was requested
    /// again or tried since then.
    revision: u64,
    attempts: u32,
    /// The end of the lease. Before this time, no other worker can claim the job.
    until: Millis,
}

impl LeasedJob {
    /// Creates the job that a change requests. The lease on the previous job with the same key stays in force.
    pub(super) fn requested(new: NewJob, revision: u64, at: Millis, before: Option<LeasedJob>) -> LeasedJob {
        LeasedJob { job: Job::new(new, revision, at), lease: before.and_then(|before| before.lease), done: None }
    }

    /// Returns the time from which the job can be claimed. `None`: the job is not pending.
    pub(super) fn claimable_at(&self) -> Option<Millis> {
        let free = self.lease.as_ref().map_or(Millis(0), |lease| lease.until);
        (self.job.state == JobState::Pending).then(|| self.job.due.max(free))
    }

    /// Ends the lease of a worker that no longer runs. Returns whether there was a lease.
    pub(super) fn end_lease(&mut self) -> bool {
        self.lease.as_mut().map(|lease| lease.until = Millis(0)).is_some()
    }

    /// Leases the job to a worker.
    pub(super) fn lease_to(&mut self, worker: &str, until: Millis) -> Job {
        self.job.taken_over |= self.lease.is_some();
        let (revision, attempts) = (self.job.revision, self.job.attempts);
        self.lease = Some(JobLease { worker: worker.to_owned(), revision, attempts, until });
        self.job.clone()
    }

    /// Returns whether this worker was the last to claim the job, claimed it in the state of `job`, and has not
    /// returned it.
    pub(super) fn is_leased_to(&self, worker: &str, job: &Job) -> bool {
        let is = |lease: &JobLease| (lease.revision, lease.attempts) == (job.revision, job.attempts);
        self.lease.as_ref().is_some_and(|lease| lease.worker == worker && is(lease))
    }

    /// Ends the lease. Stores the result of the attempt if the job still has this revision. Returns whether it does.
    pub(super) fn complete(&mut self, revision: u64, attempt: &AttemptResult, now: Millis) -> bool {
        self.lease = None;
        if self.job.revision != revision {
            return false;
        }
        self.job.record_attempt(attempt, now);
        self.done = self.job.has_ended().then_some(now);
        true
    }

    /// Replaces the job by `after` if it is still the job `before` and no worker does it. Returns whether it is.
    pub(super) fn replace(&mut self, before: &Job, after: &Job, now: Millis) -> bool {
        let stage = |job: &Job| (job.revision, job.attempts, job.state);
        let is_free = self.lease.as_ref().is_none_or(|lease| lease.until <= now);
        if !is_free || stage(&self.job) != stage(before) {
            return false;
        }
        self.job = Job { taken_over: self.job.taken_over, ..after.clone() };
        self.done = self.job.has_ended().then_some(now);
        true
    }
}
