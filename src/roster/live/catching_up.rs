//! How the index comes to what the store holds: by the changes since, in parts, or by reading everything anew.

use std::sync::PoisonError;

use tokio::task::spawn_blocking;

use super::{Roster, advance};
use crate::roster::index::Index;
use crate::store::{Change, Contents, FailureReason, Head, Since, Store, Unavailable};

/// What came of it; the inner error says why the store doesn't count.
type Done = Result<Result<(), String>, Unavailable>;

impl Roster {
    /// Compares what is known with what the store holds and takes over what is new.
    pub(super) async fn compare(&self, store: &Store, known: &mut Head) -> Done {
        let mut head = store.head().await?;
        if head.epoch.is_empty() && known.epoch.is_empty() && store.begins_itself() {
            store.begin().await?;
            head = store.head().await?;
        }
        if head.epoch.is_empty() {
            return Ok(Err(EMPTY.to_owned()));
        }
        if head == *known {
            return Ok(Ok(()));
        }
        if let Some(flaw) = head.flaw() {
            return Ok(Err(flaw));
        }
        if known.epoch.is_empty() || head.epoch != known.epoch && self.is_accepted(store, &head, known).await? {
            return self.read_all(store, known).await;
        }
        if head.epoch != known.epoch {
            return Ok(Err(ANOTHER.to_owned()));
        }
        if head.version < known.version || head.version == known.version && head.change != known.change {
            return Ok(Err(format!("{OLDER} (it is at change {}, {} is known)", head.version, known.version)));
        }
        self.read_on(store, known, head.version).await
    }

    /// Whether a store of another epoch counts: an operator has accepted it since the one that is known was last heard of, or it has all
    /// that is known. That it was accepted at some time is not enough: so was every store before, and one of those may come back.
    async fn is_accepted(&self, store: &Store, head: &Head, known: &Head) -> Result<bool, Unavailable> {
        let Some(at) = head.accepted else { return Ok(false) };
        let now = store.now().await?;
        let is_since = self.age().is_none_or(|age| at > now.before(age));
        Ok(is_since || matches!(go_on(store, known).await?, On::With(_)))
    }

    /// Takes over changes until what is known has come so far.
    async fn read_on(&self, store: &Store, known: &mut Head, goal: u64) -> Done {
        while known.version < goal {
            match go_on(store, known).await? {
                On::With(new) if !new.is_empty() => {
                    if let Err(flaw) = self.take(known, &new) {
                        return Ok(Err(flaw));
                    }
                }
                On::With(_) | On::Gone => return self.read_all(store, known).await,
                On::Lost => {
                    return Ok(Err(format!("{OLDER} (it does not have change {} as it is known)", known.version)));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Reads everything. What was known before counts until all of it is there.
    async fn read_all(&self, store: &Store, known: &mut Head) -> Done {
        let Contents { head, entries } = store.contents().await?;
        if let Some(flaw) = head.flaw() {
            return Ok(Err(flaw));
        }
        // With many entries this takes seconds, in which others have work to do.
        let indexed = move || Index::new(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let indexed = spawn_blocking(indexed).await.map_err(|_| other("it could not be indexed"))?;
        let index = match indexed {
            Ok(index) => index,
            Err(malformed) => return Ok(Err(malformed.to_string())),
        };
        match finish(store, index, head).await? {
            Ok((index, head)) => {
                *known = head;
                self.replace(index, known);
                Ok(Ok(()))
            }
            Err(flaw) => Ok(Err(flaw)),
        }
    }

    fn replace(&self, index: Index, known: &Head) {
        let mut place = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, index);
        drop(place);
        self.publish(known);
        // To take it apart takes as long as to build it.
        spawn_blocking(move || drop(before));
    }
}

/// Brings an index of contents to one moment: some of what was changed while they were read is in them, and some isn't.
async fn finish(store: &Store, mut index: Index, mut head: Head) -> Result<Result<(Index, Head), String>, Unavailable> {
    let goal = store.head().await?;
    if goal.epoch != head.epoch {
        return Err(other("it became another one while it was read"));
    }
    while head.version < goal.version {
        let changes = match store.since(head.version).await? {
            Since::Changes(changes) if !changes.is_empty() => changes,
            _ => return Err(other("it changes faster than it can be read")),
        };
        if let Err(flaw) = advance(&mut index, &mut head, &changes) {
            return Ok(Err(flaw));
        }
    }
    Ok(Ok((index, head)))
}

fn other(message: &str) -> Unavailable {
    Unavailable::new(FailureReason::Other, message)
}

/// How a store goes on after what is known.
enum On {
    /// With these changes, and maybe more.
    With(Vec<Change>),
    /// Nobody knows: it no longer has the last known change in its log.
    Gone,
    /// It doesn't: it has lost the last known change.
    Lost,
}

/// Reads changes since what is known, and the last known one again: where it isn't the same, the store has lost it.
async fn go_on(store: &Store, known: &Head) -> Result<On, Unavailable> {
    let before = known.version.saturating_sub(1);
    let Since::Changes(mut changes) = store.since(before).await? else { return Ok(On::Gone) };
    if known.version == before {
        return Ok(On::With(changes));
    }
    let is_there = changes.first().is_some_and(|first| (first.version, &first.id) == (known.version, &known.change));
    if !is_there {
        return Ok(On::Lost);
    }
    changes.remove(0);
    if !changes.is_empty() {
        return Ok(On::With(changes));
    }
    // It may be as large as all that is read at once.
    match store.since(known.version).await? {
        Since::Changes(changes) => Ok(On::With(changes)),
        Since::Gone => Ok(On::Gone),
    }
}

const EMPTY: &str = "the roster's store is empty. If it is new, or what was in it is to be given up, say `chat-signer store \
                     accept`; if not, bring back what it held";

const ANOTHER: &str = "the roster's store is another one than before, and nobody has accepted it since. If it is the right one now, say `chat-signer store accept`";

const OLDER: &str = "the roster's store has lost changes that it had acknowledged. If it is to count as it is, say `chat-signer \
                     store accept`";
