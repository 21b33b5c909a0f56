//! A store that only one process uses: in one file, or in memory.
//!
//! Every change is a transaction. It is on the disk when it is acknowledged. After a failed write, the state of the
//! file is unknown until it is opened again. So the store is not used again until then.

mod file;
mod tables;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use redb::{Database, ReadableDatabase};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use self::file::OpenedFile;
use self::tables::{ReadTables, WriteTables};
use super::change::{ChangesSince, CommitError, NewChange, StoredChange};
use super::failure::{FailureReason, StoreUnavailable};
use super::head::{EntryPart, PART_SIZE, StoreHead, random_id};
use super::job::{AttemptResult, Job, JobState};
use crate::clock;
use crate::model::Millis;
use crate::telemetry::outbox::QueueDepth;

/// A store in a file or in memory.
pub struct RedbStore {
    file: Arc<OpenDatabase>,
    hint: watch::Sender<u64>,
}

struct OpenDatabase {
    /// The path of the file, for error messages.
    name: String,
    /// The opened file. `None`: the store is in memory.
    opened: Option<OpenedFile>,
    database: Database,
    /// The error after which the file must not be used, if there was one.
    broken: OnceLock<String>,
    /// The lock that a probe holds until the disk has answered.
    probe_lock: Mutex<()>,
    /// The results of jobs that wait to be stored.
    settlements: Mutex<Vec<Settlement>>,
}

/// A read of all entries of a snapshot, in the order of their keys.
pub(super) struct RedbReader<'s> {
    store: &'s RedbStore,
    head: StoreHead,
    tables: Arc<ReadTables>,
    count: u64,
    /// The key of the last entry that was read.
    last: Option<String>,
}

/// The result of a job, which waits to be stored.
struct Settlement {
    worker: String,
    job: Job,
    attempt: AttemptResult,
    now: Millis,
    /// Receives whether the result was stored.
    stored: oneshot::Sender<bool>,
}

impl RedbStore {
    /// Opens the file, or creates it.
    pub(super) async fn open(path: &Path) -> Result<RedbStore, StoreUnavailable> {
        let name = path.display().to_string();
        let (path, epoch) = (path.to_owned(), random_id()?);
        let opening = spawn_blocking(move || file::open(&path, &epoch));
        let (database, place) = opening.await.map_err(|_| damaged_error(&name))??;
        Ok(RedbStore::new(name, Some(place), database))
    }

    /// Creates a store in memory.
    pub(super) fn in_memory() -> Result<RedbStore, StoreUnavailable> {
        let name = "the store in memory";
        let database = file::create_in_memory(&random_id()?)
            .map_err(|error| StoreUnavailable::new(FailureReason::Other, format!("{name}: {error}")))?;
        Ok(RedbStore::new(name.to_owned(), None, database))
    }

    fn new(name: String, opened: Option<OpenedFile>, database: Database) -> RedbStore {
        let file = OpenDatabase {
            name,
            opened,
            database,
            broken: OnceLock::new(),
            probe_lock: Mutex::new(()),
            settlements: Mutex::default(),
        };
        RedbStore { file: Arc::new(file), hint: watch::channel(0).0 }
    }

    pub(super) async fn head(&self) -> Result<StoreHead, StoreUnavailable> {
        self.read(ReadTables::head).await
    }

    pub(super) fn is_broken(&self) -> bool {
        self.file.broken.get().is_some()
    }

    pub(super) async fn probe(&self) -> Result<(), StoreUnavailable> {
        self.run(OpenDatabase::probe).await
    }

    pub(super) async fn begin(&self) -> Result<(), StoreUnavailable> {
        let epoch = random_id()?;
        let begun = |writing: &WriteTables| {
            let head = writing.head()?;
            if !head.epoch.is_empty() {
                return Ok(None);
            }
            writing.set_head(&StoreHead { epoch, ..head }).map(Some)
        };
        self.write(begun).await.map(drop)
    }

    pub(super) async fn accept(&self) -> Result<(), StoreUnavailable> {
        let (epoch, accepted) = (random_id()?, Some(clock::now()));
        let accept = move |writing: &WriteTables| {
            let head = writing.head()?;
            writing.set_head(&StoreHead { epoch, accepted_at: accepted, ..head }).map(Some)
        };
        self.write(accept).await?;
        self.hint.send_modify(|hint| *hint += 1);
        Ok(())
    }

