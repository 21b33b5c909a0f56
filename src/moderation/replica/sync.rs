//! Updates the index from the store, either with the changes since the last update or with all entries.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::lineage::Untrusted;
use super::{ModerationReplica, delay_note};
use crate::moderation::load::{LoadError, apply_in_order, load_index};
use crate::moderation::store::{ChangesSince, FailureReason, Store, StoreHead, StoreUnavailable, StoredChange};
use chat_signer_core::moderation::ModerationIndex;

/// How often the store is checked for changes, if there is no hint of a change: this many times within the maximum
/// staleness.
const CHECKS_PER_STALENESS: u32 = 4;

/// The longest time between two checks.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The least time without CPU that is a possible reason for a failed read.
const MIN_NOTED_DELAY: Duration = Duration::from_secs(1);

/// The result of an update. The inner error says why the store is not trusted.
type SyncResult = Result<Result<(), Untrusted>, StoreUnavailable>;

impl ModerationReplica {
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
    /// [`check_fresh`](Self::check_fresh) reports it.
    pub async fn sync(&self) {
        let Some(store) = &self.store else { return };
        let mut known = self.known.lock().await;
        _ = self.sync_locked(store, &mut known).await;
    }

    /// Updates the index to the present state of the store, and stores the result.
    pub(super) async fn sync_locked(&self, store: &Store, known: &mut StoreHead) -> Result<(), StoreUnavailable> {
        let asked = self.began.elapsed();
        match self.sync_with_store(store, known).await {
            Ok(Ok(())) => {
                self.record_contact(asked);
                self.clear_distrust();
                match self.update_record(store, known).await {
                    Ok(()) => self.record_read_success(),
                    // The index remains usable, but no change is acknowledged.
                    Err(unavailable) => self.record_read_failure(&unavailable, asked),
                }
                Ok(())
            }
            Ok(Err(untrusted)) => {
                self.trouble.store(None);
                self.distrust_store(&untrusted.reason);
                self.mark_rolled_back(store, &untrusted).await;
                Err(StoreUnavailable::new(FailureReason::Refused, untrusted.reason))
            }
            Err(unavailable) => {
                self.record_read_failure(&unavailable, asked);
                Err(unavailable)
            }
        }
    }

    /// Stores that the store cannot be read. It was asked at the time `asked` after the start.
    fn record_read_failure(&self, unavailable: &StoreUnavailable, asked: Duration) {
        let delay = self.scheduling.within(self.began.elapsed().saturating_sub(asked));
        let note = if delay >= MIN_NOTED_DELAY { delay_note(delay) } else { String::new() };
        let trouble = format!("{unavailable}{note}");
        if self.trouble.swap(Some(Arc::new(trouble.clone()))).is_none() {
            tracing::warn!("the moderation store can't be read: {trouble}");
        }
    }

