//! Whatever is done to a store, it answers as the one in memory does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chat_signer::model::Millis;
use chat_signer::moderation::store::{
    AttemptResult, ChangesSince, CommitError, FailureCause, Job, JobFailure, JobState, NewChange, NewJob, Store,
    StoreHead, StoredChange,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use crate::backends::bed::{Bed, LONG, Scratch};
use crate::redis::Redis;

/// Something that is done to a store. Numbers choose keys, values and workers.
#[derive(Clone, Debug)]
enum Deed {
    /// A change that puts, removes and asks; on the head before the last where it is `late`.
    Commit {
        puts: Vec<(u8, Option<u8>)>,
        jobs: Vec<u8>,
        late: bool,
    },
    Accept,
    /// Claims with a lease that is over at once, or never.
    Claim {
        worker: u8,
        is_over: bool,
    },
    /// Settles one of the jobs that this worker has claimed, ever.
    Settle {
        worker: u8,
        which: usize,
        how: u8,
    },
    Note {
        worker: u8,
        which: usize,
        key: u8,
        value: Option<u8>,
    },
    Since {
        back: u64,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let puts = proptest::collection::vec((0..6_u8, proptest::option::of(0..4_u8)), 0..4);
    let jobs = proptest::collection::vec(0..5_u8, 0..4);
    prop_oneof![
        4 => (puts, jobs, proptest::bool::weighted(0.1)).prop_map(|(puts, jobs, late)| Deed::Commit { puts, jobs, late }),
        1 => Just(Deed::Accept),
        3 => (0..2_u8, any::<bool>()).prop_map(|(worker, is_over)| Deed::Claim { worker, is_over }),
        4 => (0..2_u8, 0..9_usize, 0..4_u8).prop_map(|(worker, which, how)| Deed::Settle { worker, which, how }),
        2 => (0..2_u8, 0..9_usize, 0..3_u8, proptest::option::of(0..4_u8))
            .prop_map(|(worker, which, key, value)| Deed::Note { worker, which, key, value }),
        1 => (0..5_u64).prop_map(|back| Deed::Since { back }),
    ]
}

/// A store, with what a program would remember of it.
struct Subject {
    store: Store,
    heads: Vec<StoreHead>,
    claimed: Vec<Vec<Job>>,
    time: u64,
}

impl Subject {
    async fn on(bed: &Bed) -> Subject {
        let store = bed.store().await;
        let head = store.head().await.unwrap();
        Subject { store, heads: vec![head], claimed: vec![Vec::new(), Vec::new()], time: 1000 }
    }

    /// Does it, and tells all that can be seen of it.
    async fn does(&mut self, deed: &Deed) -> String {
        self.time += 1;
        let now = Millis(self.time);
        let seen = match deed.clone() {
            Deed::Commit { puts, jobs, late } => self.commit(&puts, &jobs, late, now).await,
            Deed::Accept => {
                self.store.accept().await.unwrap();
                self.heads.push(self.store.head().await.unwrap());
                String::new()
            }
            Deed::Claim { worker, is_over } => {
                let queues = [0, 1].map(|queue| (format!("job:{queue}"), 100));
                let lease = if is_over { Duration::ZERO } else { LONG };
                let mut jobs = self.store.claim(&name(worker), now, lease, &queues).await.unwrap();
                jobs.sort_by(|one, other| one.key.cmp(&other.key));
                let shown: Vec<_> = jobs.iter().map(timeless).collect();
                self.claimed[usize::from(worker)].extend(jobs.clone());
                format!("{shown:?}")
            }
            Deed::Settle { worker, which, how } => {
                let Some(job) = self.claimed[usize::from(worker)].get(which) else { return String::new() };
                format!("{:?}", self.store.complete(&name(worker), job, &attempt(how), now).await.unwrap())
            }
            Deed::Note { worker, which, key, value } => {
                let Some(job) = self.claimed[usize::from(worker)].get(which) else { return String::new() };
                let value = value.map(|value| value.to_string());
                format!("{:?}", self.store.set_checkpoint(&name(worker), job, &key.to_string(), value).await.unwrap())
            }
            Deed::Since { back } => {
                let version = self.heads.last().unwrap().version.saturating_sub(back);
                match self.store.changes_since(version).await.unwrap() {
                    ChangesSince::Changes(changes) => {
                        format!("{:?}", changes.iter().map(without_id).collect::<Vec<_>>())
                    }
                    ChangesSince::NoLongerKept => "gone".to_owned(),
                }
            }
        };
        format!("{seen} {}", self.state().await)
    }

    async fn commit(&mut self, puts: &[(u8, Option<u8>)], jobs: &[u8], late: bool, now: Millis) -> String {
        let puts = puts.iter().map(|(key, value)| (key.to_string(), value.map(|value| value.to_string())));
        // Of a key that is there twice it isn't said which counts.
        let puts: BTreeMap<_, _> = puts.collect();
        let jobs: BTreeSet<_> = jobs.iter().collect();
        let jobs =
            jobs.into_iter().map(|key| NewJob { key: format!("job:{}:{key}", key % 2), body: self.time.to_string() });
        let commit = NewChange {
            puts: puts.into_iter().collect(),
            events: vec!["{}".to_owned()],
            jobs: jobs.collect(),
            request: None,
        };
        let on = if late { self.heads.iter().rev().nth(1) } else { self.heads.last() };
        let Some(on) = on.cloned() else { return String::new() };
        match self.store.commit(&on, commit, now).await {
            Ok(change) => {
                self.heads.push(StoreHead { version: change.version, change: change.id.clone(), ..on });
                format!("{:?}", without_id(&change))
            }
            Err(CommitError::Behind) => "behind".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    /// All that the store holds, without what is drawn at random.
    async fn state(&self) -> String {
        let contents = self.store.read_all().await.unwrap();
        assert_eq!(Some(&contents.head), self.heads.last());
        let entries: BTreeSet<_> = contents.entries.into_iter().collect();
        let (version, accepted) = (contents.head.version, contents.head.accepted_at.is_some());
        let mut jobs = Vec::new();
        for state in [JobState::Pending, JobState::Done, JobState::DeadLetter] {
            jobs.extend(self.store.list_jobs(state, "", "", 100).await.unwrap().iter().map(timeless));
        }
        let mut notes = Vec::new();
        for key in 0..3 {
            notes.push(self.store.checkpoint(&key.to_string()).await.unwrap());
        }
        format!("{version} {accepted} {entries:?} {jobs:?} {notes:?}")
    }
}

fn name(worker: u8) -> String {
    format!("worker {worker}")
}

fn attempt(how: u8) -> AttemptResult {
    match how {
        0 => AttemptResult::Done,
        1 => AttemptResult::DeadLetter { error: JobFailure::new(FailureCause::Impossible, "no") },
        2 => AttemptResult::Retry { due: Millis(0), error: None },
        _ => {
            AttemptResult::Retry { due: Millis(1 << 45), error: Some(JobFailure::new(FailureCause::Trouble, "later")) }
        }
    }
}

/// Some have a clock of their own.
fn timeless(job: &Job) -> Job {
    Job { asked: job.asked.map(|_| Millis(0)), settled: job.settled.map(|_| Millis(0)), ..job.clone() }
}

fn without_id(change: &StoredChange) -> StoredChange {
    StoredChange { id: String::new(), ..change.clone() }
}

/// Does the same to a store on each of `beds` and to one in memory.
fn agree(cases: u32, beds: impl Fn() -> Arc<Bed>) {
    let runtime = Runtime::new().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let deeds = proptest::collection::vec(deed(), 1..60);
    let agreed = TestRunner::new(config).run(&deeds, |deeds| {
        runtime.block_on(async {
            let bed = beds();
            let (mut subject, mut memory) = (Subject::on(&bed).await, Subject::on(&Bed::Memory).await);
            for deed in &deeds {
                prop_assert_eq!(subject.does(deed).await, memory.does(deed).await, "{:?}", deed);
            }
            Ok(())
        })
    });
    agreed.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn redb_agrees_with_memory() {
    agree(60, || Arc::new(Bed::Redb(Scratch::quick())));
}

#[test]
fn redis_agrees_with_memory() {
    let Some(redis) = Redis::start() else { return };
    let redis = Arc::new(Bed::Redis(redis));
    agree(60, || {
        redis.empty();
        Arc::clone(&redis)
    });
}
