//! Whether the store would accept a change, according to probes at intervals and to the changes themselves.
//!
//! Signing does not depend on this. While a store accepts no changes, nobody can be banned, but existing bans still
//! apply.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{CHANGE_TIMEOUT, ModerationReplica};
use crate::moderation::store::{FailureReason, Store, StoreUnavailable};
use crate::random;

/// The interval between two probes, which limits the load of a process on its store. A smaller maximum staleness
/// shortens it.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// The interval while writes fail.
const FAILING_PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The result of the last probe or change.
#[derive(Default)]
pub(super) struct WriteHealth {
    /// Why a change would not be stored, if so. Empty before the first probe.
    last: ArcSwapOption<Result<(), StoreUnavailable>>,
    /// Locked during a probe.
    probing: Mutex<()>,
}

impl ModerationReplica {
    /// Probes at intervals whether a change would be stored, forever.
    pub async fn probe_writes(&self) {
        let Some(store) = &self.store else { return };
        self.wait_until_loaded().await;
        loop {
            // While the store cannot be followed, this error is reported instead.
            if self.is_readable_and_trusted() {
                _ = self.probe(store).await;
            }
            let most = if self.write_failure().is_some() { FAILING_PROBE_INTERVAL } else { PROBE_INTERVAL };
            sleep(random::with_jitter(most.min(self.max_staleness))).await;
        }
    }

    /// Returns why a change would not be stored, if so.
    pub fn write_failure(&self) -> Option<StoreUnavailable> {
        self.write_health.last.load().as_deref().and_then(|last| last.clone().err())
    }

    /// Returns whether a change can be made, as far as known. `None`: nothing has been tried yet.
    pub fn is_writable(&self) -> Option<bool> {
        if !self.is_readable_and_trusted() {
            return Some(false);
        }
        self.write_health.last.load().as_deref().map(Result::is_ok)
    }

    /// Returns whether the store can be read and is trusted.
    fn is_readable_and_trusted(&self) -> bool {
        self.check_fresh().is_ok() && self.last_error().is_none()
    }

    /// If the last write failed, probes the store before a change. If the probe fails too, the change is not tried. A
    /// failed write can do harm: redb needs a restart after it.
    pub(super) async fn check_writes(&self, store: &Store) -> Result<(), StoreUnavailable> {
        match self.write_failure() {
            None => Ok(()),
            Some(_) => self.probe(store).await,
        }
    }

    async fn probe(&self, store: &Store) -> Result<(), StoreUnavailable> {
        let _alone = self.write_health.probing.lock().await;
        let slow = || {
            let message = format!("a write was not answered within {} s", CHANGE_TIMEOUT.as_secs());
            Err(StoreUnavailable::new(FailureReason::Unreachable, message))
        };
        let probe = async {
            store.probe().await?;
            self.probe_record().await
        };
        let probed = timeout(CHANGE_TIMEOUT, probe).await.unwrap_or_else(|_| slow());
        self.record_write_result(probed.clone());
        probed
    }

    /// Stores the result of a write. Logs when writes begin to fail, and when they succeed again.
    pub(super) fn record_write_result(&self, written: Result<(), StoreUnavailable>) {
        let failure = written.as_ref().err().map(|unavailable| unavailable.message.clone());
        let before = self.write_health.last.swap(Some(Arc::new(written)));
        let did_fail = before.is_some_and(|before| before.is_err());
        match failure {
            Some(failure) if !did_fail => {
                tracing::error!("changes cannot be stored, so nobody can be banned; signing continues: {failure}");
            }
            None if did_fail => tracing::info!("changes can be stored again"),
            Some(_) | None => {}
        }
    }
}
