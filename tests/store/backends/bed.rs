//! What a store of each kind needs under it.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, process};

use chat_signer::clock;
use chat_signer::config::{Durability, RedisAddress, RedisServer, RedisSettings, StoreKind, StoreSettings};
use chat_signer::moderation::store::{
    ChangesSince, Job, JobState, NewChange, NewJob, Store, StoreHead, StoredChange, queue_name,
};

use crate::redis::Redis;

/// Long enough that no test sees its end.
pub const LONG: Duration = Duration::from_secs(3600);

/// What a store stands on, and goes when this is dropped.
pub enum Bed {
    Memory,
    Redb(Scratch),
    Redis(Redis),
}

impl Bed {
    /// Opens the store that stands here, and begins it if need be.
    pub async fn store(&self) -> Store {
        let store = Store::open(&self.settings()).await.unwrap();
        store.initialize().await.unwrap();
        store
    }

    /// Takes away all that a Redis holds.
    pub fn empty(&self) {
        if let Bed::Redis(redis) = self {
            redis.ask::<()>(&["FLUSHALL"]);
        }
    }

    fn settings(&self) -> StoreSettings {
        match self {
            Bed::Memory => settings(StoreKind::Memory),
            Bed::Redb(scratch) => settings(StoreKind::Redb { path: scratch.0.join("store.redb") }),
            Bed::Redis(redis) => settings(StoreKind::Redis(socket(redis))),
        }
    }
}

pub fn settings(kind: StoreKind) -> StoreSettings {
    StoreSettings { kind, max_staleness: Duration::from_secs(60), record: None }
}

/// What leads to a Redis by its socket.
pub fn socket(redis: &Redis) -> RedisSettings {
    at(RedisAddress::Unix(redis.socket()))
}

/// What leads to a Redis.
pub fn at(address: RedisAddress) -> RedisSettings {
    RedisSettings {
        servers: vec![RedisServer { address, database: 0, user: None, password: None }],
        sentinels: Vec::new(),
        prefix: "chat-signer:".to_owned(),
        durability: Durability::Fsync,
        max_clock_offset: Duration::from_secs(30),
        authorities: Vec::new(),
        identity: None,
    }
}

/// A directory of one's own.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// On a disk.
    pub fn new() -> Scratch {
        Scratch::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// In memory where there is such a thing, for what makes thousands of changes and isn't about the disk.
    pub fn quick() -> Scratch {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Scratch::below(memory) } else { Scratch::new() }
    }

    fn below(directory: &Path) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("chat-signer-store-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One entry's new value.
pub fn put(key: &str, value: &str) -> NewChange {
    NewChange { puts: vec![(key.to_owned(), Some(value.to_owned()))], ..NewChange::default() }
}

/// What asks for jobs of these keys, with `body`.
pub fn ask(keys: &[&str], body: &str) -> NewChange {
    let job = |key: &&str| NewJob { key: (*key).to_owned(), body: body.to_owned() };
    NewChange { jobs: keys.iter().map(job).collect(), ..NewChange::default() }
}

/// Makes a change to the store as it is.
pub async fn commit(store: &Store, commit: NewChange) -> StoreHead {
    let head = store.head().await.unwrap();
    let change = store.commit(&head, commit, clock::now()).await.unwrap();
    StoreHead { version: change.version, change: change.id, ..head }
}

/// All changes after this one, however often it takes to read them.
pub async fn since(store: &Store, version: u64) -> Vec<StoredChange> {
    let mut changes: Vec<StoredChange> = Vec::new();
    loop {
        let last = changes.last().map_or(version, |change| change.version);
        match store.changes_since(last).await.unwrap() {
            ChangesSince::Changes(more) if more.is_empty() => return changes,
            ChangesSince::Changes(more) => changes.extend(more),
            ChangesSince::NoLongerKept => panic!("what follows {last} is gone"),
        }
    }
}

/// Claims all that can be.
pub async fn claim(store: &Store, worker: &str, lease: Duration) -> Vec<Job> {
    let waiting = store.list_jobs(JobState::Pending, "", "", 100).await.unwrap();
    let queues: BTreeSet<_> = waiting.iter().map(|job| queue_name(&job.key)).collect();
    let queues: Vec<_> = queues.into_iter().map(|queue| (queue, 100)).collect();
    store.claim(worker, clock::now(), lease, &queues).await.unwrap()
}

/// Claims so many of each of these queues.
pub async fn claim_of(store: &Store, worker: &str, queues: &[(&str, usize)]) -> Vec<Job> {
    let queues: Vec<_> = queues.iter().map(|(queue, most)| ((*queue).to_owned(), *most)).collect();
    store.claim(worker, clock::now(), LONG, &queues).await.unwrap()
}

/// Asks again and again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} has not come to pass");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
