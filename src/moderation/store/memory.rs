//! A store in memory. Its content is lost when the process ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::change::{ChangesSince, CommitError, LOG_LIMIT, NewChange, StoredChange, limit_read};
use super::failure::StoreUnavailable;
use super::head::{StoreContents, StoreHead, random_id};
use super::job::{AttemptResult, ENDED_JOBS_LIMIT, Job, JobState, lower_bound, queue_name};
use super::lease::LeasedJob;
use crate::clock;
use crate::model::Millis;

/// A store in memory.
pub struct MemoryStore {
    contents: Mutex<MemoryContents>,
    hint: watch::Sender<u64>,
}

#[derive(Default)]
struct MemoryContents {
    id: String,
    epoch: String,
    accepted: Option<Millis>,
    change: String,
    version: u64,
    entries: BTreeMap<String, String>,
    log: VecDeque<StoredChange>,
    jobs: BTreeMap<String, LeasedJob>,
    checkpoints: BTreeMap<String, String>,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore { contents: Mutex::default(), hint: watch::channel(0).0 }
    }
}

impl MemoryStore {
    pub(super) fn head(&self) -> StoreHead {
        self.lock().head()
    }

    pub(super) fn begin(&self) -> Result<(), StoreUnavailable> {
        let mut kept = self.lock();
        if kept.epoch.is_empty() {
            let epoch = random_id()?;
            kept.id.clone_from(&epoch);
            kept.epoch = epoch;
        }
        Ok(())
    }

    pub(super) fn accept(&self) -> Result<(), StoreUnavailable> {
        let mut kept = self.lock();
        let epoch = random_id()?;
        if kept.id.is_empty() {
            kept.id.clone_from(&epoch);
        }
        kept.epoch = epoch;
        kept.accepted = Some(clock::now());
        drop(kept);
        self.hint.send_modify(|hint| *hint += 1);
        Ok(())
    }

    pub(super) fn contents(&self) -> StoreContents {
        let kept = self.lock();
        let entries = kept.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        StoreContents { head: kept.head(), entries }
    }

    pub(super) fn since(&self, version: u64) -> ChangesSince {
        let kept = self.lock();
        let oldest = kept.log.front().map_or(kept.version + 1, |change| change.version);
        if version.saturating_add(1) < oldest {
            return ChangesSince::NoLongerKept;
        }
        let later = kept.log.iter().skip_while(|change| change.version <= version);
        ChangesSince::Changes(limit_read(later.map(|change| (size(change), change.clone()))).collect())
    }

    /// Returns whether the change was made in this store. A store in memory cannot lose changes, so a change that is no
    /// longer in the log was made.
    pub(super) fn has(&self, version: u64, change: &str) -> bool {
        let kept = self.lock();
        version <= kept.version
            && kept.log.iter().find(|logged| logged.version == version).is_none_or(|logged| logged.id == change)
    }

    pub(super) fn commit(&self, on: &StoreHead, commit: NewChange, at: Millis) -> Result<StoredChange, CommitError> {
        let id = random_id()?;
        let mut kept = self.lock();
        if kept.head() != *on {
            return Err(CommitError::Behind);
        }
        kept.version += 1;
        kept.change.clone_from(&id);
        for (key, value) in &commit.puts {
            match value {
                Some(value) => drop(kept.entries.insert(key.clone(), value.clone())),
                None => drop(kept.entries.remove(key)),
            }
        }
        let version = kept.version;
        for job in commit.jobs {
            let key = job.key.clone();
            let before = kept.jobs.remove(&key);
            kept.jobs.insert(key, LeasedJob::requested(job, version, at, before));
        }
        let change = StoredChange { version, id, at, puts: commit.puts, events: commit.events };
        kept.log.push_back(change.clone());
        if kept.log.len() as u64 > LOG_LIMIT {
            kept.log.pop_front();
        }
        drop(kept);
        self.hint.send_replace(version);
        Ok(change)
    }

    pub(super) fn hints(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }

    pub(super) fn claim(&self, worker: &str, now: Millis, lease: Duration, queues: &[(String, usize)]) -> Vec<Job> {
        let mut kept = self.lock();
        let mut due: Vec<_> = kept.jobs.values_mut().filter_map(|held| Some((held.claimable_at()?, held))).collect();
        due.retain(|(ready, _)| *ready <= now);
        due.sort_by(|(one, a), (other, b)| (one, &a.job.key).cmp(&(other, &b.job.key)));
        let mut room: HashMap<_, _> = queues.iter().map(|(queue, most)| (queue.as_str(), *most)).collect();
        due.retain(|(_, held)| room.get_mut(queue_name(&held.job.key).as_str()).is_some_and(decrement));
        due.into_iter().map(|(_, held)| held.lease_to(worker, now.after(lease))).collect()
    }

    pub(super) fn settle(&self, worker: &str, job: &Job, attempt: &AttemptResult, now: Millis) -> bool {
        let mut kept = self.lock();
        let Some(held) = kept.jobs.get_mut(&job.key).filter(|held| held.is_leased_to(worker, job)) else {
            return false;
        };
        let is_noted = held.complete(job.revision, attempt, now);
        let state = held.job.state;
        kept.drop_old_jobs(state);
        is_noted
    }

    pub(super) fn jobs(&self, state: JobState, prefix: &str, after: &str, most: usize) -> Vec<Job> {
        let kept = self.lock();
        let later = kept.jobs.range::<str, _>((lower_bound(prefix, after), Bound::Unbounded));
        let own = later.map(|(_, held)| &held.job).take_while(|job| job.key.starts_with(prefix));
        own.filter(|job| job.state == state).take(most).cloned().collect()
    }

    pub(super) fn note(&self, key: &str) -> Option<String> {
        self.lock().checkpoints.get(key).cloned()
    }

    pub(super) fn set_note(&self, worker: &str, job: &Job, key: &str, value: Option<String>) -> bool {
        let mut kept = self.lock();
        if !kept.jobs.get(&job.key).is_some_and(|held| held.is_leased_to(worker, job)) {
            return false;
        }
        match value {
            Some(value) => drop(kept.checkpoints.insert(key.to_owned(), value)),
            None => drop(kept.checkpoints.remove(key)),
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, MemoryContents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryContents {
    fn head(&self) -> StoreHead {
        let (id, epoch, change) = (self.id.clone(), self.epoch.clone(), self.change.clone());
        StoreHead {
            id,
            epoch,
            version: self.version,
            change,
            accepted_at: self.accepted,
            entry_count_drift: 0,
            rolled_back: None,
        }
    }

    fn drop_old_jobs(&mut self, state: JobState) {
        let over = self.jobs.values().filter(|held| held.job.state == state);
        let mut done: Vec<_> = over.filter_map(|held| Some((held.done?, held.job.key.clone()))).collect();
        done.sort();
        for (_, key) in done.iter().rev().skip(ENDED_JOBS_LIMIT) {
            self.jobs.remove(key);
        }
    }
}

fn decrement(room: &mut usize) -> bool {
    room.checked_sub(1).map(|left| *room = left).is_some()
}

/// Returns the size of the texts of a change, in bytes.
fn size(change: &StoredChange) -> usize {
    let puts = change.puts.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, String::len));
    puts.sum::<usize>() + change.events.iter().map(String::len).sum::<usize>()
}
