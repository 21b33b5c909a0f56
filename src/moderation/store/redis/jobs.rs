//! Jobs and checkpoints in Redis. Leases use the clock of the server, so the clocks of workers can differ.

use std::time::Duration;

use redis::cmd;

use super::script::{CLAIM, JOBS, SET_NOTE, SETTLE};
use super::{RedisStore, from_json, to_json};
use crate::model::Millis;
use crate::moderation::store::{AttemptResult, ENDED_JOBS_LIMIT, Job, JobState, StoreUnavailable};

/// The maximum duration, in milliseconds. Redis counts exactly up to 2^53.
const MAX_DURATION_MS: u64 = 1 << 50;

impl RedisStore {
    pub(in crate::moderation::store) async fn claim(
        &self,
        worker: &str,
        lease: Duration,
        queues: &[(String, usize)],
    ) -> Result<Vec<Job>, StoreUnavailable> {
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let lease = u64::try_from(lease.as_millis()).unwrap_or(MAX_DURATION_MS).min(MAX_DURATION_MS);
        let mut claim = self.keys().script(CLAIM);
        claim.arg(worker).arg(lease);
        for (queue, most) in queues {
            claim.arg(queue).arg(clamp_limit(*most));
        }
        parse_jobs(self.reads.query(&claim).await?)
    }

    pub(in crate::moderation::store) async fn settle(
        &self,
        worker: &str,
        job: &Job,
        attempt: &AttemptResult,
        now: Millis,
    ) -> Result<bool, StoreUnavailable> {
        let mut settled = job.clone();
        settled.record_attempt(attempt);
        let wait = settled.due.0.saturating_sub(now.0).min(MAX_DURATION_MS);
        let mut settle = self.keys().script(SETTLE);
        settle.arg(worker).arg(&job.key).arg(stage(job)).arg(settled.state.as_letter()).arg(stage(&settled));
        settle.arg(to_json(&settled)?);
        let over = if settled.has_ended() { now.0.min(MAX_DURATION_MS).to_string() } else { String::new() };
        settle.arg(wait).arg(over).arg(ENDED_JOBS_LIMIT);
        self.reads.query(&settle).await
    }

    pub(in crate::moderation::store) async fn jobs(
        &self,
        state: JobState,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<Job>, StoreUnavailable> {
        let mut jobs = self.keys().script(JOBS);
        let (bracket, key) = if after < prefix { ("[", prefix) } else { ("(", after) };
        let [first, prefix] =
            [format!("{bracket}{}{key}", state.as_letter()), format!("{}{prefix}", state.as_letter())];
        jobs.arg(first).arg(prefix).arg(clamp_limit(most));
        parse_jobs(self.reads.query(&jobs).await?)
    }

    pub(in crate::moderation::store) async fn note(&self, key: &str) -> Result<Option<String>, StoreUnavailable> {
        let mut get = cmd("HGET");
        get.arg(&self.keys().notes).arg(key);
        self.reads.query(&get).await
    }

    pub(in crate::moderation::store) async fn set_note(
        &self,
        worker: &str,
        job: &Job,
        key: &str,
        value: Option<String>,
    ) -> Result<bool, StoreUnavailable> {
        let mut set = self.keys().script(SET_NOTE);
        set.arg(worker).arg(&job.key).arg(stage(job)).arg(key).arg(value);
        self.writes.query(&set).await
    }
}

/// Parses jobs. Each job comes as JSON with a flag: whether another worker had a lease on it.
fn parse_jobs(jobs: Vec<(Option<String>, bool)>) -> Result<Vec<Job>, StoreUnavailable> {
    let jobs = jobs.into_iter().filter_map(|(job, taken_over)| Some((job?, taken_over)));
    jobs.map(|(job, taken_over)| Ok(Job { taken_over, ..from_json(Some(&job))? })).collect()
}

/// Returns the stage of a job: it changes when the job is requested again or tried.
fn stage(job: &Job) -> String {
    format!("{}.{}", job.revision, job.attempts)
}

fn clamp_limit(most: usize) -> usize {
    most.min(1 << 30)
}
