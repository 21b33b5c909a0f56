//! A store that forgets all when the process ends.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Attempt, Change, Commit, Contents, Head, Job, JobState, KEPT, NotCommitted, Since, Unavailable};
use crate::model::Millis;
use crate::random;

/// A store in memory.
pub struct Memory {
    kept: Mutex<Kept>,
    hint: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    epoch: String,
    accepted: bool,
    change: String,
    version: u64,
    entries: BTreeMap<String, String>,
    log: VecDeque<Change>,
    jobs: BTreeMap<String, Held>,
    notes: BTreeMap<String, String>,
}

/// A job, and who is at it until when.
struct Held {
    job: Job,
    lease: Option<(String, Millis)>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { kept: Mutex::default(), hint: watch::channel(0).0 }
    }
}

impl Memory {
    pub(super) fn head(&self) -> Head {
        self.lock().head()
    }

    pub(super) fn begin(&self) -> Result<(), Unavailable> {
        let mut kept = self.lock();
        if kept.epoch.is_empty() {
            kept.epoch = fresh()?;
        }
        Ok(())
    }

    pub(super) fn accept(&self) -> Result<(), Unavailable> {
        let mut kept = self.lock();
        kept.epoch = fresh()?;
        kept.accepted = true;
        drop(kept);
        self.hint.send_modify(|hint| *hint += 1);
        Ok(())
    }

    pub(super) fn contents(&self) -> Contents {
        let kept = self.lock();
        let entries = kept.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Contents { head: kept.head(), entries }
    }

    pub(super) fn since(&self, version: u64) -> Since {
        let kept = self.lock();
        let oldest = kept.log.front().map_or(kept.version + 1, |change| change.version);
        if version.saturating_add(1) < oldest {
            return Since::Gone;
        }
        Since::Changes(kept.log.iter().filter(|change| change.version > version).cloned().collect())
    }

    pub(super) fn commit(&self, on: &Head, commit: Commit, at: Millis) -> Result<Change, NotCommitted> {
        let id = fresh()?;
        let mut kept = self.lock();
        if kept.head() != *on {
            return Err(NotCommitted::Behind);
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
            let lease = kept.jobs.get(&job.key).and_then(|held| held.lease.clone());
            let (state, due) = (JobState::Pending, at);
            let job = Job {
                key: job.key,
                body: job.body,
                revision: version,
                attempts: 0,
                due,
                state,
                error: None,
                taken_over: false,
            };
            kept.jobs.insert(job.key.clone(), Held { job, lease });
        }
        let change = Change { version, id, at, puts: commit.puts, events: commit.events };
        kept.log.push_back(change.clone());
        if kept.log.len() as u64 > KEPT {
            kept.log.pop_front();
        }
        drop(kept);
        self.hint.send_replace(version);
        Ok(change)
    }

    pub(super) fn hints(&self) -> watch::Receiver<u64> {
        self.hint.subscribe()
    }

    pub(super) fn claim(&self, worker: &str, now: Millis, lease: Duration, most: usize) -> Vec<Job> {
        let until = Millis(now.0.saturating_add(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)));
        let mut kept = self.lock();
        let due = kept.jobs.values_mut().filter(|held| {
            let job = &held.job;
            job.state == JobState::Pending && job.due <= now && held.lease.as_ref().is_none_or(|(_, end)| *end <= now)
        });
        due.take(most)
            .map(|held| {
                held.job.taken_over |= held.lease.is_some();
                held.lease = Some((worker.to_owned(), until));
                held.job.clone()
            })
            .collect()
    }

    pub(super) fn settle(&self, worker: &str, job: &Job, attempt: &Attempt, _now: Millis) -> bool {
        let mut kept = self.lock();
        let Some(held) = kept.jobs.get_mut(&job.key).filter(|held| held.is_with(worker)) else { return false };
        held.lease = None;
        if held.job.revision != job.revision {
            return false;
        }
        held.job.settle(attempt);
        true
    }

    pub(super) fn jobs(&self, state: JobState, after: &str, most: usize) -> Vec<Job> {
        let kept = self.lock();
        let later = kept.jobs.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        later.map(|(_, held)| &held.job).filter(|job| job.state == state).take(most).cloned().collect()
    }

    pub(super) fn note(&self, key: &str) -> Option<String> {
        self.lock().notes.get(key).cloned()
    }

    pub(super) fn set_note(&self, worker: &str, job: &Job, key: &str, value: Option<String>) -> bool {
        let mut kept = self.lock();
        if !kept.jobs.get(&job.key).is_some_and(|held| held.is_with(worker)) {
            return false;
        }
        match value {
            Some(value) => drop(kept.notes.insert(key.to_owned(), value)),
            None => drop(kept.notes.remove(key)),
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn head(&self) -> Head {
        Head { epoch: self.epoch.clone(), version: self.version, change: self.change.clone(), accepted: self.accepted }
    }
}

impl Held {
    fn is_with(&self, worker: &str) -> bool {
        self.lease.as_ref().is_some_and(|(holder, _)| holder == worker)
    }
}

/// An id that no other has.
fn fresh() -> Result<String, Unavailable> {
    let bytes = random::bytes::<16>().map_err(|error| Unavailable(error.to_string()))?;
    Ok(hex::encode(bytes))
}
