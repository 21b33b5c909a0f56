//! How the index comes to what the store holds: by the changes since, in parts, or by reading everything anew.

use std::sync::PoisonError;

use tokio::task::spawn_blocking;

use super::lineage::Untrusted;
use super::{ModerationReplica, advance};
use crate::moderation::index::ModerationIndex;
use crate::store::{ChangesSince, FailureReason, Store, StoreContents, StoreHead, StoreUnavailable, StoredChange};

/// What came of it; the inner error says why the store doesn't count.
type SyncResult = Result<Result<(), Untrusted>, StoreUnavailable>;

impl ModerationReplica {
    /// Whether the store was read since the program started.
    pub(super) fn is_loaded(&self) -> bool {
        !self.head().epoch.is_empty()
    }

    /// Compares what is known with what the store holds and takes over what is new.
    pub(super) async fn compare(&self, store: &Store, known: &mut StoreHead) -> SyncResult {
        let mut head = store.head().await?;
        if head.epoch.is_empty() && known.epoch.is_empty() && store.begins_itself() {
            store.begin().await?;
            head = store.head().await?;
        }
        if head.epoch.is_empty() {
            return Ok(Err(Untrusted::new(EMPTY)));
        }
        if head == *known && self.is_loaded() {
            return Ok(Ok(()));
        }
        if let Some(untrusted) = self.distrust(store, &head, known).await? {
            return Ok(Err(untrusted));
        }
        if let Some(untrusted) = self.distrust_marked(store, &head).await? {
            return Ok(Err(untrusted));
        }
        if let Some(flaw) = head.flaw() {
            return Ok(Err(Untrusted::new(flaw)));
        }
        if head.epoch == known.epoch && self.is_loaded() {
            self.read_on(store, known, &head).await
        } else {
            self.read_all(store, known, &head).await
        }
    }

    /// Takes over changes until what is known has come as far as this head.
    async fn read_on(&self, store: &Store, known: &mut StoreHead, head: &StoreHead) -> SyncResult {
        while known.version < head.version {
            match go_on(store, known).await? {
                LogContinuation::With(new) if !new.is_empty() => {
                    if let Err(flaw) = self.take(known, &new) {
                        return Ok(Err(Untrusted::new(flaw)));
                    }
                }
                LogContinuation::With(_) | LogContinuation::Gone => return self.read_all(store, known, head).await,
                LogContinuation::Lost => return Ok(Err(Untrusted::lost(head, known))),
            }
        }
        Ok(Ok(()))
    }

    /// Reads everything, if the store then still is the one with this head and has what is known. What was known before counts until all of it is there.
    async fn read_all(&self, store: &Store, known: &mut StoreHead, judged: &StoreHead) -> SyncResult {
        let StoreContents { head, entries } = store.contents().await?;
        if head.epoch != judged.epoch || head.version < judged.version {
            return Err(StoreUnavailable::new(FailureReason::Other, "it became another one while it was read"));
        }
        if let Some(flaw) = head.flaw() {
            return Ok(Err(Untrusted::new(flaw)));
        }
        // With many entries this takes seconds, in which others have work to do.
        let indexed = move || ModerationIndex::new(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let indexed = spawn_blocking(indexed).await.map_err(|_| other("it could not be indexed"))?;
        let index = match indexed {
            Ok(index) => index,
            Err(malformed) => return Ok(Err(Untrusted::new(malformed.to_string()))),
        };
        let (index, head) = match finish(store, index, head).await? {
            Ok(finished) => finished,
            Err(flaw) => return Ok(Err(Untrusted::new(flaw))),
        };
        if let Some(untrusted) = self.distrust_history(store, &head, known).await? {
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
        // To take it apart takes as long as to build it.
        spawn_blocking(move || drop(before));
    }
}

/// Brings an index of contents to one moment: some of what was changed while they were read is in them, and some isn't.
async fn finish(
    store: &Store,
    mut index: ModerationIndex,
    mut head: StoreHead,
) -> Result<Result<(ModerationIndex, StoreHead), String>, StoreUnavailable> {
    let goal = store.head().await?;
    if goal.epoch != head.epoch {
        return Err(other("it became another one while it was read"));
    }
    while head.version < goal.version {
        let changes = match store.since(head.version).await? {
            ChangesSince::Changes(changes) if !changes.is_empty() => changes,
            _ => return Err(other("it changes faster than it can be read")),
        };
        if let Err(flaw) = advance(&mut index, &mut head, &changes) {
            return Ok(Err(flaw));
        }
    }
    Ok(Ok((index, head)))
}

fn other(message: &str) -> StoreUnavailable {
    StoreUnavailable::new(FailureReason::Other, message)
}

/// How a store goes on after what is known.
enum LogContinuation {
    /// With these changes, and maybe more.
    With(Vec<StoredChange>),
    /// Nobody knows: it no longer has the last known change in its log.
    Gone,
    /// It doesn't: it has lost the last known change.
    Lost,
}

/// Reads changes since what is known, and the last known one again: where it isn't the same, the store has lost it.
async fn go_on(store: &Store, known: &StoreHead) -> Result<LogContinuation, StoreUnavailable> {
    let before = known.version.saturating_sub(1);
    let ChangesSince::Changes(mut changes) = store.since(before).await? else { return Ok(LogContinuation::Gone) };
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
    // It may be as large as all that is read at once.
    match store.since(known.version).await? {
        ChangesSince::Changes(changes) => Ok(LogContinuation::With(changes)),
        ChangesSince::Gone => Ok(LogContinuation::Gone),
    }
}

const EMPTY: &str = "the moderation store is empty. If it is new, or what was in it is to be given up, say `chat-signer store \
                     accept`; if not, bring back what it held";
