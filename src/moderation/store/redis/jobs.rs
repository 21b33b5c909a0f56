//! Jobs and checkpoints in Redis. Leases use the clock of the server, so the clocks of workers can differ.

use std::time::Duration;

use redis::cmd;

use super::script::{CLAIM, COUNT, JOBS, REPLACE, SET_NOTE, SETTLE};
use super::{RedisStore, from_json, to_json};
use crate::model::Millis;
use crate::moderation::store::{AttemptResult, ENDED_JOBS_LIMIT, FailureCause, Job, JobState, StoreUnavailable};
use crate::telemetry::outbox::QueueDepth;

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
        settled.record_attempt(attempt, now);
        let mut settle = self.keys().script(SETTLE);
        settle.arg(worker).arg(stage(job)).arg(ENDED_JOBS_LIMIT);
        append_job(&mut settle, &settled, now)?;
        self.reads.query(&settle).await
    }

    pub(in crate::moderation::store) async fn replace_jobs(
        &self,
        jobs: &[(Job, Job)],
        now: Millis,
    ) -> Result<Vec<bool>, StoreUnavailable> {
        let mut replace = self.keys().script(REPLACE);
        replace.arg(&self.keys().channel).arg(ENDED_JOBS_LIMIT);
        for (before, after) in jobs {
            replace.arg(before.state.as_letter()).arg(stage(before));
            append_job(&mut replace, after, now)?;
        }
        self.writes.query(&replace).await
    }

    pub(in crate::moderation::store) async fn find_jobs(
        &self,
        keys: &[String],
    ) -> Result<Vec<Option<Job>>, StoreUnavailable> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = cmd("HMGET");
        get.arg(&self.keys().jobs).arg(keys);
        let found: Vec<Option<String>> = self.reads.query(&get).await?;
        found.iter().map(|job| job.as_ref().map(|job| from_json(Some(job))).transpose()).collect()
    }

    pub(in crate::moderation::store) async fn count_jobs(
        &self,
        prefix: &str,
        queues: &[String],
    ) -> Result<QueueDepth, StoreUnavailable> {
        let mut count = self.keys().script(COUNT);
        let states = [JobState::DeadLetter.as_letter(), JobState::Pending.as_letter()];
        let names = states.into_iter().chain(FailureCause::ALL.map(FailureCause::index_name));
        count.arg(prefix).arg(names.collect::<Vec<_>>().join(" ")).arg(queues);
        let (counts, due, oldest, configured): (Vec<u64>, u64, u64, u64) = self.reads.query(&count).await?;
        let mut counts = counts.into_iter();
        let (dead_letter, pending) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
        let failing = FailureCause::ALL.map(FailureCause::as_str).into_iter().zip(counts).collect();
        let unconfigured = pending.saturating_sub(configured);
        Ok(QueueDepth { pending, due, failing, dead_letter, unconfigured, oldest })
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

/// Appends the arguments of a job that a script stores: its key, state, cause, stage and JSON; the delay of a pending
/// job in milliseconds, or `first`; the time at which it ended, if it ended.
fn append_job(script: &mut redis::Cmd, job: &Job, now: Millis) -> Result<(), StoreUnavailable> {
    let cause = job.failure_index().map_or("", |index| index.trim_start_matches('f'));
    script.arg(&job.key).arg(job.state.as_letter()).arg(cause).arg(stage(job)).arg(to_json(job)?);
    match job.due {
        Millis(0) => script.arg("first"),
        due => script.arg(due.0.saturating_sub(now.0).min(MAX_DURATION_MS)),
    };
    script.arg(if job.has_ended() { now.0.min(MAX_DURATION_MS).to_string() } else { String::new() });
    Ok(())
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
