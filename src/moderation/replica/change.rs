//! Makes changes: decides with the index, writes to the store, and updates the index. Probes at intervals whether the
//! store would accept a change.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{ChangeError, ChangeOrigin, ModerationReplica};
use crate::moderation::store::{CommitError, FailureReason, NewChange, Store, StoreHead, StoreUnavailable};
use crate::{clock, random};
use chat_signer_core::moderation::ModerationIndex;

/// The time limit of a change. It includes retries after changes of other processes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval between two probes, which limits the load of a process on its store. A smaller maximum staleness
/// shortens it.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// The interval while writes fail.
const FAILING_PROBE_INTERVAL: Duration = Duration::from_secs(5);

impl ModerationReplica {
    /// Makes a change. `decide` builds the change from the index, and is called again if another process was faster.
    /// Returns the result of `decide` when the change is durable and the index contains it. An empty change is not
    /// written, but its result is returned only if the index equals the store.
    ///
    /// # Errors
    /// Returns an error if the change was not made, or if it is unknown whether it was made.
    pub async fn change<T>(
        &self,
        decide: impl FnMut(&ModerationIndex, &StoreHead) -> (NewChange, T) + Send,
    ) -> Result<T, ChangeError> {
        let Some(store) = &self.store else { return Err(ChangeError::NoStore) };
        let slow = || {
            let message = format!("the change could not be made within {} s", CHANGE_TIMEOUT.as_secs());
            StoreUnavailable::new(FailureReason::Unreachable, message)
        };
        let changed = timeout(CHANGE_TIMEOUT, self.change_without_timeout(store, decide))
            .await
            .unwrap_or_else(|_| Err(slow().into()));
        changed.map_err(|not_changed| match not_changed {
            ChangeError::Unavailable(unavailable) if store.is_broken() => ChangeError::Broken(unavailable),
            not_changed => not_changed,
        })
    }

    async fn change_without_timeout<T>(
        &self,
        store: &Store,
        mut decide: impl FnMut(&ModerationIndex, &StoreHead) -> (NewChange, T),
    ) -> Result<T, ChangeError> {
        let mut known = self.known.lock().await;
        loop {
            let (commit, answer) = decide(&*self.read()?, &known);
            let is_so = if commit.puts.is_empty() && commit.jobs.is_empty() {
                self.ensure_current(store, &mut known).await?
            } else {
                self.commit_change(store, &mut known, commit).await?
            };
            if is_so {
                return Ok(answer);
            }
        }
    }

    /// Returns whether the index equals the durable state of the store. If not, updates the index and returns `false`.
    async fn ensure_current(&self, store: &Store, known: &mut StoreHead) -> Result<bool, StoreUnavailable> {
        let asked = self.began.elapsed();
        if store.durable_head().await? == *known {
            self.record_contact(asked);
            self.update_record(store, known).await?;
            return Ok(true);
        }
        self.sync_locked(store, known).await.map(|()| false)
    }

    /// Makes a change and returns `true`. If the store holds changes that the index lacks, updates the index and
    /// returns `false`.
    async fn commit_change(
        &self,
        store: &Store,
        known: &mut StoreHead,
        commit: NewChange,
    ) -> Result<bool, StoreUnavailable> {
        self.check_writes(store).await?;
        let asked = self.began.elapsed();
        let change = match store.commit(known, commit, clock::now()).await {
            Ok(change) => change,
            Err(CommitError::Behind) => return self.sync_locked(store, known).await.map(|()| false),
            Err(CommitError::Unavailable(unavailable)) => {
                self.write_health.record(Err(unavailable.clone()));
                return Err(unavailable);
            }
        };
        self.write_health.record(Ok(()));
        self.record_contact(asked);
        self.apply_changes(known, std::slice::from_ref(&change)).map_err(|flaw| {
            self.distrust_store(&flaw);
            StoreUnavailable::new(FailureReason::Refused, flaw)
        })?;
        let recorded = self.update_record(store, known).await;
        recorded.inspect_err(|unavailable| self.write_health.record(Err(unavailable.clone())))?;
        Ok(true)
    }

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
        self.write_health.failure()
    }

    /// Returns whether a change can be made, as far as known. `None`: nothing has been tried yet.
    pub fn is_writable(&self) -> Option<bool> {
        if !self.is_readable_and_trusted() {
            return Some(false);
        }
        self.write_health.is_writable()
    }

    /// Returns whether the store can be read and is trusted.
    fn is_readable_and_trusted(&self) -> bool {
        self.check_fresh().is_ok() && self.last_error().is_none()
    }

    /// If the last write failed, probes the store before a change. If the probe fails too, the change is not tried. A
    /// failed write can do harm: redb needs a restart after it.
    async fn check_writes(&self, store: &Store) -> Result<(), StoreUnavailable> {
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
            match &self.recording {
                Some(recording) => recording.probe().await,
                None => Ok(()),
            }
        };
        let probed = timeout(CHANGE_TIMEOUT, probe).await.unwrap_or_else(|_| slow());
        self.write_health.record(probed.clone());
        probed
    }

    /// Counts a failed change.
    pub(in crate::moderation) fn count_failure(&self, origin: ChangeOrigin, not_changed: &ChangeError) {
        let reason = match not_changed {
            ChangeError::NoStore => return,
            ChangeError::Stale(_) if self.refused.load().is_some() => FailureReason::Refused,
            ChangeError::Stale(_) => FailureReason::Stale,
            ChangeError::Unavailable(unavailable) | ChangeError::Broken(unavailable) => unavailable.reason,
        };
        self.failed_changes.count(origin, reason);
    }
}
