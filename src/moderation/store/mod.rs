//! The store of the moderation entries. Entries have a key and a value. Numbered transactions change them. Each
//! transaction also stores events to publish and jobs to do.
//!
//! A store has no knowledge of bans or roles: keys and values are text. The store guarantees order and durability. It
//! acknowledges a change only when the change would survive a crash. The numbers of changes have no gaps. A process
//! that has seen a change finds the next change, or finds out that this is another store or an older state of the
//! store.

mod change;
mod entry_reader;
mod failure;
mod head;
mod job;
mod lease;
mod record;
mod redb;
mod redis;

use std::time::Duration;

use tokio::sync::watch;

pub use self::change::{
    ChangeRequest, ChangesSince, CommitError, LOG_LIMIT, NewChange, READ_LIMIT_BYTES, READ_LIMIT_CHANGES, StoredChange,
};
pub use self::entry_reader::EntryReader;
use self::entry_reader::ReaderKind;
pub use self::failure::{FailureReason, StoreUnavailable};
pub use self::head::{EntryPart, ROLLED_BACK_MESSAGE, RollbackMark, StoreContents, StoreHead};
pub use self::job::{
    AttemptResult, ENDED_JOBS_LIMIT, FailureCause, Job, JobFailure, JobState, NewJob, queue_name, subject,
};
pub use self::record::{HighWaterMark, RecordFile, RecordUpdate};
use self::redb::RedbStore;
use self::redis::RedisStore;
use crate::clock;
use crate::config::{StoreKind, StoreSettings};
use crate::model::Millis;
use crate::telemetry::outbox::QueueDepth;

/// A store of any kind.
pub enum Store {
    /// A file that only this process uses, or the memory of this process.
    Redb(RedbStore),
    /// A Redis server that many processes share.
    Redis(Box<RedisStore>),
}

impl Store {
    /// Creates a store in memory. Its content is lost when the store is dropped.
    ///
    /// # Errors
    /// Returns an error if the system has no random numbers.
    pub fn memory() -> Result<Store, StoreUnavailable> {
        RedbStore::in_memory().map(Store::Redb)
    }

    /// Opens the store of the configuration. Creates a missing file. Connects to a server only when it is first needed.
    ///
    /// # Errors
    /// Returns an error if the store is a file that cannot be used.
    pub async fn open(settings: &StoreSettings) -> Result<Store, StoreUnavailable> {
        match &settings.kind {
            StoreKind::Redb { path } => RedbStore::open(path).await.map(Store::Redb),
            StoreKind::Redis(settings) => RedisStore::open(settings).map(Box::new).map(Store::Redis),
            StoreKind::Memory => Store::memory(),
        }
    }

    /// Uses the users, passwords and certificates in these settings for new connections. Open connections remain.
    ///
    /// # Errors
    /// Returns an error if the certificates cannot be used. In this case nothing changes.
    pub fn use_credentials(&self, settings: &StoreSettings) -> Result<(), rustls::Error> {
        match (self, &settings.kind) {
            (Store::Redis(redis), StoreKind::Redis(settings)) => redis.use_credentials(settings),
            (Store::Redis(_) | Store::Redb(_), _) => Ok(()),
        }
    }

