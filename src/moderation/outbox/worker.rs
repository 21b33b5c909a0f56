//! The worker: takes jobs when they are due, runs them, and stores their results.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::config::{OutboxConfig, retry_delay};
use super::enforce::EnforcementJob;
use super::job::{JobError, ReconcileResult, RunningJob};
use super::state::OutboxState;
use super::targets::{DeliveryTargets, RequestPacer};
use super::webhook::{WebhookJob, origin};
use crate::clock;
use crate::model::Millis;
use crate::moderation::store::{AttemptResult, FailureCause, Job, JobFailure, JobState, Store, queue_name, subject};
use crate::random;
use crate::telemetry::outbox::{AttemptOutcome, DeliveryKind};

/// The number of free places for jobs, by queue.
#[derive(Default)]
struct FreeSlots(HashMap<String, Arc<Semaphore>>);

impl FreeSlots {
    /// Returns the queues with free places and the number of these. `queues` holds the maximum for each queue.
    fn queues_with_free_slots(&mut self, queues: &[(String, usize)]) -> Vec<(String, usize)> {
        let free = queues.iter().map(|(queue, most)| {
            let slots = self.0.entry(queue.clone()).or_insert_with(|| Arc::new(Semaphore::new(*most)));
            (queue.clone(), slots.available_permits())
        });
        free.filter(|(_, free)| *free > 0).collect()
    }

    fn take(&self, queue: &str) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.0.get(queue)?).try_acquire_owned().ok()
    }
}

/// Takes jobs until the process stops, then waits for the jobs in progress.
pub(super) async fn run(shared: Arc<OutboxState>) {
    let Some(store) = shared.moderation.store() else { return };
    tokio::select! {
        () = run_jobs(&shared, store) => {}
        () = count_at_intervals(&shared, store) => {}
    }
}