    /// Begins to read all entries of a snapshot.
    pub(super) async fn reader(&self) -> Result<RedbReader<'_>, StoreUnavailable> {
        let begin = |file: &OpenDatabase| {
            let tables = ReadTables(file.database.begin_read()?);
            Ok((tables.head()?, tables.count_entries()?, Arc::new(tables)))
        };
        let (head, count, tables) = self.run(move |file| begin(file).map_err(|error| file.read_error(&error))).await?;
        Ok(RedbReader { store: self, head, tables, count, last: None })
    }

    pub(super) async fn find_entries(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, StoreUnavailable> {
        self.read(move |reading| reading.find_entries(&keys)).await
    }

    pub(super) async fn since(&self, version: u64) -> Result<ChangesSince, StoreUnavailable> {
        self.read(move |reading| reading.since(version)).await
    }

    pub(super) async fn has(&self, version: u64, change: &str) -> Result<Option<bool>, StoreUnavailable> {
        let change = change.to_owned();
        self.read(move |reading| reading.has(version, &change)).await
    }

    /// Returns whether the store says that it has a record file.
    pub(super) async fn is_recorded(&self) -> Result<bool, StoreUnavailable> {
        self.read(ReadTables::is_recorded).await
    }

    /// Stores that the store has a record file. So a lost record file is detected.
    pub(super) async fn note_record(&self) -> Result<(), StoreUnavailable> {
        if self.is_recorded().await? {
            return Ok(());
        }
        self.write(|writing| writing.set_has_record().map(Some)).await.map(drop)
    }

    pub(super) async fn commit(
        &self,
        on: &StoreHead,
        commit: NewChange,
        at: Millis,
    ) -> Result<StoredChange, CommitError> {
        let (on, id) = (on.clone(), random_id()?);
        let made = move |writing: &WriteTables| {
            if writing.head()? != on {
                return Ok(None);
            }
            writing.commit(on, id, commit, at).map(Some)
        };
        let change = self.write(made).await?.ok_or(CommitError::Behind)?;
        self.hint.send_modify(|hint| *hint += 1);
        Ok(change)
    }

    pub(super) fn hints(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }

    pub(super) async fn claim(
        &self,
        worker: &str,
        now: Millis,
        lease: Duration,
        queues: &[(String, usize)],
    ) -> Result<Vec<Job>, StoreUnavailable> {
        let (worker, queues) = (worker.to_owned(), queues.to_vec());
        // Usually no job is ready. This check needs no write.
        let ready = self.read(move |reading| reading.claimable_keys(now, &queues)).await?;
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = move |writing: &WriteTables| writing.claim(&worker, now, now.after(lease), &ready).map(Some);
        Ok(self.write(claimed).await?.unwrap_or_default())
    }

    pub(super) async fn settle(
        &self,
        worker: &str,
        job: &Job,
        attempt: &AttemptResult,
        now: Millis,
    ) -> Result<bool, StoreUnavailable> {
        let (stored, result) = oneshot::channel();
        let (worker, job, attempt) = (worker.to_owned(), job.clone(), attempt.clone());
        self.file.settlements().push(Settlement { worker, job, attempt, now, stored });
        let file = Arc::clone(&self.file);
        // One transaction takes all results that wait, so that many results need one write to the disk.
        let settled = self.write(move |writing| {
            let waiting = std::mem::take(&mut *file.settlements());
            let settle = |one: &Settlement| writing.settle(&one.worker, &one.job, &one.attempt, one.now);
            let stored = waiting.iter().map(settle).collect::<Result<Vec<_>, _>>()?;
            Ok((!waiting.is_empty()).then(|| waiting.into_iter().zip(stored).collect::<Vec<_>>()))
        });
        for (settlement, stored) in settled.await?.unwrap_or_default() {
            // The receiver is gone if its job was aborted.
            _ = settlement.stored.send(stored.unwrap_or(false));
        }
        result.await.map_err(|_| damaged_error(&self.file.name))
    }

    pub(super) async fn jobs(
        &self,
        state: JobState,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<Job>, StoreUnavailable> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.read(move |reading| reading.jobs(state, &prefix, &after, most)).await
    }

    pub(super) async fn find_jobs(&self, keys: Vec<String>) -> Result<Vec<Option<Job>>, StoreUnavailable> {
        self.read(move |reading| reading.find_jobs(&keys)).await
    }

    pub(super) async fn replace_jobs(&self, jobs: Vec<(Job, Job)>, now: Millis) -> Result<Vec<bool>, StoreUnavailable> {
        let replaced = self.write(move |writing| writing.replace_jobs(&jobs, now).map(Some)).await?;
        self.hint.send_modify(|hint| *hint += 1);
        Ok(replaced.unwrap_or_default())
    }

    pub(super) async fn count_jobs(
        &self,
        prefix: &str,
        queues: Vec<String>,
        now: Millis,
    ) -> Result<QueueDepth, StoreUnavailable> {
        let prefix = prefix.to_owned();
        self.read(move |reading| reading.count_jobs(&prefix, &queues, now)).await
    }

    pub(super) async fn note(&self, key: &str) -> Result<Option<String>, StoreUnavailable> {
        let key = key.to_owned();
        self.read(move |reading| reading.checkpoint(&key)).await
    }

    pub(super) async fn set_note(
        &self,
        worker: &str,
        job: &Job,
        key: &str,
        value: Option<String>,
    ) -> Result<bool, StoreUnavailable> {
        let (worker, job, key) = (worker.to_owned(), job.clone(), key.to_owned());
        let noted = move |writing: &WriteTables| writing.set_checkpoint(&worker, &job, &key, value.as_deref());
        Ok(self.write(noted).await?.is_some())
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTables) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let read = move |file: &OpenDatabase| work(&ReadTables(file.database.begin_read()?));
        self.run(move |file| read(file).map_err(|error| file.read_error(&error))).await
    }

    /// Runs the work in a transaction and writes it to the disk. If the work returns `None`, nothing is written.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteTables) -> Result<Option<T>, redb::Error> + Send + 'static,
    ) -> Result<Option<T>, StoreUnavailable> {
        self.run(move |file| file.write(work).map_err(|error| file.mark_broken(&error))).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OpenDatabase) -> Result<T, StoreUnavailable> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let file = Arc::clone(&self.file);
        let done = spawn_blocking(move || {
            file.check()?;
            let done = work(&file)?;
            // If the file was moved or deleted meanwhile, a restart does not find this write.
            file.check_place()?;
            Ok(done)
        });
        done.await.unwrap_or_else(|_| Err(damaged_error(&self.file.name)))
    }
}

