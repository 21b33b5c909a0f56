//! The tables in the file of a store, and the operations inside one transaction.

use std::ops::Bound;

use redb::{
    AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition, TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Millis;
use crate::moderation::store::lease::{LeasedJob, first, queue};
use crate::moderation::store::{
    AttemptResult, ChangesSince, Job, JobState, KEPT, KEPT_DONE, NewChange, NewJob, StoreHead, StoredChange, at_once,
};

/// The version of the table layout. Increase it when the tables change.
pub(super) const LAYOUT: u64 = 1;

/// The layout, the number of the last change, and 1 under `recorded` if the store has a record file.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("chat-signer");
/// The other fields of the head.
const HEAD: TableDefinition<&str, &str> = TableDefinition::new("head");
const ENTRIES: TableDefinition<&str, &str> = TableDefinition::new("entries");
/// The last changes as JSON, by number.
const LOG: TableDefinition<u64, &str> = TableDefinition::new("log");
/// Jobs as JSON, by key.
const JOBS: TableDefinition<&str, &str> = TableDefinition::new("jobs");
/// The keys of jobs, by state.
const STATES: TableDefinition<(&str, &str), ()> = TableDefinition::new("states");
/// The keys of jobs that can be claimed, by queue and time.
const QUEUES: TableDefinition<(&str, u64, &str), ()> = TableDefinition::new("queues");
/// The keys of done jobs, by the time at which they ended.
const DONE: TableDefinition<(u64, &str), ()> = TableDefinition::new("done");
/// The keys of webhook messages that are dead letters, by the time at which they ended.
const ASIDE: TableDefinition<(u64, &str), ()> = TableDefinition::new("aside");
const NOTES: TableDefinition<&str, &str> = TableDefinition::new("notes");

type TimeIndex = TableDefinition<'static, (u64, &'static str), ()>;

type Result<T> = std::result::Result<T, redb::Error>;

/// A row of the log, as its iterator returns it.
type LogRow<'a> = std::result::Result<(AccessGuard<'a, u64>, AccessGuard<'a, &'static str>), StorageError>;

/// A snapshot of the file for reading.
pub(super) struct ReadTables(pub(super) ReadTransaction);

/// A write transaction.
pub(super) struct WriteTables(pub(super) WriteTransaction);

/// Creates the tables in a new file.
pub(super) fn begin(database: &Database, epoch: &str) -> Result<()> {
    let writing = WriteTables(database.begin_write()?);
    writing.0.open_table(ENTRIES)?;
    writing.0.open_table(LOG)?;
    writing.0.open_table(JOBS)?;
    writing.0.open_table(STATES)?;
    writing.0.open_table(QUEUES)?;
    writing.0.open_table(DONE)?;
    writing.0.open_table(ASIDE)?;
    writing.0.open_table(NOTES)?;
    writing.0.open_table(NUMBERS)?.insert("layout", LAYOUT)?;
    writing.set_head(&StoreHead { epoch: epoch.to_owned(), ..StoreHead::default() })?;
    Ok(writing.0.commit()?)
}

