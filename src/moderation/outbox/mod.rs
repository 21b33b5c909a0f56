//! The outbox carries out the effects of changed moderation entries. It makes vendors end the activity of banned and
//! muted users, and sends events to webhooks.
//!
//! The work waits in the store as jobs. Any process can take a job, for the time of a lease. An enforcement job names
//! only *the user* and *the place*. The desired state is read from the moderation entries when the job runs, and again
//! afterwards. So a delayed process leaves no outdated state behind. Before the state at a vendor is changed, it is
//! recorded in the store, and can be restored later.
//!
//! A checkpoint also records that a request is about to be sent, until the request is answered. A request may never be
//! answered, because the vendor is too slow or the holder of the job has failed. Then the request may still be on its
//! way. In this case the job runs twice, the second time after a further lease, and the checkpoint is kept until then.
//!
//! A process that shares the store possibly does not know a ban yet. It can give the user another signature after the
//! vendor has ended the effects of the signatures before. So a sanction is enforced again when no process can do this
//! any more.

mod config;
mod desired_state;
mod enforce;
mod job;
mod participations;
mod reconciler;
mod state;
mod targets;
mod webhook;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::moderation::ModerationReplica;
use crate::moderation::store::Job;
use crate::random::{self, EntropyError};
use crate::telemetry::outbox::OutboxMetrics;
pub use config::OutboxConfig;
use state::{OutboxState, UserLocks};
pub use targets::DeliveryTargets;
pub use webhook::origin;

/// The number of attempts that wait for a slow subscriber. It misses older ones.
const ATTEMPTS_KEPT: usize = 256;

/// The worker of this process. Dropping it aborts its jobs.
pub struct Outbox {
    shared: Arc<OutboxState>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Outbox {
    /// Starts the worker for this moderation store.
    ///
    /// # Errors
    /// Returns an error if the operating system gives no random bytes.
    pub fn start(
        moderation: Arc<ModerationReplica>,
        targets: DeliveryTargets,
        terms: OutboxConfig,
        counts: OutboxMetrics,
    ) -> Result<Outbox, EntropyError> {
        let name = hex::encode(random::bytes::<16>()?);
        let (stop, stopping) = watch::channel(false);
        targets.create_metrics(&counts);
        let targets = ArcSwap::from_pointee(targets);
        let shared = Arc::new(OutboxState {
            moderation,
            targets,
            terms,
            name,
            counts,
            user_locks: UserLocks::default(),
            stopping,
            attempted: broadcast::Sender::new(ATTEMPTS_KEPT),
        });
        let worker = Mutex::new(Some(tokio::spawn(worker::run(Arc::clone(&shared)))));
        Ok(Outbox { shared, stop, worker })
    }

    /// Returns the present targets.
    pub fn targets(&self) -> Arc<DeliveryTargets> {
        self.shared.targets.load_full()
    }

    /// Subscribes to the jobs that this process attempts from now on, in their new state.
    pub fn subscribe_attempts(&self) -> broadcast::Receiver<Arc<Job>> {
        self.shared.attempted.subscribe()
    }

    /// Replaces the targets. Targets that stay keep their rate limits.
    pub fn configure(&self, targets: DeliveryTargets) {
        targets.create_metrics(&self.shared.counts);
        self.shared.targets.store(Arc::new(targets.with_rate_limits_of(&self.targets())));
    }

    /// Starts no new jobs from now on, ends the requests in progress, and gives the other jobs back.
    pub fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Winds up and waits until this is done. After the time `grace`, jobs are aborted. Another process takes them over
    /// when their leases end.
    pub async fn stop(&self, grace: Duration) {
        self.drain();
        let Some(mut worker) = self.worker().take() else { return };
        if timeout(grace, &mut worker).await.is_err() {
            worker.abort();
            tracing::warn!("deliveries to vendors and webhooks were aborted; they are repeated later");
        }
    }

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
