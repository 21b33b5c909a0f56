//! The worker: takes jobs when they are due, runs them, and stores their results.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::delay::delay;
use super::enforce::EnforcementJob;
use super::job::{JobError, ReconcileResult, RunningJob};
use super::targets::{DeliveryTargets, RequestPacer};
use super::webhook::{WebhookJob, origin};
use super::{OutboxConfig, OutboxState};
use crate::clock;
use crate::model::Millis;
use crate::moderation::store::{AttemptResult, Job, JobState, Store, StoreUnavailable, queue};
use crate::random;
use crate::telemetry::outbox::{AttemptOutcome, DeliveryKind, QueueDepth};

/// The maximum number of jobs that are counted, and the number of jobs in a read.
const COUNTED: usize = 10_000;
const PAGE: usize = 500;

/// The number of free places for jobs, by queue.
#[derive(Default)]
struct FreeSlots(HashMap<String, Arc<Semaphore>>);

impl FreeSlots {
    /// Returns the queues with free places and the number of these. `queues` holds the maximum for each queue.
    fn free(&mut self, queues: &[(String, usize)]) -> Vec<(String, usize)> {
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
        () = carry(&shared, store) => {}
        () = count_on(&shared, store) => {}
    }
}

async fn carry(shared: &Arc<OutboxState>, store: &Store) {
    let (mut hints, mut stopping) = (store.hints(), shared.stopping.clone());
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
    let free = slots.free(&targets.queues);
    if free.is_empty() {
        return;
    }
    let until = Instant::now() + shared.terms.working_time();
    match store.claim(&shared.name, clock::now(), shared.terms.lease, &free).await {
        Ok(jobs) => {
            for job in jobs {
                let (shared, targets) = (Arc::clone(shared), Arc::clone(&targets));
                let slot = slots.take(&queue(&job.key));
                running.spawn(async move {
                    attend(&shared, &targets, &job, until).await;
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
async fn attend(shared: &OutboxState, targets: &DeliveryTargets, job: &Job, until: Instant) {
    let Some(store) = shared.moderation.store() else { return };
    let once_more = once_more(&shared.terms, job, clock::now());
    let running = RunningJob { shared, targets, job, until, once_more };
    let (label, pace, done) = running.do_it().await;
    if done == Err(JobError::Lost) {
        return;
    }
    report(job, pace.as_deref(), &done);
    let (attempt, outcome) = verdict(shared, job, done);
    match store.settle(&shared.name, job, &attempt, clock::now()).await {
        Ok(true) => label.into_iter().for_each(|(kind, target)| shared.counts.delivered(kind, target, outcome)),
        // The job was requested again, or another process holds it.
        Ok(false) => {}
        Err(unavailable) => tracing::warn!("the result of {} could not be stored: {unavailable}", name(job)),
    }
}

/// Returns the time at which a sanction must be enforced again, if this time is still ahead.
fn once_more(terms: &OutboxConfig, job: &Job, now: Millis) -> Option<Millis> {
    let last = job.asked?.after(terms.lag?);
    (now < last).then_some(last)
}

/// The labels in metrics: the kind, and the app or the host of the webhook.
type JobLabel = (DeliveryKind, Arc<str>);

impl RunningJob<'_> {
    async fn do_it(&self) -> (Option<JobLabel>, Option<Arc<RequestPacer>>, Result<ReconcileResult, JobError>) {
        if self.job.key.starts_with("webhook:") {
            return match WebhookJob::read(&self.job.body) {
                Ok(message) => (self.host(&message), self.webhook_pace(&message), self.tell(&message).await),
                Err(halt) => (None, None, Err(halt)),
            };
        }
        match EnforcementJob::read(&self.job.body) {
            Ok(order) => {
                let target = self.targets.apps.get(order.app.as_str());
                let label = target.map(|target| (DeliveryKind::Enforcement, Arc::clone(&target.label)));
                (label, target.map(|target| Arc::clone(&target.pace)), self.enforce_in_turn(&order).await)
            }
            Err(halt) => (None, None, Err(halt)),
        }
    }

    async fn enforce_in_turn(&self, order: &EnforcementJob) -> Result<ReconcileResult, JobError> {
        let _turn = self.in_time(self.shared.turns.take(&format!("{}\n{}", order.app, order.user))).await?;
        self.enforce(order).await
    }

    fn host(&self, message: &WebhookJob) -> Option<JobLabel> {
        let target = self.targets.webhooks.get(&message.webhook)?;
        Some((DeliveryKind::Webhook, Arc::clone(&target.label)))
    }

    fn webhook_pace(&self, message: &WebhookJob) -> Option<Arc<RequestPacer>> {
        Some(Arc::clone(&self.targets.webhooks.get(&message.webhook)?.pace))
    }
}

/// Returns the name of a job in the log. It leaves out the URL of a webhook, which may hold a secret.
fn name(job: &Job) -> Cow<'_, str> {
    match WebhookJob::read(&job.body) {
        Ok(message) => Cow::Owned(format!("webhook:{}:{}", origin(&message.webhook), message.id())),
        Err(_) => Cow::Borrowed(&job.key),
    }
}

fn report(job: &Job, pace: Option<&RequestPacer>, done: &Result<ReconcileResult, JobError>) {
    match done {
        Err(JobError::Never(why)) => tracing::warn!("{} is a dead letter: {why}", name(job)),
        Ok(ReconcileResult { lacking: Some(lacking), doubtful_until: None, .. }) => {
            tracing::warn!("{} is a dead letter: {lacking}", name(job));
        }
        Err(JobError::Later(why, _)) if pace.is_none_or(RequestPacer::is_news) => {
            tracing::warn!("{} is tried again later: {why}", name(job));
        }
        _ => {}
    }
}

fn verdict(
    shared: &OutboxState,
    job: &Job,
    done: Result<ReconcileResult, JobError>,
) -> (AttemptResult, AttemptOutcome) {
    let again = |wait: Duration, error| AttemptResult::Again { due: later(wait), error };
    let backoff = |asked| delay(&shared.terms, job.failures, asked, chance());
    match done {
        Ok(ReconcileResult { doubtful_until: Some(due), again: sooner, .. }) => (
            AttemptResult::Again { due: sooner.map_or(due, |sooner| sooner.min(due)), error: None },
            AttemptOutcome::Done,
        ),
        Ok(ReconcileResult { lacking: Some(lacking), .. }) => {
            (AttemptResult::DeadLetter { error: lacking.into_owned() }, AttemptOutcome::DeadLetter)
        }
        Ok(ReconcileResult { again: Some(due), .. }) => {
            (AttemptResult::Again { due, error: None }, AttemptOutcome::Done)
        }
        Ok(_) => (AttemptResult::Done, AttemptOutcome::Done),
        Err(JobError::Never(why)) => (AttemptResult::DeadLetter { error: why }, AttemptOutcome::DeadLetter),
        Err(JobError::Later(why, asked)) => (again(backoff(asked), Some(why)), AttemptOutcome::Failed),
        Err(JobError::Unfinished | JobError::Lost) => (again(Duration::ZERO, None), AttemptOutcome::Unfinished),
    }
}

fn later(wait: Duration) -> Millis {
    Millis(clock::now().0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
}

/// Without random bytes all retries wait equally long, which does no harm.
fn chance() -> u32 {
    random::bytes().map_or(0, u32::from_ne_bytes)
}

/// Counts the waiting jobs at intervals, forever.
async fn count_on(shared: &OutboxState, store: &Store) {
    loop {
        count(shared, store).await;
        sleep(shared.terms.count).await;
    }
}

/// Counts the waiting jobs and the dead letters of the kinds that are configured here.
async fn count(shared: &OutboxState, store: &Store) {
    let targets = shared.targets.load_full();
    for kind in targets.kinds() {
        match waiting(store, &targets, kind).await {
            Ok(waiting) => shared.counts.waiting(kind, &waiting),
            Err(unavailable) => tracing::debug!("waiting jobs cannot be counted: {unavailable}"),
        }
    }
}

async fn waiting(store: &Store, targets: &DeliveryTargets, kind: DeliveryKind) -> Result<QueueDepth, StoreUnavailable> {
    let (now, mut waiting) = (clock::now(), QueueDepth::default());
    let prefix = match kind {
        DeliveryKind::Enforcement => "enforce:",
        DeliveryKind::Webhook => "webhook:",
    };
    for state in [JobState::Pending, JobState::DeadLetter] {
        let (mut after, mut seen) = (String::new(), 0);
        while seen < COUNTED {
            let jobs = store.jobs(state, prefix, &after, PAGE).await?;
            for job in &jobs {
                add(&mut waiting, job, targets.know(&queue(&job.key)), now);
            }
            seen += jobs.len();
            match jobs.last() {
                Some(last) if jobs.len() == PAGE => after.clone_from(&last.key),
                _ => break,
            }
        }
    }
    Ok(waiting)
}

fn add(waiting: &mut QueueDepth, job: &Job, is_known: bool, now: Millis) {
    match job.state {
        JobState::DeadLetter => waiting.dead_letter += 1,
        JobState::Pending if !is_known => waiting.unconfigured += 1,
        JobState::Pending if job.error.is_some() => waiting.failing += 1,
        JobState::Pending if job.due <= now => {
            waiting.due += 1;
            waiting.oldest = waiting.oldest.max(now.0 - job.due.0);
        }
        JobState::Pending | JobState::Done => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_learns_no_secret_of_an_address() {
        let job = |key: &str, body: serde_json::Value| Job {
            key: key.to_owned(),
            body: body.to_string(),
            revision: 1,
            attempts: 0,
            failures: 0,
            due: Millis(0),
            state: JobState::Pending,
            error: None,
            taken_over: false,
            asked: None,
        };
        let event = json!({ "webhook": "https://hooks.example.com/canary?canary", "event": { "id": "e-1-1" } });
        assert_eq!(name(&job("webhook:canary:e-1-1", event)), "webhook:https://hooks.example.com:e-1-1");
        let order = json!({ "app": "ably", "user": "tom", "conversation": null });
        assert_eq!(name(&job("enforce:ably:tom:*", order)), "enforce:ably:tom:*");
    }
}
