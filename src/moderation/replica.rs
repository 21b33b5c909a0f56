//! The replica of the moderation entries in a running server: an index in memory that follows the store.
//!
//! Decisions read the index and never wait for the store. If the index is too old, or if the store has lost changes
//! that it acknowledged before, they get [`ReplicaStale`] and nothing is signed.

mod failed_changes;
mod lineage;
mod recording;
mod sync;
mod write_health;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

pub use self::failed_changes::ChangeOrigin;
use self::failed_changes::FailedChanges;
use self::lineage::{Rollback, Untrusted};
use self::recording::Recording;
use self::write_health::WriteHealth;
use super::entry::MalformedEntry;
use super::index::ModerationIndex;
use crate::clock;
use crate::moderation::store::{
    CommitError, FailureReason, HighWaterMark, NewChange, RecordFile, Store, StoreHead, StoreUnavailable, StoredChange,
};

/// How often the store is checked for changes, if there is no hint of a change: this many times within the maximum
/// staleness.
const CHECKS_PER_STALENESS: u32 = 4;

/// The longest time between two checks.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The time limit of a change. It includes retries after changes of other processes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The moderation entries: an index, and the store that it follows.
pub struct ModerationReplica {
    store: Option<Store>,
    index: RwLock<ModerationIndex>,
    max_staleness: Duration,
    /// The version that the index has reached. Before the first read: the version in the record. Only the holder of
    /// this lock changes the index.
    known: Mutex<StoreHead>,
    /// The record of the version, for the next start.
    recording: Option<Recording>,
    began: Instant,
    /// The time of the last contact with the store, in milliseconds since `began`, plus 1. Before the first contact: 0.
    heard: AtomicU64,
    /// The head of the store when it was last seen with a rollback mark. Empty when the store is trusted again.
    marked: ArcSwapOption<StoreHead>,
    /// Why the store is not trusted, until an operator accepts it or it has all known changes again.
    refused: ArcSwapOption<String>,
    /// Why the last read of the store failed, if it failed.
    trouble: ArcSwapOption<String>,
    /// The version that the index has reached, for readers without the lock.
    head: ArcSwap<StoreHead>,
    version: watch::Sender<u64>,
    write_health: WriteHealth,
    /// The numbers of failed changes.
    pub(crate) failed_changes: FailedChanges,
}

/// The index is too old, or the store is not the known store. Holds a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplicaStale(pub String);

/// Why a change was not made, or why it is unknown whether it was made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no store.
    #[error("no store is configured: moderation entries cannot be changed without [store]")]
    NoStore,
    /// The index is too old or its store is not trusted, so no change can be based on it.
    #[error(transparent)]
    Stale(#[from] ReplicaStale),
    /// The store cannot be written.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// The store cannot be written until the program is restarted.
    #[error(transparent)]
    Broken(StoreUnavailable),
}

impl ModerationReplica {
    /// Creates the replica of a program without a store. It is empty and never changes.
    pub fn without_store() -> ModerationReplica {
        ModerationReplica::build(None, Duration::MAX, None, None)
    }

    /// Creates the replica of a store that has not been read yet.
    pub fn with_store(store: Store, max_staleness: Duration) -> ModerationReplica {
        ModerationReplica::build(Some(store), max_staleness, None, None)
    }

    /// Creates the replica of a store that has a record in a file. `mark` is the content of the record. A store that
    /// has not reached this version is refused, as by a process that had read this version.
    pub fn with_record(
        store: Store,
        max_staleness: Duration,
        record: Option<RecordFile>,
        mark: Option<HighWaterMark>,
    ) -> ModerationReplica {
        ModerationReplica::build(Some(store), max_staleness, record, mark)
    }

    fn build(
        store: Option<Store>,
        max_staleness: Duration,
        record: Option<RecordFile>,
        mark: Option<HighWaterMark>,
    ) -> ModerationReplica {
        ModerationReplica {
            store,
            index: RwLock::default(),
            max_staleness,
            known: Mutex::new(mark.as_ref().map(HighWaterMark::head).unwrap_or_default()),
            recording: record.map(|file| Recording::new(file, mark)),
            began: Instant::now(),
            heard: AtomicU64::new(0),
            marked: ArcSwapOption::empty(),
            refused: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            head: ArcSwap::default(),
            version: watch::channel(0).0,
            write_health: WriteHealth::default(),
            failed_changes: FailedChanges::default(),
        }
    }

    /// Returns the store, if there is a store.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Returns how long after a change another process may decide without knowing it. `None`: no other process has the
    /// store.
    pub fn propagation_delay(&self) -> Option<Duration> {
        self.store().filter(|store| store.is_shared()).map(|_| self.max_staleness)
    }