async fn run_jobs(shared: &Arc<OutboxState>, store: &Store) {
    let (mut hints, mut stopping) = (store.subscribe_hints(), shared.stopping.clone());
    let (mut running, mut slots) = (JoinSet::new(), FreeSlots::default());
    while !*stopping.borrow() {
        take(shared, store, &mut running, &mut slots).await;
        tokio::select! {
            _ = stopping.changed() => {}
            hint = hints.changed() => if hint.is_err() { sleep(shared.terms.poll).await },
            Some(_) = running.join_next() => {}
            () = sleep(shared.terms.poll) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Takes jobs for targets that this process knows, as many as there are free places. Other jobs wait for a process that
/// knows their targets.
async fn take(shared: &Arc<OutboxState>, store: &Store, running: &mut JoinSet<()>, slots: &mut FreeSlots) {
    while running.try_join_next().is_some() {}
    let targets = shared.targets.load_full();
    let free = slots.queues_with_free_slots(&targets.queues);
    if free.is_empty() {
        return;
    }
    let until = Instant::now() + shared.terms.working_time();
    match store.claim(&shared.name, clock::now(), shared.terms.lease, &free).await {
        Ok(jobs) => {
            for job in jobs {
                let (shared, targets) = (Arc::clone(shared), Arc::clone(&targets));
                let slot = slots.take(&queue_name(&job.key));
                running.spawn(async move {
                    run_job(&shared, &targets, &job, until).await;
                    drop(slot);
                });
            }
        }
        Err(unavailable) => tracing::debug!("no jobs can be taken for vendors and webhooks: {unavailable}"),
    }
}

impl OutboxConfig {
    /// Returns how long after it was taken a job may send requests. Their answers arrive within the lease.
    fn working_time(&self) -> Duration {
        self.lease.saturating_sub(self.patience.max(self.webhook_patience))
    }
}

/// Runs a job and stores its result.
async fn run_job(shared: &OutboxState, targets: &DeliveryTargets, job: &Job, until: Instant) {
    let Some(store) = shared.moderation.store() else { return };
    let once_more = repeat_at(&shared.terms, job, clock::now());
    let running = RunningJob { shared, targets, job, send_deadline: until, repeat_at: once_more };
    // Jobs about the same user run one after the other, until their results are stored.
    let turn = running.with_deadline(shared.user_locks.lock(subject(&job.key))).await;
    let (label, pace, done) = match &turn {
        Ok(_) => running.execute().await,
        Err(error) => (None, None, Err(error.clone())),
    };
    if done == Err(JobError::Lost) {
        return;
    }
    log_result(job, pace.as_deref(), &done);
    let (attempt, outcome) = attempt_result(shared, job, done);
    match store.complete(&shared.name, job, &attempt, clock::now()).await {
        Ok(true) => {
            if let Some((kind, target)) = label {
                shared.counts.count_attempt(kind, target, outcome);
            }
            // An error means that there is no subscriber.
            _ = shared.attempted.send(Arc::new(after_attempt(job, &attempt)));
        }
        // The job was requested again, or another process holds it.
        Ok(false) => {}
        Err(unavailable) => tracing::warn!("the result of {} could not be stored: {unavailable}", log_name(job)),
    }
}

/// Returns the time at which a sanction must be enforced again, if this time is still ahead.
fn repeat_at(terms: &OutboxConfig, job: &Job, now: Millis) -> Option<Millis> {
    let last = job.asked?.after(terms.lag?);
    (now < last).then_some(last)
}

/// The labels in metrics: the kind, and the app or the host of the webhook.
type JobLabel = (DeliveryKind, Arc<str>);

impl RunningJob<'_> {
    async fn execute(&self) -> (Option<JobLabel>, Option<Arc<RequestPacer>>, Result<ReconcileResult, JobError>) {
        if self.job.key.starts_with("webhook:") {
            return match WebhookJob::parse(&self.job.body) {
                Ok(message) => {
                    (self.webhook_label(&message), self.webhook_pace(&message), self.send_event(&message).await)
                }
                Err(halt) => (None, None, Err(halt)),
            };
        }
        match EnforcementJob::parse(&self.job.body) {
            Ok(order) => {
                let target = self.targets.apps.get(order.app.as_str());
                let label = target.map(|target| (DeliveryKind::Enforcement, Arc::clone(&target.label)));
                (label, target.map(|target| Arc::clone(&target.rate_limiter)), self.enforce(&order).await)
            }
            Err(halt) => (None, None, Err(halt)),
        }
    }

    fn webhook_label(&self, message: &WebhookJob) -> Option<JobLabel> {
        let target = self.targets.webhooks.get(&message.webhook)?;
        Some((DeliveryKind::Webhook, Arc::clone(&target.label)))
    }

    fn webhook_pace(&self, message: &WebhookJob) -> Option<Arc<RequestPacer>> {
        Some(Arc::clone(&self.targets.webhooks.get(&message.webhook)?.rate_limiter))
    }
}

/// Returns the name of a job in the log. It leaves out the URL of a webhook, which may hold a secret.
fn log_name(job: &Job) -> Cow<'_, str> {
    match WebhookJob::parse(&job.body) {
        Ok(message) => Cow::Owned(format!("webhook:{}:{}", origin(&message.webhook), message.id())),
        Err(_) => Cow::Borrowed(&job.key),
    }
}

fn log_result(job: &Job, pace: Option<&RequestPacer>, done: &Result<ReconcileResult, JobError>) {
    match done {
        Err(JobError::Never(why)) => tracing::warn!("{} is a dead letter: {}", log_name(job), why.message),
        Ok(ReconcileResult { unsupported: Some(lacking), .. }) => {
            tracing::warn!("{} is a dead letter: {lacking}", log_name(job));
        }
        Err(JobError::Later(why, _)) if pace.is_none_or(RequestPacer::should_log) => {
            tracing::warn!("{} is tried again later: {}", log_name(job), why.message);
        }
        _ => {}
    }
}

fn attempt_result(
    shared: &OutboxState,
    job: &Job,
    done: Result<ReconcileResult, JobError>,
) -> (AttemptResult, AttemptOutcome) {
    let again = |wait: Duration, error| AttemptResult::Retry { due: due_after(wait), error };
    let backoff = |asked| retry_delay(&shared.terms, job.failures, asked, random_u32());
    match done {
        Ok(ReconcileResult { unsupported: Some(lacking), .. }) => {
            let error = JobFailure::new(FailureCause::Impossible, lacking);
            (AttemptResult::DeadLetter { error }, AttemptOutcome::DeadLetter)
        }
        Ok(ReconcileResult { requeue_at: Some(due), .. }) => {
            (AttemptResult::Retry { due, error: None }, AttemptOutcome::Done)
        }
        Ok(_) => (AttemptResult::Done, AttemptOutcome::Done),
        Err(JobError::Never(why)) => (AttemptResult::DeadLetter { error: why }, AttemptOutcome::DeadLetter),
        Err(JobError::Later(why, asked)) => (again(backoff(asked), Some(why)), AttemptOutcome::Failed),
        Err(JobError::Waiting(due)) => (AttemptResult::Retry { due, error: None }, AttemptOutcome::Unfinished),
        Err(JobError::Unfinished | JobError::Lost) => (again(Duration::ZERO, None), AttemptOutcome::Unfinished),
    }
}

/// Returns the job in the state after an attempt.
fn after_attempt(job: &Job, attempt: &AttemptResult) -> Job {
    let (state, failure) = match attempt {
        AttemptResult::Done => (JobState::Done, None),
        AttemptResult::Retry { error, .. } => (JobState::Pending, error.as_ref()),
        AttemptResult::DeadLetter { error } => (JobState::DeadLetter, Some(error)),
    };
    let error = failure.map(|failure| failure.message.clone());
    Job { state, error, attempts: job.attempts.saturating_add(1), ..job.clone() }
}

fn due_after(wait: Duration) -> Millis {
    Millis(clock::now().0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

/// Without random bytes all retries wait equally long, which does no harm.
fn random_u32() -> u32 {
    random::bytes().map_or(0, u32::from_ne_bytes)
}

/// Counts the waiting jobs at intervals, forever.
async fn count_at_intervals(shared: &OutboxState, store: &Store) {
    loop {
        count_jobs(shared, store).await;
        sleep(shared.terms.count).await;
    }
}

/// Counts the waiting jobs and the dead letters of the kinds that are configured here.
async fn count_jobs(shared: &OutboxState, store: &Store) {
    let targets = shared.targets.load_full();
    for kind in targets.kinds() {
        let queues = targets.queues.iter().map(|(queue, _)| queue.clone());
        let queues = queues.filter(|queue| queue.starts_with(kind.key_prefix())).collect();
        match store.count_jobs(kind.key_prefix(), queues, clock::now()).await {
            Ok(waiting) => shared.counts.set_queue_depth(kind, &waiting),
            Err(unavailable) => tracing::debug!("waiting jobs cannot be counted: {unavailable}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn log_name_hides_webhook_secrets() {
        let job = |key: &str, body: serde_json::Value| Job {
            key: key.to_owned(),
            body: body.to_string(),
            revision: 1,
            attempts: 0,
            failures: 0,
            due: Millis(0),
            state: JobState::Pending,
            error: None,
            cause: None,
            taken_over: false,
            settled: None,
            asked: None,
        };
        let event = json!({ "webhook": "https://hooks.example.com/canary?canary", "event": { "id": "e-1-1" } });
        assert_eq!(log_name(&job("webhook:canary:e-1-1", event)), "webhook:https://hooks.example.com:e-1-1");
        let order = json!({ "app": "ably", "user": "tom", "conversation": null });
        assert_eq!(log_name(&job("enforce:ably:tom:*", order)), "enforce:ably:tom:*");
    }
}
