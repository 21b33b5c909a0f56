//! Whether a store still is the one that is known: whether it has all that is known, or an operator has accepted it since.

use std::sync::Arc;

use super::ModerationReplica;
use crate::store::{LostChange, ROLLED_BACK, Store, StoreHead, StoreUnavailable};

/// Why a store does not count until an operator accepts it.
#[derive(Debug)]
pub(super) struct Untrusted {
    /// A sentence for the log.
    pub(super) reason: String,
    /// The rollback, if the store is an earlier state of the store that is known.
    pub(super) rollback: Option<Rollback>,
}

/// A store that was taken back to an earlier state.
#[derive(Debug)]
pub(super) struct Rollback {
    /// The head of the store as it is now.
    pub(super) seen: StoreHead,
    /// A head that the store had before.
    pub(super) known: StoreHead,
}

impl Untrusted {
    pub(super) fn new(reason: impl Into<String>) -> Untrusted {
        Untrusted { reason: reason.into(), rollback: None }
    }

    /// The store has this head and lacks what is known.
    pub(super) fn lost(head: &StoreHead, known: &StoreHead) -> Untrusted {
        let (at, version) = (head.version, known.version);
        let how = if at <= version {
            format!("it is at change {at}, {version} is known")
        } else {
            format!("it does not have change {version} as it is known")
        };
        let rollback = Rollback { seen: head.clone(), known: known.clone() };
        Untrusted { reason: format!("{ROLLED_BACK} ({how})"), rollback: Some(rollback) }
    }
}

impl ModerationReplica {
    /// Why a store with this head does not count by what is known, as far as that can be told from the head.
    pub(super) async fn distrust(
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
            // What only the record knows is no reason to stop other processes: it may be of another clock.
            let is_rollback = head.id == known.id && self.is_loaded();
            let rollback = is_rollback.then(|| Rollback { seen: head.clone(), known: known.clone() });
            return Ok((!is_accepted).then(|| Untrusted { rollback, ..Untrusted::new(ANOTHER) }));
        }
        let is_older = head.version < known.version || head.version == known.version && head.change != known.change;
        Ok(is_older.then(|| Untrusted::lost(head, known)))
    }

    /// Why a store with this head does not count by a mark that it had before. A restored backup takes the mark away as well, so a process that has
    /// read a mark remembers it until an operator accepts the store, or the store has the change that it had lost.
    pub(super) async fn distrust_marked(
        &self,
        store: &Store,
        head: &StoreHead,
    ) -> Result<Option<Untrusted>, StoreUnavailable> {
        if head.rolled_back.is_some() {
            self.marked.store(Some(Arc::new(head.clone())));
            return Ok(None);
        }
        let Some(marked) = self.marked.load_full() else { return Ok(None) };
        let Some(LostChange { version, id }) = marked.rolled_back.clone() else { return Ok(None) };
        let is_mended = head.accepted > marked.accepted || store.has(version, &id).await? == Some(true);
        if is_mended {
            self.marked.store(None);
            return Ok(None);
        }
        if head.id != marked.id {
            return Ok(Some(Untrusted::new(ANOTHER)));
        }
        Ok(Some(Untrusted::lost(head, &StoreHead { version, change: id, ..StoreHead::clone(&marked) })))
    }

    /// Whether a store of another epoch counts: an operator has accepted it since the one that is known was last heard of, or it has all
    /// that is known. That it was accepted at some time is not enough: so was every store before, and one of those may come back.
    async fn is_accepted(&self, store: &Store, head: &StoreHead, known: &StoreHead) -> Result<bool, StoreUnavailable> {
        let Some(at) = head.accepted else { return Ok(false) };
        let now = store.now().await?;
        let since = self.age().map_or_else(|| self.recorded_at(), |age| now.before(age));
        Ok(at > since || store.has(known.version, &known.change).await? == Some(true))
    }

    /// Why a store with this head does not count, if its history lacks what is known or no longer tells.
    pub(super) async fn distrust_history(
        &self,
        store: &Store,
        head: &StoreHead,
        known: &StoreHead,
    ) -> Result<Option<Untrusted>, StoreUnavailable> {
        if head.epoch != known.epoch {
            return Ok(None);
        }
        Ok(match store.has(known.version, &known.change).await? {
            Some(true) => None,
            Some(false) => Some(Untrusted::lost(head, known)),
            None => Some(Untrusted::new(format!(
                "the moderation store is so far ahead that nobody can tell whether it still has change {}, which is known. If it is \
                 the right one, say `chat-signer store accept`",
                known.version
            ))),
        })
    }
}

const ANOTHER: &str = "the moderation store is not the store that was used before, and nobody has accepted it since. If it is the right store, run `chat-signer store accept`";
