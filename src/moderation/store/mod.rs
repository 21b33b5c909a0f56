//! The store of the moderation entries. Entries have a key and a value. Numbered transactions change them. Each
//! transaction also stores events to publish and jobs to do.
//!
//! A store has no knowledge of bans or roles: keys and values are text. The store guarantees order and durability. It
//! acknowledges a change only when the change would survive a crash. The numbers of changes have no gaps. A process
//! that has seen a change finds the next change, or finds out that this is another store or an older state of the
//! store.

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
pub use self::lease::queue_name;
use self::memory::MemoryStore;
pub use self::record::{HighWaterMark, RecordFile, RecordUpdate};
use self::redb::RedbStore;
use self::redis::RedisStore;
use crate::clock;
use crate::config::{StoreKind, StoreSettings};
use crate::model::Millis;
use crate::random;

/// A store of any kind.
pub enum Store {
    /// A store in memory. Its content is lost when the process ends. For tests.
    Memory(MemoryStore),
    /// A file that only this process uses.
    Redb(RedbStore),
    /// A Redis server that many processes share.
    Redis(RedisStore),
}

/// The identity of a store and its last change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHead {
    /// The id of the store: its first epoch. It stays the same when an operator accepts the store. So it distinguishes
    /// an older state of this store from another store.
    pub id: String,
    /// A random value. It is set when the store is initialized, and set again when an operator accepts the store. Empty:
    /// the store was never initialized.
    pub epoch: String,
    /// The number of the last change; 0 before the first.
    pub version: u64,
    /// The random id of the last change. If two stores have the same version but different ids, their histories differ.
    pub change: String,
    /// The time at which an operator accepted this epoch, by the store's clock. Processes that knew another epoch before
    /// this time can use the store again. `None`: no operator has accepted the store.
    pub accepted_at: Option<Millis>,
    /// The entry count drift: the number of entries that are missing or in excess, compared with the changes. It is
    /// above 0 if another program deleted or wrote entries.
    pub entry_count_drift: u64,
    /// The last change that a process knew before it found that the store had lost changes and marked the store. No
    /// process uses the store until an operator accepts it.
    pub rolled_back: Option<LostChange>,
}

/// A change that a store has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostChange {
    /// The number of the change.
    pub version: u64,
    /// The id of the change.
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

    /// Parses the output of [`Display`](fmt::Display).
    fn from_str(text: &str) -> Result<LostChange, ParseIntError> {
        let (version, id) = text.split_once(' ').unwrap_or((text, ""));
        Ok(LostChange { version: version.parse()?, id: id.to_owned() })
    }
}

/// All entries of a store, read at the time of the head or later. They can include changes after the head. Applying
/// these changes again does no harm.
#[derive(Clone, Debug)]
pub struct StoreContents {
    /// The head when the read began.
    pub head: StoreHead,
    /// Every entry, as key and value.
    pub entries: Vec<(String, String)>,
}

/// A change to make.
#[derive(Clone, Debug, Default)]
pub struct NewChange {
    /// The new values of entries, by key. `None` deletes the entry.
    pub puts: Vec<(String, Option<String>)>,
    /// The events to publish, as JSON.
    pub events: Vec<String>,
    /// The jobs that the change requests.
    pub jobs: Vec<NewJob>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChange {
    /// The number of the change.
    pub version: u64,
    /// The random id of the change.
    pub id: String,
    /// The time at which the change was made.
    pub at: Millis,
    /// The new values of entries, by key. `None`: the entry was deleted.
    pub puts: Vec<(String, Option<String>)>,
    /// The events of the change, as JSON.
    pub events: Vec<String>,
}

/// A job that some process does at least once. It replaces a waiting job with the same key and starts from the
/// beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// The key. It starts with the kind of job (`enforce:` or `webhook:`) and the app or webhook, which determine its
    /// [queue](queue).
    pub key: String,
    /// The data that the worker needs, as JSON.
    pub body: String,
}

/// A job and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The key.
    pub key: String,
    /// The data that the worker needs, as JSON.
    pub body: String,
    /// The number of the change that requested the job. If a later change requests it, it is a new job.
    pub revision: u64,
    /// The number of attempts since the job was requested.
    pub attempts: u32,
    /// The number of failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// The earliest time of the next attempt.
    pub due: Millis,
    /// The state.
    pub state: JobState,
    /// The error of the last attempt, if it failed.
    pub error: Option<String>,
    /// Whether another worker claimed the job before and did not report a result. Its last request can still arrive at
    /// the vendor or webhook.
    pub taken_over: bool,
    /// The time at which the job was requested, by the store's clock if it has one. `None`: an earlier version wrote
    /// the job.
    pub asked: Option<Millis>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// The job waits, or a worker does it.
    Pending,
    /// The job is done.
    Done,
    /// The job cannot be done. An operator should look at it.
    DeadLetter,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The job is done.
    Done,
    /// The job must be tried again.
    Retry {
        /// The earliest time of the next attempt.
        due: Millis,
        /// The error. `None`: there was no error.
        error: Option<String>,
    },
    /// The job cannot be done.
    DeadLetter {
        /// The error.
        error: String,
    },
}