    /// Returns the index for a single decision.
    ///
    /// # Errors
    /// Returns an error if the index is too old, or if its store is not trusted.
    pub fn read(&self) -> Result<RwLockReadGuard<'_, ModerationIndex>, ReplicaStale> {
        self.check_fresh()?;
        Ok(self.read_any_age())
    }

    /// Returns the index, however old it is. Use it for lists, not for decisions.
    pub fn read_any_age(&self) -> RwLockReadGuard<'_, ModerationIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks whether decisions may use the index.
    ///
    /// # Errors
    /// Returns an error with the reason if they must not use it.
    pub fn check_fresh(&self) -> Result<(), ReplicaStale> {
        if self.store.is_none() {
            return Ok(());
        }
        if let Some(refused) = &*self.refused.load() {
            return Err(ReplicaStale(String::clone(refused)));
        }
        let why = || self.trouble.load().as_deref().map_or_else(String::new, |trouble| format!(": {trouble}"));
        match self.age() {
            None => Err(ReplicaStale(format!("the moderation store has not been read yet{}", why()))),
            Some(age) if age > self.max_staleness => {
                Err(ReplicaStale(format!("the moderation store has not answered for {} s{}", age.as_secs(), why())))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns the time since the last contact with the store.
    pub fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// Returns the number of the last change in the index, and its updates.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Returns when the store has been read.
    pub async fn wait_until_loaded(&self) {
        // The sender exists as long as `self`.
        _ = self.version().wait_for(|_| !self.head().epoch.is_empty()).await;
    }

    /// Returns the version that the index has reached. Does not wait for changes in progress.
    pub fn head(&self) -> Arc<StoreHead> {
        self.head.load_full()
    }

    /// Returns why the last read of the store failed, if it failed.
    pub fn last_error(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Updates the index from the store, forever.
    pub async fn follow(&self) {
        let Some(store) = &self.store else { return };
        let mut hints = store.subscribe_hints();
        let pause = (self.max_staleness / CHECKS_PER_STALENESS).min(MAX_CHECK_INTERVAL);
        loop {
            self.sync().await;
            tokio::select! {
                hint = hints.changed() => if hint.is_err() { sleep(pause).await },
                () = sleep(pause) => {}
            }
        }
    }

    /// Updates the index to the present state of the store. If this fails, the error is stored and
    /// [`check`](Self::check) reports it.
    pub async fn sync(&self) {
        let Some(store) = &self.store else { return };
        let mut known = self.known.lock().await;
        _ = self.sync_locked(store, &mut known).await;
    }

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
                self.record_write_result(Err(unavailable.clone()));
                return Err(unavailable);
            }
        };
        self.record_write_result(Ok(()));
        self.record_contact(asked);
        self.apply_changes(known, std::slice::from_ref(&change)).map_err(|flaw| {
            self.distrust_store(&flaw);
            StoreUnavailable::new(FailureReason::Refused, flaw)
        })?;
        let recorded = self.update_record(store, known).await;
        recorded.inspect_err(|unavailable| self.record_write_result(Err(unavailable.clone())))?;
        Ok(true)
    }

    async fn sync_locked(&self, store: &Store, known: &mut StoreHead) -> Result<(), StoreUnavailable> {
        let asked = self.began.elapsed();
        let done = self.sync_with_store(store, known).await;
        match &done {
            Ok(Ok(())) => {
                self.record_contact(asked);
                self.clear_distrust();
                match self.update_record(store, known).await {
                    Ok(()) => self.record_read_success(),
                    // The index remains usable, but no change is acknowledged.
                    Err(unavailable) => self.record_read_failure(&unavailable),
                }
            }
            Ok(Err(untrusted)) => {
                self.trouble.store(None);
                self.distrust_store(&untrusted.reason);
                self.mark_rolled_back(store, untrusted).await;
            }
            Err(unavailable) => self.record_read_failure(unavailable),
        }
        match done {
            Ok(Err(untrusted)) => Err(StoreUnavailable::new(FailureReason::Refused, untrusted.reason)),
            Ok(Ok(())) => Ok(()),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Stores the time at which the index equalled the store, as the time since the start.
    fn record_contact(&self, asked: Duration) {
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.heard.store(asked.saturating_add(1), Ordering::Release);
    }

    /// Stores that the store cannot be read.
    fn record_read_failure(&self, unavailable: &StoreUnavailable) {
        if self.trouble.swap(Some(Arc::new(unavailable.to_string()))).is_none() {
            tracing::warn!("the moderation store can't be read: {unavailable}");
        }
    }

    /// Stores that the store can be read, and that the version is recorded.
    fn record_read_success(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Stores that the store is trusted.
    fn clear_distrust(&self) {
        if self.refused.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Marks the store if it was rolled back, for processes that do not know the lost changes.
    async fn mark_rolled_back(&self, store: &Store, untrusted: &Untrusted) {
        let Some(Rollback { seen, known }) = &untrusted.rollback else { return };
        if seen.rolled_back.is_some() {
            return;
        }
        // The next check of the store tries this again.
        if let Err(unavailable) = store.mark_rolled_back(seen, known).await {
            tracing::warn!(
                "the store cannot be marked as rolled back, so a process that starts now does not know this: \
                 {unavailable}"
            );
        }
    }

    fn distrust_store(&self, reason: &str) {
        if self.refused.load().as_deref().is_none_or(|before| before != reason) {
            tracing::error!("nothing is signed any more: {reason}");
            self.refused.store(Some(Arc::new(reason.to_owned())));
        }
    }

    /// Applies changes to the index. They must follow the known version without a gap.
    fn apply_changes(&self, known: &mut StoreHead, changes: &[StoredChange]) -> Result<(), String> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        apply_in_order(&mut index, known, changes)?;
        drop(index);
        self.publish(known);
        Ok(())
    }

    /// Publishes the version that the index has reached.
    fn publish(&self, known: &StoreHead) {
        self.head.store(Arc::new(known.clone()));
        self.version.send_replace(known.version);
    }
}

/// Applies changes to an index. They must follow the head without a gap.
fn apply_in_order(index: &mut ModerationIndex, head: &mut StoreHead, changes: &[StoredChange]) -> Result<(), String> {
    for change in changes {
        if head.version.checked_add(1) != Some(change.version) {
            return Err(format!("the store has lost the change after {}", head.version));
        }
        apply(index, change).map_err(|malformed| malformed.to_string())?;
        head.version = change.version;
        head.change.clone_from(&change.id);
    }
    Ok(())
}

fn apply(index: &mut ModerationIndex, change: &StoredChange) -> Result<(), MalformedEntry> {
    change.puts.iter().try_for_each(|(key, value)| index.apply(key, value.as_deref()))
}
