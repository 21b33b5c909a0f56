//! The moderation entries as it is while the program serves: the index in memory, kept at what the store holds.
//!
//! Deciding looks at the index and never waits for the store. What it may not do is go by an index that is too old, or that follows a
//! store which lost what was acknowledged before: then it gets [`ReplicaStale`] and nothing is signed.

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
use crate::store::{
    CommitError, FailureReason, HighWaterMark, NewChange, RecordFile, Store, StoreHead, StoreUnavailable, StoredChange,
};

/// How often the store is asked how far it has come, where nothing hints at a change: this often within the time after which what is
/// known counts for too old.
const CHECKS: u32 = 4;

/// The longest time between two such checks.
const SELDOM: Duration = Duration::from_secs(2);

/// How long a change may take, with all that other processes change meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The moderation entries: an index, and the store that it follows.
pub struct ModerationReplica {
    store: Option<Store>,
    index: RwLock<ModerationIndex>,
    max_staleness: Duration,
    /// How far the index has come; before it was first read, what the record says. Whoever has it is alone in changing it.
    known: Mutex<StoreHead>,
    /// What is kept of it for the next start.
    recording: Option<Recording>,
    began: Instant,
    /// When the store was last heard of, in milliseconds after the beginning, plus one; 0 before the first time.
    heard: AtomicU64,
    /// The head of the store when it was last seen with the mark of a rollback, until the store counts again.
    marked: ArcSwapOption<StoreHead>,
    /// Why the store does not count, until an operator says so.
    refused: ArcSwapOption<String>,
    /// Why the store could not be asked the last time.
    trouble: ArcSwapOption<String>,
    /// How far the index has come, for those who only look.
    head: ArcSwap<StoreHead>,
    version: watch::Sender<u64>,
    write_health: WriteHealth,
    /// How many changes were not made.
    pub(crate) failed_changes: FailedChanges,
}

/// What is known is too old to go by, or the store is not the one that was known: a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplicaStale(pub String);

/// Why a change was not made, or it isn't known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no store to change.
    #[error("there is no store: without [store] the policy file is all there is")]
    NoStore,
    /// What is known is no ground for changes.
    #[error(transparent)]
    Stale(#[from] ReplicaStale),
    /// The store can't be written.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// The store can't be written before the program is started anew.
    #[error(transparent)]
    Broken(StoreUnavailable),
}

impl ModerationReplica {
    /// That of a program without a store: empty, and never changed.
    pub fn none() -> ModerationReplica {
        ModerationReplica::following(None, Duration::MAX, None, None)
    }

    /// That of a store, of which nothing is known yet.
    pub fn of(store: Store, max_staleness: Duration) -> ModerationReplica {
        ModerationReplica::following(Some(store), max_staleness, None, None)
    }

    /// That of a store whose record is in this file, and says `mark`: a store that has not come so far is refused, as by a process that knew it.
    pub fn recorded(
        store: Store,
        max_staleness: Duration,
        record: Option<RecordFile>,
        mark: Option<HighWaterMark>,
    ) -> ModerationReplica {
        ModerationReplica::following(Some(store), max_staleness, record, mark)
    }

    fn following(
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

    /// The store, if there is one.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// For how long after a change another process may decide without knowing of it. `None`: no other has the store.
    pub fn lag(&self) -> Option<Duration> {
        self.store().filter(|store| store.is_shared()).map(|_| self.max_staleness)
    }

    /// What is known now, for one decision.
    ///
    /// # Errors
    /// If it is too old to go by, or its store is not to be relied upon.
    pub fn read(&self) -> Result<RwLockReadGuard<'_, ModerationIndex>, ReplicaStale> {
        self.check()?;
        Ok(self.look())
    }