/// The error of a commit: the change was not made, or it is unknown whether it was made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another change was made first. Read the store again.
    #[error("the store has changed meanwhile")]
    Behind,
    /// The store is not available. The change was possibly made. To find out, read the store again.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// The changes after a number, or the information that some of them are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangesSince {
    /// The first of the changes, in order, without a gap, up to the limits of one read. Empty: there are no later
    /// changes.
    Changes(Vec<StoredChange>),
    /// Some of the changes are no longer kept. Read all contents.
    NoLongerKept,
}

/// The number of changes that the log keeps.
pub const LOG_LIMIT: u64 = 10_000;

/// The number of done jobs that are kept, and of webhook messages that are kept as dead letters. All other dead letters
/// are kept: there is at most one for each user and conversation.
pub const ENDED_JOBS_LIMIT: usize = 1_000;

/// The error message of a store that has lost changes.
pub const ROLLED_BACK_MESSAGE: &str = "the moderation store has lost changes that it had acknowledged. To use it as it is, run `chat-signer store \
                               accept`";

/// The maximum number of changes in one read.
pub const READ_LIMIT_CHANGES: usize = 500;

/// The limit of one read of changes, in bytes. The last change can exceed it, so a single larger change can be read.
pub const READ_LIMIT_BYTES: usize = 1 << 20;

impl StoreHead {
    /// Returns the label of this store in metrics: the beginning of its epoch. `None`: the store was never initialized.
    pub fn metrics_label(&self) -> Option<&str> {
        let label = self.epoch.get(..8).unwrap_or(&self.epoch);
        (!label.is_empty()).then_some(label)
    }

    /// Returns why this store must not be used and what to do, if the store is marked as rolled back or its entry count
    /// drifted.
    pub fn unusable_reason(&self) -> Option<String> {
        if let Some(LostChange { version, .. }) = &self.rolled_back {
            return Some(format!("{ROLLED_BACK_MESSAGE} (a process that knew change {version} has marked it)"));
        }
        let astray = self.entry_count_drift;
        (astray > 0).then(|| {
            format!(
                "the entries of the moderation store do not match its changes ({astray} too few or too many): \
                 another program evicts, deletes or writes its keys. Restore the store, or accept it as it is with \
                 `chat-signer store accept`"
            )
        })
    }
}

impl Store {
    /// Creates a store in memory. Its content is lost when the process ends.
    pub fn memory() -> Store {
        Store::Memory(MemoryStore::default())
    }

    /// Opens the store of the configuration. Creates a missing file. Connects to a server only when it is first needed.
    ///
    /// # Errors
    /// Returns an error if the store is a file that cannot be used.
    pub async fn open(settings: &StoreSettings) -> Result<Store, StoreUnavailable> {
        match &settings.kind {
            StoreKind::Redb { path } => RedbStore::open(path).await.map(Store::Redb),
            StoreKind::Redis(settings) => RedisStore::open(settings).map(Store::Redis),
            StoreKind::Memory => Ok(Store::memory()),
        }
    }

