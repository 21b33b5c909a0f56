//! The state that all tasks of the outbox share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{OwnedMutexGuard, broadcast, watch};

use super::config::OutboxConfig;
use super::targets::DeliveryTargets;
use crate::moderation::ModerationReplica;
use crate::moderation::store::Job;
use crate::telemetry::outbox::OutboxMetrics;

/// The state that all tasks of the worker share.
pub(super) struct OutboxState {
    pub(super) moderation: Arc<ModerationReplica>,
    pub(super) targets: ArcSwap<DeliveryTargets>,
    pub(super) terms: OutboxConfig,
    /// The name of this process in the store.
    pub(super) name: String,
    pub(super) counts: OutboxMetrics,
    pub(super) user_locks: UserLocks,
    pub(super) stopping: watch::Receiver<bool>,
    /// The jobs that this process attempted, in their new state.
    pub(super) attempted: broadcast::Sender<Arc<Job>>,
}

type UserGuard = Arc<tokio::sync::Mutex<()>>;

/// The locks of users with jobs in progress: jobs about the same user run one after the other.
#[derive(Debug, Default)]
pub(super) struct UserLocks(Mutex<HashMap<String, UserGuard>>);

impl UserLocks {
    /// Waits for the lock of this key. Dropping the guard releases it.
    pub(super) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
