//! Where the moderation entries is kept: entries by key, changed in transactions that are numbered, each with what is to be told and done because of
//! it.
//!
//! A store knows nothing of bans or roles: keys and values are text. What it promises is order and durability: a change is acknowledged
//! only when it would survive a crash, changes are numbered without a gap, and whoever has seen one finds out about the next, or that
//! the store is no longer the one it was.

mod failure;
mod lease;
mod memory;
mod record;
mod redb;
mod redis;

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::failure::{FailureReason, StoreUnavailable};
pub use self::lease::queue;
use self::memory::MemoryStore;
pub use self::record::{HighWaterMark, RecordFile, RecordUpdate};
use self::redb::RedbStore;
use self::redis::RedisStore;
use crate::clock;
use crate::config::{StoreKind, StoreSettings};
use crate::model::Millis;
use crate::random;

/// A store, of any kind.
pub enum Store {
    /// Forgets all when the process ends. For tests.
    Memory(MemoryStore),
    /// One file, which this process has to itself.
    Redb(RedbStore),
    /// A server that many processes share.
    Redis(RedisStore),
}

/// Which store this is, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHead {
    /// The id of the store: its first epoch. It stays the same when an operator accepts the store, so it tells an older state of this store from another
    /// store.
    pub id: String,
    /// Drawn when the store was begun, and again when an operator accepted it as it was. Empty: the store has never been begun.
    pub epoch: String,
    /// The number of the last change; 0 before the first.
    pub version: u64,
    /// What was drawn for the last change. Two stores with the same number and another id have parted ways.
    pub change: String,
    /// When an operator accepted this epoch, by the store's clock, so that it counts for who knew another until then. `None`: nobody has.
    pub accepted: Option<Millis>,
    /// How many entries there are too few or too many for what changes have left: something else took them away or put them there.
    pub astray: u64,
    /// A process has found that the store lost changes, and has marked it: the last change that the process knew. No process uses the store until an operator
    /// accepts it.
    pub rolled_back: Option<LostChange>,
}

/// A change that a store has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostChange {
    /// Its number.
    pub version: u64,
    /// Its id.
    pub id: String,
}

impl fmt::Display for LostChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LostChange { version, id } = self;
        write!(f, "{version} {id}")
    }
}

impl FromStr for LostChange {
    type Err = ParseIntError;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<LostChange, ParseIntError> {
        let (version, id) = text.split_once(' ').unwrap_or((text, ""));
        Ok(LostChange { version: version.parse()?, id: id.to_owned() })
    }
}

/// All that a store holds, as it was when the head was read or later: what follows the head may be in it, and is applied again.
#[derive(Clone, Debug)]
pub struct StoreContents {
    /// How far the store had come when the reading began.
    pub head: StoreHead,
    /// Every entry, as key and value.
    pub entries: Vec<(String, String)>,
}

/// A change to be made.
#[derive(Clone, Debug, Default)]
pub struct NewChange {
    /// What becomes of entries, by key: their new value, or `None` where they go.
    pub puts: Vec<(String, Option<String>)>,
    /// What is told to who listens, one for each thing that happened: JSON.
    pub events: Vec<String>,
    /// What is to be done because of it.
    pub jobs: Vec<NewJob>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChange {
    /// Its number.
    pub version: u64,
    /// What was drawn for it.
    pub id: String,
    /// When it was made.
    pub at: Millis,
    /// What became of entries.
    pub puts: Vec<(String, Option<String>)>,
    /// What is told of it.
    pub events: Vec<String>,
}

/// Something to be done, at least once, by whichever process comes to it. A job of the same key that waits already is replaced, and
/// begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What it is about. Starts with the kind of job, `enforce:` or `webhook:`, and for whom it is, which is where it [queues](queue).
    pub key: String,
    /// What whoever does it must know: JSON.
    pub body: String,
}

/// A job, with how it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What it is about.
    pub key: String,
    /// What whoever does it must know.
    pub body: String,
    /// The change that asked for it. A later one makes it another job.
    pub revision: u64,
    /// How often it was tried since it was asked for.
    pub attempts: u32,
    /// How often of late it failed, one time after the other.
    #[serde(default)]
    pub failures: u32,
    /// When it may be tried next.
    pub due: Millis,
    /// How it stands.
    pub state: JobState,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Whether someone had claimed it before and wasn't heard of again. What they did last may still be on its way.
    pub taken_over: bool,
    /// When it was asked for, by the store's clock if it has one. `None`: an earlier version wrote it.
    pub asked: Option<Millis>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// It waits, or is being done.
    Pending,
    /// It was done.
    Done,
    /// It can't be done, and somebody should look at it.
    DeadLetter,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// It is done.
    Done,
    /// It is to be tried again then.
    Again {
        /// When.
        due: Millis,
        /// Why; `None` where nothing went wrong.
        error: Option<String>,
    },
    /// It can't be done.
    DeadLetter {
        /// Why.
        error: String,
    },
}

