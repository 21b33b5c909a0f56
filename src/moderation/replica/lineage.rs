//! Checks whether a store is still the known store: it has all known changes, or an operator has accepted it since.

use std::sync::Arc;

use super::ModerationReplica;
use super::recording::Recording;
use crate::model::Millis;
use crate::moderation::store::{ROLLED_BACK_MESSAGE, RollbackMark, Store, StoreHead, StoreUnavailable};

/// Why a store is not trusted until an operator accepts it.
#[derive(Debug)]
pub(super) struct Untrusted {
    /// A sentence for the log.
    pub(super) reason: String,
    /// The rollback, if the store is an earlier state of the known store.
    pub(super) rollback: Option<Rollback>,
}

/// A store that was taken back to an earlier state.
#[derive(Debug)]
pub(super) struct Rollback {
    /// The present head of the store.
    pub(super) seen: StoreHead,
    /// A head that the store had before.
    pub(super) known: StoreHead,
}

impl Untrusted {
    pub(super) fn new(reason: impl Into<String>) -> Untrusted {
        Untrusted { reason: reason.into(), rollback: None }
    }

    /// Creates the reason for a store that has this head and lacks known changes.
    pub(super) fn lost_changes(head: &StoreHead, known: &StoreHead) -> Untrusted {
        let (at, version) = (head.version, known.version);
        let how = if at <= version {
            format!("it is at change {at}, but change {version} is known")
        } else {
            format!("its change {version} is not the known change")
        };
        let rollback = Rollback { seen: head.clone(), known: known.clone() };
        Untrusted { reason: format!("{ROLLED_BACK_MESSAGE} ({how})"), rollback: Some(rollback) }
    }
}

impl ModerationReplica {
    /// Returns why a store with this head is not trusted, as far as the head and the known version show this.
    pub(super) async fn check_head(
        &self,
        store: &Store,
        head: &StoreHead,
        known: &StoreHead,
    ) -> Result<Option<Untrusted>, StoreUnavailable> {
        if known.epoch.is_empty() {
            return Ok(None);
        }
        if head.epoch != known.epoch {
            let is_accepted = self.is_accepted(store, head, known).await?;
            // Before the first read, the known version comes from the record. The record alone does not stop other
            // processes, because its time may come from another clock.
            let is_rollback = head.id == known.id && self.is_loaded();
            let rollback = is_rollback.then(|| Rollback { seen: head.clone(), known: known.clone() });
            return Ok((!is_accepted).then(|| Untrusted { rollback, ..Untrusted::new(DIFFERENT_STORE) }));
        }
        let is_older = head.version < known.version || head.version == known.version && head.change != known.change;
        Ok(is_older.then(|| Untrusted::lost_changes(head, known)))
    }

    /// Returns why a store with this head is not trusted because of an earlier rollback mark. A restored backup removes
    /// the mark as well. So a process that has read a mark remembers it until an operator accepts the store, or until
    /// the store has the lost change again.
    pub(super) async fn check_rollback_mark(
        &self,
        store: &Store,
        head: &StoreHead,
    ) -> Result<Option<Untrusted>, StoreUnavailable> {
        if head.rolled_back.is_some() {
            self.marked.store(Some(Arc::new(head.clone())));
            return Ok(None);
        }
        let Some(marked) = self.marked.load_full() else { return Ok(None) };
        let Some((version, id)) = marked.rolled_back.as_ref().map(RollbackMark::lost_change) else { return Ok(None) };
        let is_mended = head.accepted_at > marked.accepted_at || store.has_change(version, id).await? == Some(true);
        if is_mended {
            self.marked.store(None);
            return Ok(None);
        }
        if head.id != marked.id {
            return Ok(Some(Untrusted::new(DIFFERENT_STORE)));
        }
        Ok(Some(Untrusted::lost_changes(
            head,
            &StoreHead { version, change: id.to_owned(), ..StoreHead::clone(&marked) },
        )))
    }

    /// Returns whether a store of another epoch is trusted: an operator accepted it after the last contact with the
    /// known store, or it has all known changes. An older acceptance is not enough, because every earlier store was
    /// accepted and may come back.
    async fn is_accepted(&self, store: &Store, head: &StoreHead, known: &StoreHead) -> Result<bool, StoreUnavailable> {
        let Some(at) = head.accepted_at else { return Ok(false) };
        let now = store.now().await?;
        let recorded_at = || self.recording.as_ref().map_or(Millis(0), Recording::recorded_at);
        let since = self.age().map_or_else(recorded_at, |age| now.before(age));
        Ok(at > since || store.has_change(known.version, &known.change).await? == Some(true))
    }

    /// Returns why a store with this head is not trusted, if its history lacks the known change or no longer reaches
    /// back to it.
    pub(super) async fn check_history(
        &self,
        store: &Store,
        head: &StoreHead,
        known: &StoreHead,
    ) -> Result<Option<Untrusted>, StoreUnavailable> {
        if head.epoch != known.epoch {
            return Ok(None);
        }
        Ok(match store.has_change(known.version, &known.change).await? {
            Some(true) => None,
            Some(false) => Some(Untrusted::lost_changes(head, known)),
            None => Some(Untrusted::new(format!(
                "the moderation store is so far ahead that its log no longer shows whether it has the known \
                 change {}. If it is the right store, run `chat-signer store accept`",
                known.version
            ))),
        })
    }

    /// Stores that the store is trusted.
    pub(super) fn clear_distrust(&self) {
        if self.refused.swap(None).is_some() {
            tracing::info!("the moderation store is read again");
        }
    }

    /// Marks the store if it was rolled back, for processes that do not know the lost changes.
    pub(super) async fn mark_rolled_back(&self, store: &Store, untrusted: &Untrusted) {
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

    /// Stores that the store is not trusted, and why.
    pub(super) fn distrust_store(&self, reason: &str) {
        if self.refused.load().as_deref().is_none_or(|before| before != reason) {
            tracing::error!("nothing is signed any more: {reason}");
            self.refused.store(Some(Arc::new(reason.to_owned())));
        }
    }
}

const DIFFERENT_STORE: &str = "the moderation store is not the store that was used before, and nobody has accepted it since. If it is the right store, run `chat-signer store accept`";
