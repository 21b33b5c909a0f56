//! Does what is to be done because of changes in the moderation entries: has vendors end what banned and muted users still do there, and tells
//! webhooks.
//!
//! What is to be done waits in the store as jobs. Any process may take one, for the time of a lease. Of enforcement a job says only *who*
//! and *where*: what should be true there is read from the moderation entries when it is done, and again after that, so that whoever was held up does
//! not leave behind what was true before. What vendors had before is noted in the store before it is changed, so that it can be put back.
//!
//! That something is about to be sent is noted as well, until it was answered. Where it never was, because nobody answered in time or the
//! job's holder was not heard of again, it may still be on its way: the job is then done twice, the second time after a further lease,
//! and until then what was noted is kept.
//!
//! A process that shares the store may not have heard of a ban yet, and give the user another signature after the vendor has ended what
//! the ones before it were good for. So what is imposed is imposed once more when no process can do that any more.

mod checkpoint;
mod delay;
mod desired_state;
mod enforce;
mod job;
mod observe;
mod participations;
mod targets;
mod user_lock;
mod webhook;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::moderation::ModerationReplica;
use crate::random::{self, NoEntropy};
use crate::telemetry::outbox::OutboxMetrics;
pub use targets::DeliveryTargets;
use user_lock::UserLocks;
pub use webhook::origin;

/// How patient it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// How long a job belongs to who took it. Much longer than any request.
    pub lease: Duration,
    /// How long a vendor may take to answer.
    pub patience: Duration,
    /// How long a webhook may take to answer.
    pub webhook_patience: Duration,
    /// How soon something is tried again at first, and how late in the end.
    pub backoff: (Duration, Duration),
    /// How often it looks for what is due where nothing hints at it.
    pub poll: Duration,
    /// How often it counts what waits.
    pub count: Duration,
    /// How many jobs are done at once for one app, and for one webhook.
    pub at_once: usize,
    /// For how long after a change another process may give out signatures that are made without knowing of it. `None`: there is no other.
    pub lag: Option<Duration>,
}

impl Default for OutboxConfig {
    fn default() -> OutboxConfig {
        OutboxConfig {
            lease: Duration::from_secs(30),
            patience: Duration::from_secs(5),
            webhook_patience: Duration::from_secs(10),
            backoff: (Duration::from_secs(1), Duration::from_secs(600)),
            poll: Duration::from_secs(1),
            count: Duration::from_secs(15),
            at_once: 16,
            lag: None,
        }
    }
}

/// By how much the clocks of processes, of the store and of vendors may differ.
const SKEW: Duration = Duration::from_secs(10);

impl OutboxConfig {
    /// Those for this moderation.
    pub fn of(moderation: &ModerationReplica) -> OutboxConfig {
        OutboxConfig { lag: moderation.lag().map(|lag| lag.saturating_add(SKEW)), ..OutboxConfig::default() }
    }
}

/// The worker of this process. Dropping it cuts off what it does.
pub struct Outbox {
    shared: Arc<OutboxState>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// What all of its tasks share.
struct OutboxState {
    moderation: Arc<ModerationReplica>,
    targets: ArcSwap<DeliveryTargets>,
    terms: OutboxConfig,
    /// By which the store knows this process.
    name: String,
    counts: OutboxMetrics,
    turns: UserLocks,
    stopping: watch::Receiver<bool>,
}

impl Outbox {
    /// Begins to do what is to be done with this moderation store.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn start(
        moderation: Arc<ModerationReplica>,
        targets: DeliveryTargets,
        terms: OutboxConfig,
        counts: OutboxMetrics,
    ) -> Result<Outbox, NoEntropy> {
        let name = hex::encode(random::bytes::<16>()?);
        let (stop, stopping) = watch::channel(false);
        targets.expect(&counts);
        let targets = ArcSwap::from_pointee(targets);
        let shared =
            Arc::new(OutboxState { moderation, targets, terms, name, counts, turns: UserLocks::default(), stopping });
        let worker = Mutex::new(Some(tokio::spawn(worker::run(Arc::clone(&shared)))));
        Ok(Outbox { shared, stop, worker })
    }

    /// Who is told what, as of now.
    pub fn targets(&self) -> Arc<DeliveryTargets> {
        self.shared.targets.load_full()
    }

    /// Puts others in their place. Those that stay go on at their pace.
    pub fn configure(&self, targets: DeliveryTargets) {
        targets.expect(&self.shared.counts);
        self.shared.targets.store(Arc::new(targets.paced_as(&self.targets())));
    }

    /// Begins nothing new from now on, ends the requests in progress and gives back what is left.
    pub fn wind_up(&self) {
        self.stop.send_replace(true);
    }

    /// Winds up and returns when that is done. What takes longer than this is cut off, and is taken over by another process when its
    /// lease is over.
    pub async fn stop(&self, grace: Duration) {
        self.wind_up();
        let Some(mut worker) = self.worker().take() else { return };
        if timeout(grace, &mut worker).await.is_err() {
            worker.abort();
            tracing::warn!("what was being carried to vendors and webhooks was cut off; it is done again later");
        }
    }
}

impl Outbox {
    fn worker(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(worker) = self.worker().take() {
            worker.abort();
        }
    }
}
