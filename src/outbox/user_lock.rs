//! One at a time: jobs about the same user wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

type UserGuard = Arc<tokio::sync::Mutex<()>>;

/// Who is being dealt with.
#[derive(Debug, Default)]
pub(super) struct UserLocks(Mutex<HashMap<String, UserGuard>>);

impl UserLocks {
    /// Waits until nobody else has this turn, and has it until the guard is dropped.
    pub(super) async fn take(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}