    /// What is known now, however old: for listing it, not for deciding.
    pub fn look(&self) -> RwLockReadGuard<'_, ModerationIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is known may be gone by.
    ///
    /// # Errors
    /// If it may not: why.
    pub fn check(&self) -> Result<(), ReplicaStale> {
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

    /// How long ago the store was last heard of.
    pub fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(heard)))
    }

    /// The number of the last change that the index holds, as it changes.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Returns once the store has been read.
    pub async fn been_read(&self) {
        // The sender is there as long as this.
        _ = self.version().wait_for(|_| !self.head().epoch.is_empty()).await;
    }

    /// How far the index has come. Changes on their way are not waited for.
    pub fn head(&self) -> Arc<StoreHead> {
        self.head.load_full()
    }

    /// Why the store could not be asked the last time, if so.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Keeps the index at what the store holds, for ever.
    pub async fn follow(&self) {
        let Some(store) = &self.store else { return };
        let mut hints = store.hints();
        let pause = (self.max_staleness / CHECKS).min(SELDOM);
        loop {
            self.catch_up().await;
            tokio::select! {
                hint = hints.changed() => if hint.is_err() { sleep(pause).await },
                () = sleep(pause) => {}
            }
        }
    }

    /// Brings the index to what the store holds now. What goes wrong is noted and told by [`check`](Self::check).
    pub async fn catch_up(&self) {
        let Some(store) = &self.store else { return };
        let mut known = self.known.lock().await;
        _ = self.bring_up(store, &mut known).await;
    }

    /// Makes a change that is decided upon what is known: by `decide`, which is asked again where another process was faster. Returns
    /// what it says when the change is durable and the index has it. A change of nothing is none, but is said only of what the store holds.
    ///
    /// # Errors
    /// If it wasn't made, or it isn't known whether it was.
    pub async fn change<T>(
        &self,
        decide: impl FnMut(&ModerationIndex, &StoreHead) -> (NewChange, T) + Send,
    ) -> Result<T, ChangeError> {
        let Some(store) = &self.store else { return Err(ChangeError::NoStore) };
        let slow = || {
            let message = format!("the change could not be made within {} s", PATIENCE.as_secs());
            StoreUnavailable::new(FailureReason::Unreachable, message)
        };
        let changed = timeout(PATIENCE, self.change_in(store, decide)).await.unwrap_or_else(|_| Err(slow().into()));
        changed.map_err(|not_changed| match not_changed {
            ChangeError::Unavailable(unavailable) if store.is_broken() => ChangeError::Broken(unavailable),
            not_changed => not_changed,
        })
    }

    async fn change_in<T>(
        &self,
        store: &Store,
        mut decide: impl FnMut(&ModerationIndex, &StoreHead) -> (NewChange, T),
    ) -> Result<T, ChangeError> {
        let mut known = self.known.lock().await;
        loop {
            let (commit, answer) = decide(&*self.read()?, &known);
            let is_so = if commit.puts.is_empty() && commit.jobs.is_empty() {
                self.is_up(store, &mut known).await?
            } else {
                self.make(store, &mut known, commit).await?
            };
            if is_so {
                return Ok(answer);
            }
        }
    }

    /// Whether what is known is what the store holds, and will hold; if not, it is now.
    async fn is_up(&self, store: &Store, known: &mut StoreHead) -> Result<bool, StoreUnavailable> {
        let asked = self.began.elapsed();
        if store.durable_head().await? == *known {
            self.hear(asked);
            self.record(store, known).await?;
            return Ok(true);
        }
        self.bring_up(store, known).await.map(|()| false)
    }

    /// Makes a change, unless the store holds more than what is known: then it is known now.
    async fn make(&self, store: &Store, known: &mut StoreHead, commit: NewChange) -> Result<bool, StoreUnavailable> {
        self.check_writes(store).await?;
        let asked = self.began.elapsed();
        let change = match store.commit(known, commit, clock::now()).await {
            Ok(change) => change,
            Err(CommitError::Behind) => return self.bring_up(store, known).await.map(|()| false),
            Err(CommitError::Unavailable(unavailable)) => {
                self.note_write(Err(unavailable.clone()));
                return Err(unavailable);
            }
        };
        self.note_write(Ok(()));
        self.hear(asked);
        self.take(known, std::slice::from_ref(&change)).map_err(|flaw| {
            self.refuse(&flaw);
            StoreUnavailable::new(FailureReason::Refused, flaw)
        })?;
        let recorded = self.record(store, known).await;
        recorded.inspect_err(|unavailable| self.note_write(Err(unavailable.clone())))?;
        Ok(true)
    }

    async fn bring_up(&self, store: &Store, known: &mut StoreHead) -> Result<(), StoreUnavailable> {
        let asked = self.began.elapsed();
        let done = self.compare(store, known).await;
        match &done {
            Ok(Ok(())) => {
                self.hear(asked);
                self.trust_again();
                match self.record(store, known).await {
                    Ok(()) => self.recover(),
                    // What is known still counts, but no change is acknowledged.
                    Err(unavailable) => self.miss(&unavailable),
                }
            }
            Ok(Err(untrusted)) => {
                self.trouble.store(None);
                self.refuse(&untrusted.reason);
                self.mark(store, untrusted).await;
            }
            Err(unavailable) => self.miss(unavailable),
        }
        match done {
            Ok(Err(untrusted)) => Err(StoreUnavailable::new(FailureReason::Refused, untrusted.reason)),
            Ok(Ok(())) => Ok(()),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Notes that what is known was what the store held, so long after the beginning.
    fn hear(&self, asked: Duration) {
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.heard.store(asked.saturating_add(1), Ordering::Release);
    }

    /// Notes that the store can't be asked.
    fn miss(&self, unavailable: &StoreUnavailable) {
        if self.trouble.swap(Some(Arc::new(unavailable.to_string()))).is_none() {
            tracing::warn!("the moderation store can't be read: {unavailable}");
        }
    }

    /// Notes that the store can be asked, and that what is known is recorded.
    fn recover(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Notes that the store counts.
    fn trust_again(&self) {
        if self.refused.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Marks the store if it was rolled back, for processes that don't know what it has lost.
    async fn mark(&self, store: &Store, untrusted: &Untrusted) {
        let Some(Rollback { seen, known }) = &untrusted.rollback else { return };
        if seen.rolled_back.is_some() {
            return;
        }
        // It is tried again with the next look at the store.
        if let Err(unavailable) = store.mark_rolled_back(seen, known).await {
            tracing::warn!(
                "that the store was rolled back can't be noted there, so a process that starts does not know: {unavailable}"
            );
        }
    }

    fn refuse(&self, reason: &str) {
        if self.refused.load().as_deref().is_none_or(|before| before != reason) {
            tracing::error!("nothing is signed any more: {reason}");
            self.refused.store(Some(Arc::new(reason.to_owned())));
        }
    }

    /// Takes over changes, which must follow what is known without a gap.
    fn take(&self, known: &mut StoreHead, changes: &[StoredChange]) -> Result<(), String> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        advance(&mut index, known, changes)?;
        drop(index);
        self.publish(known);
        Ok(())
    }

    /// Tells how far the index has come.
    fn publish(&self, known: &StoreHead) {
        self.head.store(Arc::new(known.clone()));
        self.version.send_replace(known.version);
    }
}

/// Brings an index to where these changes lead, which must follow the head without a gap.
fn advance(index: &mut ModerationIndex, head: &mut StoreHead, changes: &[StoredChange]) -> Result<(), String> {
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
