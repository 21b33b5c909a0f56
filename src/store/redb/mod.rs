//! A store in one file, which one process has to itself.
//!
//! Every change is a transaction that is on the disk when it is acknowledged. After a failed write nothing is known of the file any more
//! but what a restart finds in it, so the store is not used again until then.

pub(super) mod file;
pub(super) mod probe;
mod tables;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use std::time::Duration;

use redb::{Database, ReadableDatabase};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use self::file::Place;
use self::tables::{Reading, Writing};
use super::{
    Attempt, Change, Commit, Contents, FailureReason, Head, Job, JobState, NotCommitted, Since, Unavailable, fresh,
};
use crate::clock;
use crate::model::Millis;

/// A store in a file.
pub struct Redb {
    file: Arc<Opened>,
    hint: watch::Sender<u64>,
}

struct Opened {
    /// What it is called, for errors.
    name: String,
    place: Place,
    database: Database,
    /// Why it must not be used again, if so.
    broken: OnceLock<String>,
    /// Held by a probe until the disk has answered it.
    probing: Mutex<()>,
}

impl Redb {
    /// Opens the file, or begins it where there is none.
    pub(super) async fn open(path: &Path) -> Result<Redb, Unavailable> {
        let name = path.display().to_string();
        let (path, epoch) = (path.to_owned(), fresh()?);
        let opening = spawn_blocking(move || file::open(&path, &epoch));
        let (database, place) = opening.await.map_err(|_| damaged(&name))??;
        let file = Arc::new(Opened { name, place, database, broken: OnceLock::new(), probing: Mutex::new(()) });
        Ok(Redb { file, hint: watch::channel(0).0 })
    }

    pub(super) async fn head(&self) -> Result<Head, Unavailable> {
        self.read(Reading::head).await
    }

    pub(super) fn is_broken(&self) -> bool {
        self.file.broken.get().is_some()
    }

    pub(super) async fn probe(&self) -> Result<(), Unavailable> {
        self.run(Opened::probe).await
    }

    pub(super) async fn begin(&self) -> Result<(), Unavailable> {
        let epoch = fresh()?;
        let begun = |writing: &Writing| {
            let head = writing.head()?;
            if !head.epoch.is_empty() {
                return Ok(None);
            }
            writing.set_head(&Head { epoch, ..head }).map(Some)
        };
        self.write(begun).await.map(drop)
    }

    pub(super) async fn accept(&self) -> Result<(), Unavailable> {
        let (epoch, accepted) = (fresh()?, Some(clock::now()));
        let accept = move |writing: &Writing| {
            let head = writing.head()?;
            writing.set_head(&Head { epoch, accepted, ..head }).map(Some)
        };
        self.write(accept).await?;
        self.hint.send_modify(|hint| *hint += 1);
        Ok(())
    }

    pub(super) async fn contents(&self) -> Result<Contents, Unavailable> {
        self.read(|reading| Ok(Contents { head: reading.head()?, entries: reading.entries()? })).await
    }

    pub(super) async fn since(&self, version: u64) -> Result<Since, Unavailable> {
        self.read(move |reading| reading.since(version)).await
    }

    pub(super) async fn has(&self, version: u64, change: &str) -> Result<Option<bool>, Unavailable> {
        let change = change.to_owned();
        self.read(move |reading| reading.has(version, &change)).await
    }

    /// Whether the store says that it has a record.
    pub(super) async fn is_recorded(&self) -> Result<bool, Unavailable> {
        self.read(Reading::is_recorded).await
    }

    /// Notes in the store that it has a record, so that it is noticed when the record is lost.
    pub(super) async fn note_record(&self) -> Result<(), Unavailable> {
        if self.is_recorded().await? {
            return Ok(());
        }
        self.write(|writing| writing.note_record().map(Some)).await.map(drop)
    }

