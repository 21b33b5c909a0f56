//! Whether a change would be stored: found out by a probe at intervals, and by the changes themselves.
//!
//! Signing does not depend on it. While a store takes no changes, nobody can be banned, but who is banned is known.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{ModerationReplica, PATIENCE};
use crate::random;
use crate::store::{FailureReason, Store, StoreUnavailable};

/// How often a write is tried, at most: the load of one process on its store.
const SELDOM: Duration = Duration::from_secs(15);

/// How often while writes fail.
const WHILE_FAILING: Duration = Duration::from_secs(5);

/// What was found out last, by a probe or by a change.
#[derive(Default)]
pub(super) struct WriteHealth {
    /// Why a change would not be stored, if so. Nothing before the first probe.
    last: ArcSwapOption<Result<(), StoreUnavailable>>,
    /// Held by who probes.
    probing: Mutex<()>,
}

impl ModerationReplica {
    /// Finds out at intervals whether a change would be stored, for ever.
    pub async fn probe_writes(&self) {
        let Some(store) = &self.store else { return };
        self.been_read().await;
        loop {
            // While the store can't be followed, that is what is reported.
            if self.is_followed() {
                _ = self.probe(store).await;
            }
            let most = if self.write_failure().is_some() { WHILE_FAILING } else { SELDOM };
            sleep(random::jittered(most.min(self.max_staleness))).await;
        }
    }

    /// Why a change would not be stored, if so.
    pub fn write_failure(&self) -> Option<StoreUnavailable> {
        self.write_health.last.load().as_deref().and_then(|last| last.clone().err())
    }

    /// Whether a change can be made, as far as is known. `None`: nothing has been tried yet.
    pub fn is_writable(&self) -> Option<bool> {
        if !self.is_followed() {
            return Some(false);
        }
        self.write_health.last.load().as_deref().map(Result::is_ok)
    }

    /// Whether the store can be read, and counts.
    fn is_followed(&self) -> bool {
        self.check().is_ok() && self.trouble().is_none()
    }

    /// Has a change wait for a probe if the last write has failed, and not be tried if that fails, too. A failed write can do harm: redb
    /// needs a restart after it.
    pub(super) async fn check_writes(&self, store: &Store) -> Result<(), StoreUnavailable> {
        match self.write_failure() {
            None => Ok(()),
            Some(_) => self.probe(store).await,
        }
    }

    async fn probe(&self, store: &Store) -> Result<(), StoreUnavailable> {
        let _alone = self.write_health.probing.lock().await;
        let slow = || {
            let message = format!("a write was not answered within {} s", PATIENCE.as_secs());
            Err(StoreUnavailable::new(FailureReason::Unreachable, message))
        };
        let probe = async {
            store.probe().await?;
            self.probe_record().await
        };
        let probed = timeout(PATIENCE, probe).await.unwrap_or_else(|_| slow());
        self.note_write(probed.clone());
        probed
    }

    /// Notes how a write fared. The log says when they begin to fail, and when that is over.
    pub(super) fn note_write(&self, written: Result<(), StoreUnavailable>) {
        let failure = written.as_ref().err().map(|unavailable| unavailable.message.clone());
        let before = self.write_health.last.swap(Some(Arc::new(written)));
        let did_fail = before.is_some_and(|before| before.is_err());
        match failure {
            Some(failure) if !did_fail => {
                tracing::error!("changes can't be stored, so nobody can be banned; signing goes on: {failure}");
            }
            None if did_fail => tracing::info!("changes can be stored again"),
            Some(_) | None => {}
        }
    }
}