impl RedbReader<'_> {
    pub(super) fn head(&self) -> &StoreHead {
        &self.head
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Reads the next entries. Empty: there are no more entries.
    pub(super) async fn next(&mut self) -> Result<EntryPart, StoreUnavailable> {
        let (tables, last) = (Arc::clone(&self.tables), self.last.take());
        let read = move |file: &OpenDatabase| {
            tables.entries_after(last.as_deref(), PART_SIZE).map_err(|error| file.read_error(&error))
        };
        let part = self.store.run(read).await?;
        self.last = part.last().map(|(key, _)| key.clone());
        Ok(part)
    }
}

impl OpenDatabase {
    fn settlements(&self) -> MutexGuard<'_, Vec<Settlement>> {
        self.settlements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the file can be used.
    fn check(&self) -> Result<(), StoreUnavailable> {
        match self.broken.get() {
            Some(error) => Err(StoreUnavailable::new(FailureReason::RestartNeeded, self.restart_message(error))),
            None => self.check_place(),
        }
    }

    /// Checks that the file is still at its path.
    fn check_place(&self) -> Result<(), StoreUnavailable> {
        self.opened.as_ref().map_or(Ok(()), OpenedFile::check)
    }

    /// Marks the file as unusable because of this error.
    fn mark_broken(&self, error: &redb::Error) -> StoreUnavailable {
        let text = self.broken.get_or_init(|| error.to_string());
        StoreUnavailable::new(file::failure_reason(error), self.restart_message(text))
    }

    fn restart_message(&self, error: &str) -> String {
        format!("{} could not be written: {error}; restart to use it again", self.name)
    }

    fn read_error(&self, error: &redb::Error) -> StoreUnavailable {
        StoreUnavailable::new(file::failure_reason(error), format!("{}: {error}", self.name))
    }

    /// Tests whether the file can be written. Only one probe runs at a time. So, if the disk hangs, only one thread
    /// waits for it.
    fn probe(&self) -> Result<(), StoreUnavailable> {
        let _alone = match self.probe_lock.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = format!("the disk of {} has not answered the last probe yet", self.name);
                return Err(StoreUnavailable::new(FailureReason::Unreachable, message));
            }
        };
        self.opened.as_ref().map_or(Ok(()), OpenedFile::probe)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTables) -> Result<Option<T>, redb::Error>,
    ) -> Result<Option<T>, redb::Error> {
        let writing = WriteTables(self.database.begin_write()?);
        let Some(done) = work(&writing)? else {
            writing.0.abort()?;
            return Ok(None);
        };
        writing.0.commit()?;
        Ok(Some(done))
    }
}

fn damaged_error(name: &str) -> StoreUnavailable {
    StoreUnavailable::new(FailureReason::Damaged, format!("{name} is damaged"))
}