/// Why a change was not made, or it isn't known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another was made first. Look at the store again.
    #[error("the store has changed meanwhile")]
    Behind,
    /// The store can't be had. The change may have been made all the same, and is then found when the store is read again.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Changes after a number, or that they are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangesSince {
    /// The first of them, in order, without a gap: as many as are read at once. None: there was no change.
    Changes(Vec<StoredChange>),
    /// Some of them are gone. Read all contents.
    Gone,
}

/// How many changes are kept to be read again.
pub const KEPT: u64 = 10_000;

/// How many jobs that are done are kept to be looked at, and how many messages to webhooks that became dead letters. Of what else was set
/// aside all is kept: there is one for each user and conversation.
pub const KEPT_DONE: usize = 1_000;

/// Why a store is refused that lacks changes.
pub const ROLLED_BACK: &str = "the moderation store has lost changes that it had acknowledged. If it is to count as it is, say `chat-signer \
                               store accept`";

/// How many changes are read at once, at most.
pub const CHANGES_AT_ONCE: usize = 500;

/// How many bytes of changes are read at once. The last of them may go beyond it, so that one that is larger than all this is read, too.
pub const BYTES_AT_ONCE: usize = 1 << 20;

impl StoreHead {
    /// What tells this store from others, for metrics: the beginning of its epoch. `None`: it has never been begun.
    pub fn label(&self) -> Option<&str> {
        let label = self.epoch.get(..8).unwrap_or(&self.epoch);
        (!label.is_empty()).then_some(label)
    }

    /// Why a store that says this doesn't count, and what to do, if it is marked as rolled back or entries are astray.
    pub fn flaw(&self) -> Option<String> {
        if let Some(LostChange { version, .. }) = &self.rolled_back {
            return Some(format!("{ROLLED_BACK} (a process that knew change {version} has marked it)"));
        }
        let astray = self.astray;
        (astray > 0).then(|| {
            format!(
                "the entries of the moderation store are not those that its changes have left ({astray} too few or too many): \
                 something else evicts, deletes or writes its keys. Bring back what it held; if it is to count as it is, \
                 say `chat-signer store accept`"
            )
        })
    }
}

impl Store {
    /// A store that forgets all when the process ends.
    pub fn memory() -> Store {
        Store::Memory(MemoryStore::default())
    }

    /// Opens the store that the configuration says. A file is begun where there is none; a server is waited for when it is needed.
    ///
    /// # Errors
    /// If it is a file that can't be used.
    pub async fn open(settings: &StoreSettings) -> Result<Store, StoreUnavailable> {
        match &settings.kind {
            StoreKind::Redb { path } => RedbStore::open(path).await.map(Store::Redb),
            StoreKind::Redis(settings) => RedisStore::open(settings).map(Store::Redis),
            StoreKind::Memory => Ok(Store::memory()),
        }
    }

