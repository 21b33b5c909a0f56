//! The replica of the moderation entries in a running server: an index in memory that follows the store.
//!
//! Decisions read the index and never wait for the store. If the index is too old, or if the store has lost changes
//! that it acknowledged before, they get [`ReplicaStale`] and nothing is signed.

mod change;
mod clock_offset;
mod lineage;
mod recording;
mod sync;
mod write_health;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex, watch};

use self::clock_offset::LastClockOffset;
use self::recording::Recording;
pub use self::write_health::ChangeOrigin;
use self::write_health::{FailedChanges, WriteHealth};
use crate::moderation::store::{HighWaterMark, RecordFile, Store, StoreHead, StoreUnavailable};
use crate::telemetry::scheduling::{DELAY_CAUSES, SchedulingDelay, seconds};
use chat_signer_core::moderation::ModerationIndex;

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
    clock_offset: LastClockOffset,
    /// Why the store is not trusted, until an operator accepts it or it has all known changes again.
    refused: ArcSwapOption<String>,
    /// Why the last read of the store failed, if it failed.
    trouble: ArcSwapOption<String>,
    /// The version that the index has reached, for readers without the lock.
    head: ArcSwap<StoreHead>,
    version: watch::Sender<u64>,
    /// How late this process runs. A delay is another cause for an old index than the store.
    pub scheduling: SchedulingDelay,
    write_health: WriteHealth,
    /// The numbers of failed changes.
    pub(crate) failed_changes: FailedChanges,
}

/// The state of a replica that has a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// It follows the store.
    Current,
    /// The store does not answer now, but decisions are still possible.
    Behind,
    /// The index is too old for decisions.
    Stale,
    /// The store is not the known store. An operator must accept it.
    Refused,
    /// The store cannot be written until the program is restarted.
    Broken,
}

impl ReplicaState {
    /// Returns the name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplicaState::Current => "ok",
            ReplicaState::Behind => "behind",
            ReplicaState::Stale => "stale",
            ReplicaState::Refused => "refused",
            ReplicaState::Broken => "broken",
        }
    }
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
            clock_offset: LastClockOffset::default(),
            refused: ArcSwapOption::empty(),
            trouble: ArcSwapOption::empty(),
            head: ArcSwap::default(),
            version: watch::channel(0).0,
            scheduling: SchedulingDelay::default(),
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

    /// Checks whether decisions may use the index: it is fresh, the store is trusted, and the clock is right.
    ///
    /// # Errors
    /// Returns an error with the reason if they must not use it.
    pub fn check_fresh(&self) -> Result<(), ReplicaStale> {
        let Some(store) = &self.store else { return Ok(()) };
        if let Some(refused) = &*self.refused.load() {
            return Err(ReplicaStale(String::clone(refused)));
        }
        if let Some(reason) = self.clock_offset.error(store) {
            return Err(ReplicaStale(reason));
        }
        let why = || self.trouble.load().as_deref().map_or_else(String::new, |trouble| format!(": {trouble}"));
        match self.age() {
            None => Err(ReplicaStale(format!("the moderation store has not been read yet{}", why()))),
            Some(age) if age > self.max_staleness => {
                let delay = self.scheduling.within(age);
                // Without the delay, the index would be fresh enough.
                let why = if age.saturating_sub(delay) > self.max_staleness { why() } else { delay_note(delay) };
                Err(ReplicaStale(format!("the moderation store has not answered for {} s{why}", age.as_secs())))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns whether decisions may use the index, and why they may not.
    pub fn state(&self) -> ReplicaState {
        if self.store.as_ref().is_some_and(Store::is_broken) {
            ReplicaState::Broken
        } else if self.refused.load().is_some() {
            ReplicaState::Refused
        } else if self.check_fresh().is_err() {
            ReplicaState::Stale
        } else if self.last_error().is_some() {
            ReplicaState::Behind
        } else {
            ReplicaState::Current
        }
    }

    /// Returns how old the index may become before decisions are impossible.
    pub fn max_staleness(&self) -> Duration {
        self.max_staleness
    }

    /// Returns the time since the last contact with the store.
    pub fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// Returns how many seconds the clock of this machine is ahead of the clock of the store, at least. Below 0: it is
    /// behind. `None`: unknown.
    pub fn clock_offset_seconds(&self) -> Option<f64> {
        self.clock_offset.seconds(self.store()?)
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

    /// Returns whether the store was read since the program started.
    fn is_loaded(&self) -> bool {
        !self.head().epoch.is_empty()
    }

    /// Returns why the last read of the store failed, if it failed.
    pub fn last_error(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Stores the time at which the index equalled the store, as the time since the start.
    fn record_contact(&self, asked: Duration) {
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.heard.store(asked.saturating_add(1), Ordering::Release);
    }
}

/// Returns the end of a sentence about something that took long: for how long the process did not run meanwhile.
fn delay_note(delay: Duration) -> String {
    format!("; meanwhile, this process did not run for {}: {DELAY_CAUSES}", seconds(delay))
}