    /// Reads the head of the store. It asks the primary, so the head includes every change that was acknowledged
    /// before.
    pub async fn head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.head().await,
        }
    }

    /// Returns whether several processes can use the store at the same time.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Redb(_) => false,
            Store::Redis(_) => true,
        }
    }

    /// Reads the head, and returns when all changes up to this head are durable, including the changes of other
    /// processes. The caller can then report them as done.
    pub async fn durable_head(&self) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.head().await,
            Store::Redis(redis) => redis.durable_head().await,
        }
    }

    /// Returns the head up to which other processes than the author may use changes. With replicas, this method waits
    /// until they have the changes up to `seen`. Otherwise a failover could take back a change that processes already
    /// use, and they would refuse the store. If the replicas do not keep up, returns the present head after a while.
    pub async fn replicated_head(&self, seen: &StoreHead) -> Result<StoreHead, StoreUnavailable> {
        match self {
            Store::Redb(_) => Ok(seen.clone()),
            Store::Redis(redis) => redis.replicated_head(seen).await,
        }
    }

    /// Returns the largest difference between the clock of this machine and the clock of a shared store with which a
    /// process may decide. `None`: the store has no clock of its own.
    pub fn max_clock_offset(&self) -> Option<Duration> {
        match self {
            Store::Redb(_) => None,
            Store::Redis(redis) => Some(redis.max_clock_offset()),
        }
    }

    /// Returns the time of the clock that all processes with this store share.
    pub async fn now(&self) -> Result<Millis, StoreUnavailable> {
        match self {
            Store::Redb(_) => Ok(clock::now()),
            Store::Redis(redis) => redis.now().await,
        }
    }

    /// Returns whether the store must be opened again before it can be used.
    pub fn is_broken(&self) -> bool {
        match self {
            Store::Redis(_) => false,
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
            Store::Redb(redb) => redb.begin().await,
            Store::Redis(redis) => redis.begin().await,
        }
    }

    /// Accepts the store as it is, on behalf of an operator: sets a new epoch. Processes that knew another epoch then
    /// use the store.
    pub async fn accept(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.accept().await,
            Store::Redis(redis) => redis.accept().await,
        }
    }

    /// Begins to read all entries part by part.
    pub async fn read_entries(&self) -> Result<EntryReader<'_>, StoreUnavailable> {
        Ok(EntryReader(match self {
            Store::Redb(redb) => ReaderKind::Redb(redb.reader().await?),
            Store::Redis(redis) => ReaderKind::Redis(redis.reader().await?),
        }))
    }

    /// Reads all entries at once. With many entries, [`read_entries`](Self::read_entries) needs less memory.
    pub async fn read_all(&self) -> Result<StoreContents, StoreUnavailable> {
        self.read_entries().await?.contents().await
    }

    /// Returns the values of these keys, each if the entry exists.
    pub async fn find_entries(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.find_entries(keys).await,
            Store::Redis(redis) => redis.find_entries(&keys).await,
        }
    }

    /// Reads the first changes after this version.
    pub async fn changes_since(&self, version: u64) -> Result<ChangesSince, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.since(version).await,
            Store::Redis(redis) => redis.since(version).await,
        }
    }

    /// Makes a change if the store still has this head. Returns when the change is durable. `at` is the time that the
    /// change records. Jobs of a shared store use the clock of the store instead.
    pub async fn commit(&self, on: &StoreHead, commit: NewChange, at: Millis) -> Result<StoredChange, CommitError> {
        match self {
            Store::Redb(redb) => redb.commit(on, commit, at).await,
            Store::Redis(redis) => redis.commit(on, commit, at).await,
        }
    }

    /// Returns whether this change is part of the store's history. `None`: the change is too old, so this is unknown.
    pub async fn has_change(&self, version: u64, change: &str) -> Result<Option<bool>, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.has(version, change).await,
            Store::Redis(redis) => redis.has(version, change).await,
        }
    }

    /// Stores in the store of a single process that it has a record file. A later start without the record file fails.
    pub async fn set_has_record(&self) -> Result<(), StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.note_record().await,
            // Each process has its own record file, or none.
            Store::Redis(_) => Ok(()),
        }
    }

    /// Marks a shared store that lacks the change `known`. No process can use the store until an operator accepts it.
    /// The mark is set only if the store still has the head `seen` and still lacks that change. A second mark has no
    /// effect. A store of a single process needs no mark: its record file gives the same information at each start.
    pub async fn mark_rolled_back(&self, seen: &StoreHead, known: &StoreHead) -> Result<(), StoreUnavailable> {
        match self {
            Store::Redb(_) => Ok(()),
            Store::Redis(redis) => redis.mark_rolled_back(seen, known).await,
        }
    }

    /// Returns a receiver that is notified when the store has possibly changed. A notification can get lost.
    pub fn subscribe_hints(&self) -> watch::Receiver<u64> {
        match self {
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
            Store::Redb(redb) => redb.jobs(state, prefix, after, most).await,
            Store::Redis(redis) => redis.jobs(state, prefix, after, most).await,
        }
    }

    /// Returns the jobs with these keys, each if it exists.
    pub async fn find_jobs(&self, keys: Vec<String>) -> Result<Vec<Option<Job>>, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.find_jobs(keys).await,
            Store::Redis(redis) => redis.find_jobs(&keys).await,
        }
    }

    /// Replaces each job by the job beside it, if its state, revision and number of attempts are still the same and no
    /// worker does it. Returns which jobs were replaced, when this is durable.
    pub async fn replace_jobs(&self, jobs: Vec<(Job, Job)>, now: Millis) -> Result<Vec<bool>, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.replace_jobs(jobs, now).await,
            Store::Redis(redis) => redis.replace_jobs(&jobs, now).await,
        }
    }

    /// Counts the jobs whose keys begin with `prefix`. `queues` are the queues that this process works on.
    pub async fn count_jobs(
        &self,
        prefix: &str,
        queues: Vec<String>,
        now: Millis,
    ) -> Result<QueueDepth, StoreUnavailable> {
        match self {
            Store::Redb(redb) => redb.count_jobs(prefix, queues, now).await,
            Store::Redis(redis) => redis.count_jobs(prefix, &queues).await,
        }
    }

    /// Returns the checkpoint that a worker stored under this key.
    pub async fn checkpoint(&self, key: &str) -> Result<Option<String>, StoreUnavailable> {
        match self {
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
            Store::Redb(redb) => redb.set_note(worker, job, key, value).await,
            Store::Redis(redis) => redis.set_note(worker, job, key, value).await,
        }
    }
}
