//! The tables in the file of a store, and the operations inside one transaction.

use std::ops::Bound;

use redb::{
    AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition, TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Millis;
use crate::moderation::store::change::{ChangesSince, LOG_LIMIT, NewChange, StoredChange, limit_read};
use crate::moderation::store::head::{EntryPart, StoreHead};
use crate::moderation::store::job::{
    AttemptResult, ENDED_JOBS_LIMIT, FailureCause, Job, JobState, NewJob, lower_bound, queue_name,
};
use crate::moderation::store::lease::LeasedJob;
use crate::telemetry::outbox::QueueDepth;

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
/// The keys of jobs, by state. Pending jobs that failed are also there by the cause.
const STATES: TableDefinition<(&str, &str), ()> = TableDefinition::new("states");
/// The keys of jobs that can be claimed, by queue and time.
const QUEUES: TableDefinition<(&str, u64, &str), ()> = TableDefinition::new("queues");
/// The keys of done jobs, by the time at which they ended.
const DONE: TableDefinition<(u64, &str), ()> = TableDefinition::new("done");
/// The keys of webhook messages that are dead letters, by the time at which they ended.
const DEAD_LETTERS: TableDefinition<(u64, &str), ()> = TableDefinition::new("aside");
const CHECKPOINTS: TableDefinition<&str, &str> = TableDefinition::new("notes");

type TimeIndex = TableDefinition<'static, (u64, &'static str), ()>;

type Result<T> = std::result::Result<T, redb::Error>;

/// A row of the log, as its iterator returns it.
type LogRow<'a> = std::result::Result<(AccessGuard<'a, u64>, AccessGuard<'a, &'static str>), StorageError>;

/// A snapshot of the file for reading.
pub(super) struct ReadTables(pub(super) ReadTransaction);

/// A write transaction.
pub(super) struct WriteTables(pub(super) WriteTransaction);

