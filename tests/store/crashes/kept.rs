//! What a store holds, as lists tell it: without who made an entry and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use chat_signer::config::{StoreKind, StoreSettings};
use chat_signer::moderation::store::{ChangesSince, Job, JobState, RecordFile, Store};
use chat_signer::moderation::{EntryKind, EntryRecord, ModerationEntry};
use serde_json::{Value, json};

/// Entries, by table and place.
pub(crate) type Entries = BTreeMap<String, Value>;

/// Where an entry stands: there is one at most.
pub(crate) fn place(table: EntryKind, entry: &Value) -> String {
    let part = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    format!("{} {} {} {}", table.as_str(), part("user"), part("conversation"), part("app"))
}

/// All that a store holds.
pub(crate) struct Kept {
    pub(crate) entries: Entries,
    /// The ids of all that happened.
    pub(crate) events: BTreeSet<String>,
    pub(crate) pending: Vec<Job>,
    pub(crate) dead_letter: Vec<Job>,
}

/// What the file in this directory holds: of a copy, so that it is left as it is.
pub(crate) async fn kept(directory: &Path) -> Kept {
    let path = directory.join("copy.redb");
    fs::copy(directory.join("moderation.redb"), &path).unwrap();
    let settings = StoreSettings {
        kind: StoreKind::Redb { path: path.clone() },
        max_staleness: Duration::from_secs(60),
        record: None,
    };
    let store = Store::open(&settings).await.unwrap();
    let contents = store.read_all().await.unwrap();
    let entries = contents.entries.iter().map(|(key, value)| told(&ModerationEntry::parse(key, value).unwrap()));
    let mut changes = Vec::new();
    while changes.len() as u64 != contents.head.version {
        match store.changes_since(changes.len() as u64).await.unwrap() {
            ChangesSince::Changes(more) if !more.is_empty() => changes.extend(more),
            other => panic!("{other:?}"),
        }
    }
    let events = changes.iter().flat_map(|change| &change.events).map(|event| id(event)).collect();
    let jobs = async |state| store.list_jobs(state, "", "", usize::MAX).await.unwrap();
    let kept = Kept {
        entries: entries.collect(),
        events,
        pending: jobs(JobState::Pending).await,
        dead_letter: jobs(JobState::DeadLetter).await,
    };
    drop(store);
    fs::remove_file(path).unwrap();
    kept
}

/// How far a file in this directory is ahead of the record of `moderation.redb`, in changes. `None`: it lacks what is recorded. It is read as a copy, so that it
/// is left as it is.
pub(crate) async fn ahead_of_record(directory: &Path, file: &str) -> Option<u64> {
    let path = directory.join("copy.redb");
    fs::copy(directory.join(file), &path).unwrap();
    let kind = StoreKind::Redb { path: path.clone() };
    let settings = StoreSettings { kind, max_staleness: Duration::from_secs(60), record: None };
    let store = Store::open(&settings).await.unwrap();
    let mark = RecordFile::new(directory.join("moderation.redb.record")).read().unwrap().unwrap();
    let head = store.head().await.unwrap();
    let is_kept = mark.is_satisfied_by(&store, &head).await.unwrap();
    drop(store);
    fs::remove_file(path).unwrap();
    is_kept.then(|| head.version - mark.version)
}

fn told(record: &ModerationEntry) -> (String, Value) {
    let forgotten = EntryRecord::from(record).forgotten;
    let entry = json!(EntryRecord { forgotten, ..EntryRecord::from(record).for_event(None) });
    (place(record.table(), &entry), entry)
}

fn id(event: &str) -> String {
    serde_json::from_str::<Value>(event).unwrap()["id"].as_str().unwrap().to_owned()
}