/// Returns the layout of the tables. `None`: another program created the tables.
pub(super) fn layout(database: &Database) -> Result<Option<u64>> {
    match database.begin_read()?.open_table(NUMBERS) {
        Ok(numbers) => Ok(numbers.get("layout")?.map(|layout| layout.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Ends all leases. Only one process has the file open, so the workers with these leases no longer run.
pub(super) fn release(database: &Database) -> Result<()> {
    let abandoned = ReadTables(database.begin_read()?).abandoned()?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let writing = WriteTables(database.begin_write()?);
    for held in abandoned {
        writing.take(&held.job.key)?;
        writing.keep(&held)?;
    }
    Ok(writing.0.commit()?)
}

impl ReadTables {
    pub(super) fn head(&self) -> Result<StoreHead> {
        head(&self.0.open_table(NUMBERS)?, &self.0.open_table(HEAD)?)
    }

    pub(super) fn entries(&self) -> Result<Vec<(String, String)>> {
        let table = self.0.open_table(ENTRIES)?;
        let mut entries = Vec::with_capacity(usize::try_from(table.len()?).unwrap_or(0));
        for entry in table.iter()? {
            let (key, value) = entry?;
            entries.push((key.value().to_owned(), value.value().to_owned()));
        }
        Ok(entries)
    }

    pub(super) fn since(&self, version: u64) -> Result<ChangesSince> {
        let log = self.0.open_table(LOG)?;
        let next = version.saturating_add(1);
        let oldest = match log.first()? {
            Some((number, _)) => number.value(),
            None => self.head()?.version.saturating_add(1),
        };
        if next < oldest {
            return Ok(ChangesSince::Gone);
        }
        let sized = |entry: LogRow<'_>| match entry {
            Ok((_, text)) => (text.value().len(), parse(text.value())),
            Err(error) => (0, Err(error.into())),
        };
        at_once(log.range(next..)?.map(sized)).collect::<Result<_>>().map(ChangesSince::Changes)
    }

    /// Returns whether this change was made. `None`: it is no longer in the log.
    pub(super) fn has(&self, version: u64, change: &str) -> Result<Option<bool>> {
        if version > self.head()?.version {
            return Ok(Some(false));
        }
        if version == 0 {
            return Ok(Some(true));
        }
        let logged =
            self.0.open_table(LOG)?.get(version)?.map(|text| parse::<StoredChange>(text.value())).transpose()?;
        Ok(logged.map(|logged| logged.id == change))
    }

    pub(super) fn is_recorded(&self) -> Result<bool> {
        Ok(self.0.open_table(NUMBERS)?.get("recorded")?.is_some())
    }

    /// Returns the keys of jobs that can be claimed, up to the maximum number of each queue.
    pub(super) fn ready(&self, now: Millis, queues: &[(String, usize)]) -> Result<Vec<String>> {
        let (table, mut ready) = (self.0.open_table(QUEUES)?, Vec::new());
        for (queue, most) in queues {
            let due = table.range((queue.as_str(), 0, "")..(queue.as_str(), now.0.saturating_add(1), ""))?;
            for entry in due.take(*most) {
                ready.push(entry?.0.value().2.to_owned());
            }
        }
        Ok(ready)
    }

    pub(super) fn jobs(&self, state: JobState, prefix: &str, after: &str, most: usize) -> Result<Vec<Job>> {
        let (states, jobs) = (self.0.open_table(STATES)?, self.0.open_table(JOBS)?);
        let first = first(prefix, after).map(|key| (state.letter(), key));
        let mut found = Vec::new();
        for entry in states.range((first, Bound::Unbounded))?.take(most) {
            let entry = entry?.0;
            let (letter, key) = entry.value();
            if letter != state.letter() || !key.starts_with(prefix) {
                break;
            }
            let held = jobs.get(key)?.map(|held| parse::<LeasedJob>(held.value()));
            found.extend(held.transpose()?.map(|held| held.job));
        }
        Ok(found)
    }

    pub(super) fn note(&self, key: &str) -> Result<Option<String>> {
        Ok(self.0.open_table(NOTES)?.get(key)?.map(|note| note.value().to_owned()))
    }

    /// Returns the jobs that have a lease, with the lease ended.
    fn abandoned(&self) -> Result<Vec<LeasedJob>> {
        let jobs = self.0.open_table(JOBS)?;
        let mut abandoned = Vec::new();
        for waiting in self.0.open_table(QUEUES)?.iter()? {
            let Some(held) = jobs.get(waiting?.0.value().2)? else { continue };
            let mut held = parse::<LeasedJob>(held.value())?;
            if held.abandon() {
                abandoned.push(held);
            }
        }
        Ok(abandoned)
    }
}

impl WriteTables {
    pub(super) fn head(&self) -> Result<StoreHead> {
        head(&self.0.open_table(NUMBERS)?, &self.0.open_table(HEAD)?)
    }

    pub(super) fn set_head(&self, head: &StoreHead) -> Result<()> {
        self.0.open_table(NUMBERS)?.insert("version", head.version)?;
        let mut table = self.0.open_table(HEAD)?;
        table.insert("id", head.id.as_str())?;
        table.insert("epoch", head.epoch.as_str())?;
        table.insert("change", head.change.as_str())?;
        table.insert("accepted", head.accepted.map_or(String::new(), |at| at.0.to_string()).as_str())?;
        Ok(())
    }

    pub(super) fn note_record(&self) -> Result<()> {
        self.0.open_table(NUMBERS)?.insert("recorded", 1)?;
        Ok(())
    }

    pub(super) fn commit(&self, on: StoreHead, id: String, commit: NewChange, at: Millis) -> Result<StoredChange> {
        let version = on.version.saturating_add(1);
        self.set_head(&StoreHead { version, change: id.clone(), ..on })?;
        let change = StoredChange { version, id, at, puts: commit.puts, events: commit.events };
        self.put(&change.puts)?;
        self.log(&change)?;
        for job in commit.jobs {
            self.ask(job, version, at)?;
        }
        Ok(change)
    }

    fn put(&self, puts: &[(String, Option<String>)]) -> Result<()> {
        let mut entries = self.0.open_table(ENTRIES)?;
        for (key, value) in puts {
            match value {
                Some(value) => entries.insert(key.as_str(), value.as_str())?,
                None => entries.remove(key.as_str())?,
            };
        }
        Ok(())
    }

    fn log(&self, change: &StoredChange) -> Result<()> {
        let mut log = self.0.open_table(LOG)?;
        log.insert(change.version, written(change)?.as_str())?;
        while log.len()? > KEPT {
            log.pop_first()?;
        }
        Ok(())
    }

    fn ask(&self, job: NewJob, revision: u64, at: Millis) -> Result<()> {
        let before = self.take(&job.key)?;
        self.keep(&LeasedJob::asked(job, revision, at, before))
    }

    /// Leases to a worker the jobs from this list that can still be claimed.
    pub(super) fn claim(&self, worker: &str, now: Millis, until: Millis, keys: &[String]) -> Result<Vec<Job>> {
        let mut claimed = Vec::new();
        for key in keys {
            if self.held(key)?.and_then(|held| held.ready()).is_none_or(|ready| ready > now) {
                continue;
            }
            if let Some(mut held) = self.take(key)? {
                claimed.push(held.lend(worker, until));
                self.keep(&held)?;
            }
        }
        Ok(claimed)
    }

    /// Completes a job. `None`: this worker has no lease on it.
    pub(super) fn settle(&self, worker: &str, job: &Job, attempt: &AttemptResult, now: Millis) -> Result<Option<bool>> {
        let Some(mut held) = self.take(&job.key)?.filter(|held| held.is_with(worker, job)) else { return Ok(None) };
        let is_noted = held.settle(job.revision, attempt, now);
        self.keep(&held)?;
        self.forget_all_but_the_last(held.job.state)?;
        Ok(Some(is_noted))
    }

    /// Stores or deletes a checkpoint. `None`: this worker has no lease on the job.
    pub(super) fn set_note(&self, worker: &str, job: &Job, key: &str, value: Option<&str>) -> Result<Option<()>> {
        if !self.held(&job.key)?.is_some_and(|held| held.is_with(worker, job)) {
            return Ok(None);
        }
        let mut notes = self.0.open_table(NOTES)?;
        match value {
            Some(value) => notes.insert(key, value)?,
            None => notes.remove(key)?,
        };
        Ok(Some(()))
    }

    fn forget_all_but_the_last(&self, state: JobState) -> Result<()> {
        let mut last = self.0.open_table(last(state))?;
        let (mut jobs, mut states) = (self.0.open_table(JOBS)?, self.0.open_table(STATES)?);
        while last.len()? > KEPT_DONE as u64 {
            let Some((first, _)) = last.pop_first()? else { break };
            let (_, key) = first.value();
            jobs.remove(key)?;
            states.remove((state.letter(), key))?;
        }
        Ok(())
    }

    fn held(&self, key: &str) -> Result<Option<LeasedJob>> {
        self.0.open_table(JOBS)?.get(key)?.map(|held| parse(held.value())).transpose()
    }

    /// Removes a job from all tables.
    fn take(&self, key: &str) -> Result<Option<LeasedJob>> {
        let removed = self.0.open_table(JOBS)?.remove(key)?.map(|held| parse::<LeasedJob>(held.value()));
        let Some(held) = removed.transpose()? else { return Ok(None) };
        self.0.open_table(STATES)?.remove((held.job.state.letter(), key))?;
        if let Some(ready) = held.ready() {
            self.0.open_table(QUEUES)?.remove((queue(key).as_str(), ready.0, key))?;
        }
        if let Some(done) = held.done {
            self.0.open_table(last(held.job.state))?.remove((done.0, key))?;
        }
        Ok(Some(held))
    }

    /// Inserts a job into all tables that it belongs to.
    fn keep(&self, held: &LeasedJob) -> Result<()> {
        let key = held.job.key.as_str();
        self.0.open_table(JOBS)?.insert(key, written(held)?.as_str())?;
        self.0.open_table(STATES)?.insert((held.job.state.letter(), key), ())?;
        if let Some(ready) = held.ready() {
            self.0.open_table(QUEUES)?.insert((queue(key).as_str(), ready.0, key), ())?;
        }
        if let Some(done) = held.done {
            self.0.open_table(last(held.job.state))?.insert((done.0, key), ())?;
        }
        Ok(())
    }
}

/// Returns the table of the last jobs that ended in this state.
fn last(state: JobState) -> TimeIndex {
    if state == JobState::DeadLetter { ASIDE } else { DONE }
}

fn head(
    numbers: &impl ReadableTable<&'static str, u64>,
    table: &impl ReadableTable<&'static str, &'static str>,
) -> Result<StoreHead> {
    let text =
        |key: &str| Ok::<_, redb::Error>(table.get(key)?.map_or_else(String::new, |text| text.value().to_owned()));
    let (id, epoch) = (text("id")?, text("epoch")?);
    Ok(StoreHead {
        // An earlier version stored no id.
        id: if id.is_empty() { epoch.clone() } else { id },
        epoch,
        version: numbers.get("version")?.map_or(0, |version| version.value()),
        change: text("change")?,
        accepted: text("accepted")?.parse().ok().map(Millis),
        astray: 0,
        rolled_back: None,
    })
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