/// Creates the tables in a new file.
pub(super) fn create_tables(database: &Database, epoch: &str) -> Result<()> {
    let writing = WriteTables(database.begin_write()?);
    writing.0.open_table(ENTRIES)?;
    writing.0.open_table(LOG)?;
    writing.0.open_table(JOBS)?;
    writing.0.open_table(STATES)?;
    writing.0.open_table(QUEUES)?;
    writing.0.open_table(DONE)?;
    writing.0.open_table(DEAD_LETTERS)?;
    writing.0.open_table(CHECKPOINTS)?;
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
pub(super) fn end_all_leases(database: &Database) -> Result<()> {
    let abandoned = ReadTables(database.begin_read()?).leased_jobs()?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let writing = WriteTables(database.begin_write()?);
    for held in abandoned {
        writing.remove_job(&held.job.key)?;
        writing.insert_job(&held)?;
    }
    Ok(writing.0.commit()?)
}

impl ReadTables {
    pub(super) fn head(&self) -> Result<StoreHead> {
        head(&self.0.open_table(NUMBERS)?, &self.0.open_table(HEAD)?)
    }

    /// Returns the number of entries.
    pub(super) fn count_entries(&self) -> Result<u64> {
        Ok(self.0.open_table(ENTRIES)?.len()?)
    }

    /// Returns the next entries after this key, at most `most`. `None`: the first entries.
    pub(super) fn entries_after(&self, last: Option<&str>, most: usize) -> Result<EntryPart> {
        let first = last.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.0.open_table(ENTRIES)?;
        let part = entries.range::<&str>((first, Bound::Unbounded))?.take(most);
        part.map(|entry| entry.map(|(key, value)| (key.value().to_owned(), value.value().to_owned())))
            .collect::<std::result::Result<_, _>>()
            .map_err(redb::Error::from)
    }

    /// Returns the values of these keys.
    pub(super) fn find_entries(&self, keys: &[String]) -> Result<Vec<Option<String>>> {
        let entries = self.0.open_table(ENTRIES)?;
        keys.iter().map(|key| Ok(entries.get(key.as_str())?.map(|value| value.value().to_owned()))).collect()
    }

    pub(super) fn since(&self, version: u64) -> Result<ChangesSince> {
        let log = self.0.open_table(LOG)?;
        let next = version.saturating_add(1);
        let oldest = match log.first()? {
            Some((number, _)) => number.value(),
            None => self.head()?.version.saturating_add(1),
        };
        if next < oldest {
            return Ok(ChangesSince::NoLongerKept);
        }
        let sized = |entry: LogRow<'_>| match entry {
            Ok((_, text)) => (text.value().len(), from_json(text.value())),
            Err(error) => (0, Err(error.into())),
        };
        limit_read(log.range(next..)?.map(sized)).collect::<Result<_>>().map(ChangesSince::Changes)
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
            self.0.open_table(LOG)?.get(version)?.map(|text| from_json::<StoredChange>(text.value())).transpose()?;
        Ok(logged.map(|logged| logged.id == change))
    }

    pub(super) fn is_recorded(&self) -> Result<bool> {
        Ok(self.0.open_table(NUMBERS)?.get("recorded")?.is_some())
    }

    /// Returns the keys of jobs that can be claimed, up to the maximum number of each queue.
    pub(super) fn claimable_keys(&self, now: Millis, queues: &[(String, usize)]) -> Result<Vec<String>> {
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
        let first = lower_bound(prefix, after).map(|key| (state.as_letter(), key));
        let mut found = Vec::new();
        for entry in states.range((first, Bound::Unbounded))?.take(most) {
            let entry = entry?.0;
            let (letter, key) = entry.value();
            if letter != state.as_letter() || !key.starts_with(prefix) {
                break;
            }
            let held = jobs.get(key)?.map(|held| from_json::<LeasedJob>(held.value()));
            found.extend(held.transpose()?.map(|held| held.job));
        }
        Ok(found)
    }

    pub(super) fn find_jobs(&self, keys: &[String]) -> Result<Vec<Option<Job>>> {
        let jobs = self.0.open_table(JOBS)?;
        let find = |key: &String| {
            let found = jobs.get(key.as_str())?.map(|held| from_json::<LeasedJob>(held.value())).transpose()?;
            Ok(found.map(|held| held.job))
        };
        keys.iter().map(find).collect()
    }

    pub(super) fn count_jobs(&self, prefix: &str, queues: &[String], now: Millis) -> Result<QueueDepth> {
        let pending = self.count_indexed(JobState::Pending.as_letter(), prefix)?;
        let mut depth = QueueDepth {
            dead_letter: self.count_indexed(JobState::DeadLetter.as_letter(), prefix)?,
            pending,
            unconfigured: pending,
            ..QueueDepth::default()
        };
        for cause in FailureCause::ALL {
            depth.failing.push((cause.as_str(), self.count_indexed(cause.index_name(), prefix)?));
        }
        for queue in queues {
            let table = self.0.open_table(QUEUES)?;
            for entry in table.range((queue.as_str(), 0, "")..(queue.as_str(), u64::MAX, ""))? {
                let time = entry?.0.value().1;
                depth.unconfigured = depth.unconfigured.saturating_sub(1);
                if time <= now.0 {
                    depth.due += 1;
                    depth.oldest = depth.oldest.max(if time == 0 { 0 } else { now.0 - time });
                }
            }
        }
        Ok(depth)
    }

    /// Counts the jobs of a state or cause whose keys begin with `prefix`.
    fn count_indexed(&self, index: &str, prefix: &str) -> Result<u64> {
        let states = self.0.open_table(STATES)?;
        let mut count = 0;
        for entry in states.range((index, prefix)..)? {
            let entry = entry?.0;
            let (own, key) = entry.value();
            if own != index || !key.starts_with(prefix) {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn checkpoint(&self, key: &str) -> Result<Option<String>> {
        Ok(self.0.open_table(CHECKPOINTS)?.get(key)?.map(|note| note.value().to_owned()))
    }

    /// Returns the jobs that have a lease, with the lease ended.
    fn leased_jobs(&self) -> Result<Vec<LeasedJob>> {
        let jobs = self.0.open_table(JOBS)?;
        let mut abandoned = Vec::new();
        for waiting in self.0.open_table(QUEUES)?.iter()? {
            let Some(held) = jobs.get(waiting?.0.value().2)? else { continue };
            let mut held = from_json::<LeasedJob>(held.value())?;
            if held.end_lease() {
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
        table.insert("accepted", head.accepted_at.map_or(String::new(), |at| at.0.to_string()).as_str())?;
        Ok(())
    }

    pub(super) fn set_has_record(&self) -> Result<()> {
        self.0.open_table(NUMBERS)?.insert("recorded", 1)?;
        Ok(())
    }

    pub(super) fn commit(&self, on: StoreHead, id: String, commit: NewChange, at: Millis) -> Result<StoredChange> {
        let version = on.version.saturating_add(1);
        self.set_head(&StoreHead { version, change: id.clone(), ..on })?;
        let NewChange { puts, events, jobs, request } = commit;
        let change = StoredChange { version, id, at, puts, events, request };
        self.apply_puts(&change.puts)?;
        self.append_to_log(&change)?;
        for job in jobs {
            self.request_job(job, version, at)?;
        }
        Ok(change)
    }

    fn apply_puts(&self, puts: &[(String, Option<String>)]) -> Result<()> {
        let mut entries = self.0.open_table(ENTRIES)?;
        for (key, value) in puts {
            match value {
                Some(value) => entries.insert(key.as_str(), value.as_str())?,
                None => entries.remove(key.as_str())?,
            };
        }
        Ok(())
    }

    fn append_to_log(&self, change: &StoredChange) -> Result<()> {
        let mut log = self.0.open_table(LOG)?;
        log.insert(change.version, to_json(change)?.as_str())?;
        while log.len()? > LOG_LIMIT {
            log.pop_first()?;
        }
        Ok(())
    }

    fn request_job(&self, job: NewJob, revision: u64, at: Millis) -> Result<()> {
        let before = self.remove_job(&job.key)?;
        self.insert_job(&LeasedJob::requested(job, revision, at, before))
    }

    /// Leases to a worker the jobs from this list that can still be claimed.
    pub(super) fn claim(&self, worker: &str, now: Millis, until: Millis, keys: &[String]) -> Result<Vec<Job>> {
        let mut claimed = Vec::new();
        for key in keys {
            if self.leased_job(key)?.and_then(|held| held.claimable_at()).is_none_or(|ready| ready > now) {
                continue;
            }
            if let Some(mut held) = self.remove_job(key)? {
                claimed.push(held.lease_to(worker, until));
                self.insert_job(&held)?;
            }
        }
        Ok(claimed)
    }

    /// Completes a job. `None`: this worker has no lease on it.
    pub(super) fn settle(&self, worker: &str, job: &Job, attempt: &AttemptResult, now: Millis) -> Result<Option<bool>> {
        let Some(mut held) = self.leased_job(&job.key)?.filter(|held| held.is_leased_to(worker, job)) else {
            return Ok(None);
        };
        self.remove_job(&job.key)?;
        let is_noted = held.complete(job.revision, attempt, now);
        self.insert_job(&held)?;
        self.drop_old_jobs(held.job.state)?;
        Ok(Some(is_noted))
    }

    /// Replaces jobs. Returns which jobs were replaced.
    pub(super) fn replace_jobs(&self, jobs: &[(Job, Job)], now: Millis) -> Result<Vec<bool>> {
        let mut replaced = Vec::with_capacity(jobs.len());
        for (before, after) in jobs {
            let held = self.leased_job(&before.key)?;
            let new = held.and_then(|mut held| held.replace(before, after, now).then_some(held));
            replaced.push(new.is_some());
            if let Some(new) = new {
                self.remove_job(&before.key)?;
                self.insert_job(&new)?;
                self.drop_old_jobs(new.job.state)?;
            }
        }
        Ok(replaced)
    }

    /// Stores or deletes a checkpoint. `None`: this worker has no lease on the job.
    pub(super) fn set_checkpoint(&self, worker: &str, job: &Job, key: &str, value: Option<&str>) -> Result<Option<()>> {
        if !self.leased_job(&job.key)?.is_some_and(|held| held.is_leased_to(worker, job)) {
            return Ok(None);
        }
        let mut notes = self.0.open_table(CHECKPOINTS)?;
        match value {
            Some(value) => notes.insert(key, value)?,
            None => notes.remove(key)?,
        };
        Ok(Some(()))
    }

    fn drop_old_jobs(&self, state: JobState) -> Result<()> {
        let mut last = self.0.open_table(ended_index(state))?;
        let (mut jobs, mut states) = (self.0.open_table(JOBS)?, self.0.open_table(STATES)?);
        while last.len()? > ENDED_JOBS_LIMIT as u64 {
            let Some((first, _)) = last.pop_first()? else { break };
            let (_, key) = first.value();
            jobs.remove(key)?;
            states.remove((state.as_letter(), key))?;
        }
        Ok(())
    }

    fn leased_job(&self, key: &str) -> Result<Option<LeasedJob>> {
        self.0.open_table(JOBS)?.get(key)?.map(|held| from_json(held.value())).transpose()
    }

    /// Removes a job from all tables.
    fn remove_job(&self, key: &str) -> Result<Option<LeasedJob>> {
        let removed = self.0.open_table(JOBS)?.remove(key)?.map(|held| from_json::<LeasedJob>(held.value()));
        let Some(held) = removed.transpose()? else { return Ok(None) };
        let mut states = self.0.open_table(STATES)?;
        states.remove((held.job.state.as_letter(), key))?;
        if let Some(index) = held.job.failure_index() {
            states.remove((index, key))?;
        }
        if let Some(ready) = held.claimable_at() {
            self.0.open_table(QUEUES)?.remove((queue_name(key).as_str(), ready.0, key))?;
        }
        if let Some(done) = held.done {
            self.0.open_table(ended_index(held.job.state))?.remove((done.0, key))?;
        }
        Ok(Some(held))
    }

    /// Inserts a job into all tables that it belongs to.
    fn insert_job(&self, held: &LeasedJob) -> Result<()> {
        let key = held.job.key.as_str();
        self.0.open_table(JOBS)?.insert(key, to_json(held)?.as_str())?;
        let mut states = self.0.open_table(STATES)?;
        states.insert((held.job.state.as_letter(), key), ())?;
        if let Some(index) = held.job.failure_index() {
            states.insert((index, key), ())?;
        }
        if let Some(ready) = held.claimable_at() {
            self.0.open_table(QUEUES)?.insert((queue_name(key).as_str(), ready.0, key), ())?;
        }
        if let Some(done) = held.done {
            self.0.open_table(ended_index(held.job.state))?.insert((done.0, key), ())?;
        }
        Ok(())
    }
}

/// Returns the table of the last jobs that ended in this state.
fn ended_index(state: JobState) -> TimeIndex {
    if state == JobState::DeadLetter { DEAD_LETTERS } else { DONE }
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
        accepted_at: text("accepted")?.parse().ok().map(Millis),
        entry_count_drift: 0,
        rolled_back: None,
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| redb::Error::Corrupted(error.to_string()))
}