    pub(super) async fn commit(&self, on: &Head, commit: Commit, at: Millis) -> Result<Change, NotCommitted> {
        let (on, id) = (on.clone(), fresh()?);
        let made = move |writing: &Writing| {
            if writing.head()? != on {
                return Ok(None);
            }
            writing.commit(on, id, commit, at).map(Some)
        };
        let change = self.write(made).await?.ok_or(NotCommitted::Behind)?;
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
    ) -> Result<Vec<Job>, Unavailable> {
        let (worker, queues) = (worker.to_owned(), queues.to_vec());
        // Most of the time there is nothing to do, and to find that out costs no write.
        let ready = self.read(move |reading| reading.ready(now, &queues)).await?;
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = move |writing: &Writing| writing.claim(&worker, now, now.after(lease), &ready).map(Some);
        Ok(self.write(claimed).await?.unwrap_or_default())
    }

    pub(super) async fn settle(
        &self,
        worker: &str,
        job: &Job,
        attempt: &Attempt,
        now: Millis,
    ) -> Result<bool, Unavailable> {
        let (worker, job, attempt) = (worker.to_owned(), job.clone(), attempt.clone());
        let settled = move |writing: &Writing| writing.settle(&worker, &job, &attempt, now);
        Ok(self.write(settled).await?.unwrap_or(false))
    }

    pub(super) async fn jobs(
        &self,
        state: JobState,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<Job>, Unavailable> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.read(move |reading| reading.jobs(state, &prefix, &after, most)).await
    }

    pub(super) async fn note(&self, key: &str) -> Result<Option<String>, Unavailable> {
        let key = key.to_owned();
        self.read(move |reading| reading.note(&key)).await
    }

    pub(super) async fn set_note(
        &self,
        worker: &str,
        job: &Job,
        key: &str,
        value: Option<String>,
    ) -> Result<bool, Unavailable> {
        let (worker, job, key) = (worker.to_owned(), job.clone(), key.to_owned());
        let noted = move |writing: &Writing| writing.set_note(&worker, &job, &key, value.as_deref());
        Ok(self.write(noted).await?.is_some())
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reading) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let read = move |file: &Opened| work(&Reading(file.database.begin_read()?));
        self.run(move |file| read(file).map_err(|error| file.flaw(&error))).await
    }

    /// Makes a transaction of the work, and has it on the disk; of no work, which is `None`, nothing is written.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writing) -> Result<Option<T>, redb::Error> + Send + 'static,
    ) -> Result<Option<T>, Unavailable> {
        self.run(move |file| file.write(work).map_err(|error| file.broken_by(&error))).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened) -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let file = Arc::clone(&self.file);
        let done = spawn_blocking(move || {
            file.check()?;
            let done = work(&file)?;
            // What was written to a file that is gone by now, no restart finds.
            file.place.check()?;
            Ok(done)
        });
        done.await.unwrap_or_else(|_| Err(damaged(&self.file.name)))
    }
}

impl Opened {
    /// Whether it may be used; if not, why.
    fn check(&self) -> Result<(), Unavailable> {
        match self.broken.get() {
            Some(error) => Err(Unavailable::new(FailureReason::RestartNeeded, self.restart(error))),
            None => self.place.check(),
        }
    }

    /// Notes that the file must not be used again, and why.
    fn broken_by(&self, error: &redb::Error) -> Unavailable {
        let text = self.broken.get_or_init(|| error.to_string());
        Unavailable::new(file::reason(error), self.restart(text))
    }

    fn restart(&self, error: &str) -> String {
        format!("{} could not be written: {error}; restart to use it again", self.name)
    }

    fn flaw(&self, error: &redb::Error) -> Unavailable {
        Unavailable::new(file::reason(error), format!("{}: {error}", self.name))
    }

    /// Whether the file could be written. One probe at a time: where the disk hangs, no more threads wait for it.
    fn probe(&self) -> Result<(), Unavailable> {
        let _alone = match self.probing.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = format!("the disk of {} has not answered the last probe yet", self.name);
                return Err(Unavailable::new(FailureReason::Unreachable, message));
            }
        };
        self.place.probe()
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Writing) -> Result<Option<T>, redb::Error>,
    ) -> Result<Option<T>, redb::Error> {
        let writing = Writing(self.database.begin_write()?);
        let Some(done) = work(&writing)? else {
            writing.0.abort()?;
            return Ok(None);
        };
        writing.0.commit()?;
        Ok(Some(done))
    }
}

fn damaged(name: &str) -> Unavailable {
    Unavailable::new(FailureReason::Damaged, format!("{name} is damaged"))
}