    /// Stores that the store can be read, and that the version is recorded.
    fn record_read_success(&self) {
        if self.trouble.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Records the version that the index has reached.
    pub(super) async fn update_record(&self, store: &Store, known: &StoreHead) -> Result<(), StoreUnavailable> {
        match &self.recording {
            Some(recording) => recording.update(store, known).await,
            None => Ok(()),
        }
    }

    /// Compares the index with the store and applies new changes.
    async fn sync_with_store(&self, store: &Store, known: &mut StoreHead) -> SyncResult {
        let mut head = store.head().await?;
        self.clock_offset.measure(store).await?;
        if head.epoch.is_empty() && known.epoch.is_empty() && store.can_initialize() {
            store.initialize().await?;
            head = store.head().await?;
        }
        if head.epoch.is_empty() {
            return Ok(Err(Untrusted::new(EMPTY_STORE)));
        }
        // After a mark was read, even a store that looks as before must be checked: a second restore removes the mark.
        if head == *known && self.is_loaded() && self.marked.load().is_none() {
            return Ok(Ok(()));
        }
        if let Some(untrusted) = self.check_head(store, &head, known).await? {
            return Ok(Err(untrusted));
        }
        if let Some(untrusted) = self.check_rollback_mark(store, &head).await? {
            return Ok(Err(untrusted));
        }
        if let Some(flaw) = head.unusable_reason() {
            return Ok(Err(Untrusted::new(flaw)));
        }
        if head.epoch == known.epoch && self.is_loaded() {
            let reached = store.replicated_head(&head).await?;
            if reached.epoch != head.epoch || reached.version < head.version {
                return Err(unavailable("another store took its place while it was read"));
            }
            self.read_changes(store, known, &reached).await
        } else {
            self.read_all(store, known, &head).await
        }
    }

    /// Applies changes until the index has reached this head, and no later change.
    async fn read_changes(&self, store: &Store, known: &mut StoreHead, head: &StoreHead) -> SyncResult {
        while known.version < head.version {
            match continue_log(store, known).await? {
                LogContinuation::With(mut new) if !new.is_empty() => {
                    new.retain(|change| change.version <= head.version);
                    if let Err(flaw) = self.apply_changes(known, &new) {
                        return Ok(Err(Untrusted::new(flaw)));
                    }
                }
                LogContinuation::With(_) | LogContinuation::Gone => return self.read_all(store, known, head).await,
                LogContinuation::Lost => return Ok(Err(Untrusted::lost_changes(head, known))),
            }
        }
        Ok(Ok(()))
    }

    /// Reads all entries. The store must still have the epoch of `judged` and must have all known changes. The old
    /// index stays in use until the new index is complete.
    async fn read_all(&self, store: &Store, known: &mut StoreHead, judged: &StoreHead) -> SyncResult {
        let check = |head: &StoreHead| {
            if head.epoch != judged.epoch || head.version < judged.version {
                return Err(unavailable("another store took its place while it was read").into());
            }
            head.unusable_reason().map_or(Ok(()), |flaw| Err(LoadError::Flaw(flaw)))
        };
        let (index, head) = match load_index(store, check).await {
            Ok(loaded) => loaded,
            Err(LoadError::Unavailable(unavailable)) => return Err(unavailable),
            Err(LoadError::Flaw(flaw)) => return Ok(Err(Untrusted::new(flaw))),
        };
        if let Some(untrusted) = self.check_history(store, &head, known).await? {
            return Ok(Err(untrusted));
        }
        *known = head;
        self.replace(index, known);
        Ok(Ok(()))
    }

    fn replace(&self, index: ModerationIndex, known: &StoreHead) {
        let mut place = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, index);
        drop(place);
        self.publish(known);
        // Dropping an index takes as long as building it.
        spawn_blocking(move || drop(before));
    }

    /// Applies changes to the index. They must follow the known version without a gap.
    pub(super) fn apply_changes(&self, known: &mut StoreHead, changes: &[StoredChange]) -> Result<(), String> {
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

fn unavailable(message: &str) -> StoreUnavailable {
    StoreUnavailable::new(FailureReason::Other, message)
}

/// How the log of a store continues after the known version.
enum LogContinuation {
    /// It continues with these changes, and possibly more.
    With(Vec<StoredChange>),
    /// Unknown: the log no longer has the last known change.
    Gone,
    /// It does not continue: the store has lost the last known change.
    Lost,
}

/// Reads the changes since the known version, and the last known change again. If that change differs, the store has
/// lost it.
async fn continue_log(store: &Store, known: &StoreHead) -> Result<LogContinuation, StoreUnavailable> {
    let before = known.version.saturating_sub(1);
    let ChangesSince::Changes(mut changes) = store.changes_since(before).await? else {
        return Ok(LogContinuation::Gone);
    };
    if known.version == before {
        return Ok(LogContinuation::With(changes));
    }
    let is_there = changes.first().is_some_and(|first| (first.version, &first.id) == (known.version, &known.change));
    if !is_there {
        return Ok(LogContinuation::Lost);
    }
    changes.remove(0);
    if !changes.is_empty() {
        return Ok(LogContinuation::With(changes));
    }
    // The last known change alone may fill a read.
    match store.changes_since(known.version).await? {
        ChangesSince::Changes(changes) => Ok(LogContinuation::With(changes)),
        ChangesSince::NoLongerKept => Ok(LogContinuation::Gone),
    }
}

const EMPTY_STORE: &str = "the moderation store is empty. If it is new, or if its old content is not needed, run \
                     `chat-signer store accept --empty`. Otherwise restore its content";