    /// Reads the head of the store. It asks the primary, so the head includes every change that was acknowledged
    /// before.
    pub async fn head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.head()),
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.head().await,
        }
    }

    /// Returns whether several processes can use the store at the same time.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Memory(_) | Store::Redb(_) => false,
            Store::Redis(_) => true,
        }
    }

    /// Reads the head, and returns when all changes up to this head are durable, including the changes of other
    /// processes. The caller can then report them as done.
    pub async fn durable_head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.head()),
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.durable_head().await,
        }
    }

    /// Returns the time of the clock that all processes with this store share.
    pub async fn now(&self) -> Result<Millis, StoreUnavailable> {
        match self {
            Store::Memory(_) | Store::Redb(_) => Ok(clock::now()),
            Store::Redis(redis) => redis.now().await,
        }
    }

    /// Returns whether the store must be opened again before it can be used.
    pub fn is_broken(&self) -> bool {
        match self {
            Store::Memory(_) | Store::Redis(_) => false,
            Store::Redb(redb) => redb.is_broken(),
        }
    }

    /// Tests whether the store would acknowledge a change now. The test writes to the store, but it does not change the
    /// version, the log of changes or the entries.
    ///
    /// # Errors
    /// Returns an error if the store would not acknowledge a change.
    pub async fn probe(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(_) => Ok(()),
            Store::Redb(redb) => redb.probe().await,
            Store::Redis(redis) => redis.probe().await,
        }
    }

    /// Returns whether a process can initialize a store that was never initialized. A process must not initialize a
    /// shared store: after a start it cannot distinguish a new store from a store that lost everything.
    pub fn can_initialize(&self) -> bool {
        !self.is_shared()
    }

    /// Initializes a store that was never initialized: sets its epoch. Does nothing if the store is initialized.
    pub async fn initialize(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(memory) => memory.begin(),
            Store::Redb(redb) => redb.begin().await,
            Store::Redis(redis) => redis.begin().await,
        }
    }

    /// Accepts the store as it is, on behalf of an operator: sets a new epoch. Processes that knew another epoch then
    /// use the store.
    pub async fn accept(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(memory) => memory.accept(),
            Store::Redb(redb) => redb.accept().await,
            Store::Redis(redis) => redis.accept().await,
        }
    }

    /// Reads all entries.
    pub async fn read_all(&self) -> Result<StoreContents, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.contents()),
            Store::Redb(redb) => redb.contents().await,
            Store::Redis(redis) => redis.contents().await,
        }
    }

    /// Reads the first changes after this version.
    pub async fn changes_since(&self, version: u64) -> Result<ChangesSince, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.since(version)),
            Store::Redb(redb) => redb.since(version).await,
            Store::Redis(redis) => redis.since(version).await,
        }
    }

    /// Makes a change if the store still has this head. Returns when the change is durable. `at` is the time that the
    /// change records. Jobs of a shared store use the clock of the store instead.
    pub async fn commit(&self, on: &StoreHead, commit: NewChange, at: Millis) -> Result<StoredChange, CommitError> {
        match self {
            Store::Memory(memory) => memory.commit(on, commit, at),
            Store::Redb(redb) => redb.commit(on, commit, at).await,
            Store::Redis(redis) => redis.commit(on, commit, at).await,
        }
    }

    /// Returns whether this change is part of the store's history. `None`: the change is too old, so this is unknown.
    pub async fn has_change(&self, version: u64, change: &str) -> Result<Option<bool>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(Some(memory.has(version, change))),
            Store::Redb(redb) => redb.has(version, change).await,
            Store::Redis(redis) => redis.has(version, change).await,
        }
    }

    /// Stores in the store of a single process that it has a record file. A later start without the record file fails.
    pub async fn set_has_record(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.note_record().await,
            // Each process has its own record file, or none.
            Store::Memory(_) | Store::Redis(_) => Ok(()),
        }
    }

    /// Marks a shared store that lacks the change `known`. No process can use the store until an operator accepts it.
    /// The mark is set only if the store still has the head `seen` and still lacks that change. A second mark has no
    /// effect. A store of a single process needs no mark: its record file gives the same information at each start.
    pub async fn mark_rolled_back(&self, seen: &StoreHead, known: &StoreHead) -> Result<(), StoreUnavailable> {
        match self {
            Store::Memory(_) | Store::Redb(_) => Ok(()),
            Store::Redis(redis) => redis.mark_rolled_back(seen, known).await,
        }
    }

    /// Returns a receiver that is notified when the store has possibly changed. A notification can get lost.
    pub fn subscribe_hints(&self) -> watch::Receiver<u64> {
        match self {
            Store::Memory(memory) => memory.hints(),
            Store::Redb(redb) => redb.hints(),
            Store::Redis(redis) => redis.hints(),
        }
    }

    /// Claims due jobs that no other worker has a lease on. `lease` is the duration of the lease. `queues` has the
    /// queues, each with its maximum number of jobs. Jobs that have been due for longest come first. `worker` is the
    /// name of the worker, which is unique for each process.
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

    /// Completes a job: stores the result of the attempt and ends the lease. If the job was requested again since it
    /// was claimed, only the lease ends. If another worker has claimed the job, nothing changes. Returns whether the
    /// result was stored.
    pub async fn complete(
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

    /// Returns at most `most` jobs in this state whose keys begin with `prefix` and come after `after`, in the order of
    /// keys.
    pub async fn list_jobs(
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

    /// Returns the checkpoint that a worker stored under this key.
    pub async fn checkpoint(&self, key: &str) -> Result<Option<String>, StoreUnavailable> {
        match self {
            Store::Memory(memory) => Ok(memory.note(key)),
            Store::Redb(redb) => redb.note(key).await,
            Store::Redis(redis) => redis.note(key).await,
        }
    }

    /// Stores a checkpoint for the next job of this kind, or deletes it, if this worker still has the lease on `job`.
    /// Returns whether it has. The checkpoint is durable when this method returns.
    pub async fn set_checkpoint(
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

/// Returns the changes that fit into one read. Each item has the size of the change in bytes.
fn limit_read<T>(changes: impl Iterator<Item = (usize, T)>) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    let is_room = move |(size, _): &(usize, T)| {
        let is_room = bytes < READ_LIMIT_BYTES;
        bytes += size;
        is_room
    };
    changes.take(READ_LIMIT_CHANGES).take_while(is_room).map(|(_, change)| change)
}

/// Returns a unique random id.
fn random_id() -> Result<String, StoreUnavailable> {
    Ok(hex::encode(random::bytes::<16>()?))
}
