//! Locks for users: jobs about the same user run one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type UserGuard = Arc<tokio::sync::Mutex<()>>;

/// The locks of users with jobs in progress.
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