    /// How far the store has come: read where it is written, so that nothing acknowledged before is missing.
    pub async fn head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.head()),
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.head().await,
        }
    }

    /// Whether several processes may have it at the same time.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Memory(_) | Store::Redb(_) => false,
            Store::Redis(_) => true,
        }
    }

    /// The same, once all that it tells of is durable, whoever made it: who goes by it may say that something is so already.
    pub async fn durable_head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.head()),
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.durable_head().await,
        }
    }

    /// The time by the clock that all who share the store have in common.
    pub async fn now(&self) -> Result<Millis, StoreUnavailable> {
        match self {
            Store::Memory(_) | Store::Redb(_) => Ok(clock::now()),
            Store::Redis(redis) => redis.now().await,
        }
    }

    /// Whether it can't be used any more until it is opened anew.
    pub fn is_broken(&self) -> bool {
        match self {
            Store::Memory(_) | Store::Redis(_) => false,
            Store::Redb(redb) => redb.is_broken(),
        }
    }

    /// Tries whether a change would be acknowledged now, with a write that is no change: the version, the log of changes and the entries
    /// stay as they are.
    ///
    /// # Errors
    /// If a change would not be acknowledged.
    pub async fn probe(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(_) => Ok(()),
            Store::Redb(redb) => redb.probe().await,
            Store::Redis(redis) => redis.probe().await,
        }
    }

    /// Whether a store that has never been begun may be begun by whoever finds it so. One that several processes share may not: to who
    /// has just started, one that lost everything looks just like a new one.
    pub fn begins_itself(&self) -> bool {
        !self.is_shared()
    }

    /// Begins a store that has never been begun: draws its epoch. One that has been is left as it is.
    pub async fn begin(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(memory) => memory.begin(),
            Store::Redb(redb) => redb.begin().await,
            Store::Redis(redis) => redis.begin().await,
        }
    }

    /// An operator's word that the store is as it should be, though other processes may know another: draws a new epoch.
    pub async fn accept(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(memory) => memory.accept(),
            Store::Redb(redb) => redb.accept().await,
            Store::Redis(redis) => redis.accept().await,
        }
    }

    /// Reads everything.
    pub async fn contents(&self) -> Result<StoreContents, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.contents()),
            Store::Redb(redb) => redb.contents().await,
            Store::Redis(redis) => redis.contents().await,
        }
    }

    /// Reads the first changes after a number.
    pub async fn since(&self, version: u64) -> Result<ChangesSince, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.since(version)),
            Store::Redb(redb) => redb.since(version).await,
            Store::Redis(redis) => redis.since(version).await,
        }
    }

    /// Makes a change, if the store is still at this head, and returns when it is durable. That it was made `at` this time is told of it; what is
    /// shared by many goes by a clock of its own.
    pub async fn commit(&self, on: &StoreHead, commit: NewChange, at: Millis) -> Result<StoredChange, CommitError> {
        match self {
            Store::Memory(memory) => memory.commit(on, commit, at),
            Store::Redb(redb) => redb.commit(on, commit, at).await,
            Store::Redis(redis) => redis.commit(on, commit, at).await,
        }
    }

    /// Whether this change is part of the store's history. `None`: it is too old to tell.
    pub async fn has(&self, version: u64, change: &str) -> Result<Option<bool>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(Some(memory.has(version, change))),
            Store::Redb(redb) => redb.has(version, change).await,
            Store::Redis(redis) => redis.has(version, change).await,
        }
    }

    /// Notes in a store of a single process that it has a record, so that a start without the record is refused.
    pub async fn note_record(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.note_record().await,
            // Each process has a record of its own, or none.
            Store::Memory(_) | Store::Redis(_) => Ok(()),
        }
    }

    /// Leaves a mark in a store that several processes share: it lacks the change `known`, so no process may use it until an operator accepts it. The store
    /// is marked only if it still is as it was `seen`, and still lacks that change. To mark it twice does nothing more. A store of a single process needs no
    /// mark: its record tells the same at each start.
    pub async fn mark_rolled_back(&self, seen: &StoreHead, known: &StoreHead) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(_) | Store::Redb(_) => Ok(()),
            Store::Redis(redis) => redis.mark_rolled_back(seen, known).await,
        }
    }

    /// Changes whenever the store may have: a hint, which can get lost.
    pub fn hints(&self) -> watch::Receiver<u64> {
        match self {
            Store::Memory(memory) => memory.hints(),
            Store::Redb(redb) => redb.hints(),
            Store::Redis(redis) => redis.hints(),
        }
    }

    /// Takes jobs that are due and nobody is at, for this long: of each of these queues so many at most, those first that have been due
    /// for longest. `worker` names who takes them: one name a process.
    pub async fn claim(
        &self,
        worker: &str,
        now: Millis,
        lease: Duration,
        queues: &[(String, usize)],
    ) -> Result<Vec<Job>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.claim(worker, now, lease, queues)),
            Store::Redb(redb) => redb.claim(worker, now, lease, queues).await,
            Store::Redis(redis) => redis.claim(worker, lease, queues).await,
        }
    }

    /// Notes what came of a job, unless it was asked for again or taken over since it was claimed: then whether it is done is another's to
    /// say, and only the claim is given back. Returns whether it was noted.
    pub async fn settle(
        &self,
        worker: &str,
        job: &Job,
        attempt: &AttemptResult,
        now: Millis,
    ) -> Result<bool, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.settle(worker, job, attempt, now)),
            Store::Redb(redb) => redb.settle(worker, job, attempt, now).await,
            Store::Redis(redis) => redis.settle(worker, job, attempt, now).await,
        }
    }

    /// Jobs in this state whose key begins with `prefix`, by key, those after `after`.
    pub async fn jobs(
        &self,
        state: JobState,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<Job>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.jobs(state, prefix, after, most)),
            Store::Redb(redb) => redb.jobs(state, prefix, after, most).await,
            Store::Redis(redis) => redis.jobs(state, prefix, after, most).await,
        }
    }

    /// What was noted under this key by who did jobs.
    pub async fn note(&self, key: &str) -> Result<Option<String>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.note(key)),
            Store::Redb(redb) => redb.note(key).await,
            Store::Redis(redis) => redis.note(key).await,
        }
    }

    /// Notes something for whoever does such a job next, or forgets it, if this worker still has the job. Returns whether it has, and
    /// when it returns the note is durable.
    pub async fn set_note(
        &self,
        worker: &str,
        job: &Job,
        key: &str,
        value: Option<String>,
    ) -> Result<bool, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.set_note(worker, job, key, value)),
            Store::Redb(redb) => redb.set_note(worker, job, key, value).await,
            Store::Redis(redis) => redis.set_note(worker, job, key, value).await,
        }
    }
}

/// As many of these changes as are read at once, each with how many bytes it has.
fn at_once<T>(changes: impl Iterator<Item = (usize, T)>) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    let is_room = move |(size, _): &(usize, T)| {
        let is_room = bytes < BYTES_AT_ONCE;
        bytes += size;
        is_room
    };
    changes.take(CHANGES_AT_ONCE).take_while(is_room).map(|(_, change)| change)
}

/// An id that no other has.
fn fresh() -> Result<String, StoreUnavailable> {
    Ok(hex::encode(random::bytes::<16>()?))
}
