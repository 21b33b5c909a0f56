//! What can befall a store in a file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chat_signer::config::StoreKind;
use chat_signer::model::Millis;
use chat_signer::moderation::store::{AttemptResult, JobState, NewChange, Store, StoreHead, StoreUnavailable};
use chat_signer::{clock, environment};
use redb::{Database, TableDefinition};

use crate::backends::bed::{LONG, Scratch, ask, claim, claim_of, commit, put, settings, since};

/// Names the file to a test that is run as another process.
const CHILD: &str = "CHAT_SIGNER_TEST_STORE";

async fn open(path: &Path) -> Result<Store, StoreUnavailable> {
    Store::open(&settings(StoreKind::Redb { path: path.to_owned() })).await
}

/// Why a file can't be opened.
async fn refusal(path: &Path) -> String {
    match open(path).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_file_is_begun_for_its_owner_alone() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    assert_eq!(store.head().await.unwrap().epoch.len(), 32);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn what_a_crash_left_of_the_beginning_is_no_hindrance() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    fs::write(scratch.0.join("store.redb.0123.new"), "half").unwrap();
    assert_eq!(open(&path).await.unwrap().head().await.unwrap().version, 0);
}

#[tokio::test]
async fn a_file_that_is_opened_again_holds_all() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    let head = commit(&store, put("ban/tom", "1")).await;
    commit(&store, NewChange { events: vec!["{}".to_owned()], ..ask(&["enforce:a", "enforce:b"], "{}") }).await;
    let job = claim_of(&store, "me", &[("enforce:a", 1)]).await.remove(0);
    assert!(store.set_checkpoint("me", &job, "before", Some("Read".to_owned())).await.unwrap());
    store.accept().await.unwrap();
    let before = state(&store).await;
    drop(store);

    let store = open(&path).await.unwrap();
    assert_eq!(state(&store).await, before);
    assert!(store.head().await.unwrap().accepted_at.is_some());
    assert_eq!(store.head().await.unwrap().version, head.version + 1);
    assert!(store.complete("me", &job, &AttemptResult::Done, clock::now()).await.unwrap());
    assert_eq!(claim(&store, "you", LONG).await.len(), 1, "the other one");
}

/// Nobody else can have the file, so that whoever claimed jobs before is gone. What it did last may still be on its way.
#[tokio::test]
async fn what_was_claimed_before_a_restart_need_not_wait_for_the_lease() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    commit(&store, ask(&["enforce:a", "enforce:b"], "{}")).await;
    let job = claim_of(&store, "me", &[("enforce:a", 1)]).await.remove(0);
    drop(store);

    let store = open(&path).await.unwrap();
    commit(&store, ask(&["enforce:c"], "{}")).await;
    let claimed = claim(&store, "you", LONG).await;
    let taken_over: Vec<_> = claimed.iter().filter(|job| job.taken_over).map(|job| job.key.as_str()).collect();
    assert_eq!((claimed.len(), taken_over), (3, vec![job.key.as_str()]));
    assert!(!store.complete("me", &job, &AttemptResult::Done, clock::now()).await.unwrap());
}

#[tokio::test]
async fn what_waits_for_its_time_still_does_after_a_restart() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    commit(&store, ask(&["enforce:a"], "{}")).await;
    let job = claim(&store, "me", LONG).await.remove(0);
    let again = AttemptResult::Retry { due: clock::now().after(LONG), error: None };
    assert!(store.complete("me", &job, &again, clock::now()).await.unwrap());
    drop(store);
    assert_eq!(claim(&open(&path).await.unwrap(), "you", LONG).await, []);
}

async fn state(store: &Store) -> String {
    let contents = store.read_all().await.unwrap();
    let pending = store.list_jobs(JobState::Pending, "", "", 10).await.unwrap();
    let note = store.checkpoint("before").await.unwrap();
    format!("{contents:?} {:?} {pending:?} {note:?}", store.changes_since(0).await.unwrap())
}

#[tokio::test]
async fn a_file_in_use_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    assert!(refusal(&path).await.contains("is in use by another process"), "{}", refusal(&path).await);
    drop(store);
    open(&path).await.unwrap();
}

#[tokio::test]
async fn a_link_leads_to_the_file_and_one_that_leads_nowhere_begins_none() {
    let scratch = Scratch::new();
    let (path, volume) = (scratch.0.join("store.redb"), scratch.0.join("volume"));
    fs::create_dir(&volume).unwrap();
    drop(open(&volume.join("store.redb")).await.unwrap());
    symlink(volume.join("store.redb"), &path).unwrap();
    let store = open(&path).await.unwrap();
    commit(&store, put("ban/tom", "1")).await;
    fs::rename(&volume, scratch.0.join("unmounted")).unwrap();
    assert!(store.head().await.unwrap_err().message.contains("store.redb can't be found any more"));
    drop(store);
    for is_mounted in [false, true] {
        if is_mounted {
            fs::create_dir(&volume).unwrap();
        }
        assert!(refusal(&path).await.contains("No such file or directory"));
    }
    assert_eq!((fs::read_dir(&volume).unwrap().count(), fs::read_dir(&scratch.0).unwrap().count()), (0, 3));
}

/// As the documentation tells how to save one that was deleted.
#[tokio::test]
async fn a_file_that_was_deleted_can_be_copied_from_who_has_it_open() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let store = open(&path).await.unwrap();
    let last = commit(&store, put("ban/tom", "1")).await;
    fs::remove_file(&path).unwrap();
    // It has another name where it was begun by the same process.
    let is_it = |name: &str| name.starts_with(path.to_str().unwrap()) && name.ends_with(" (deleted)");
    let mut files = fs::read_dir("/proc/self/fd").unwrap().map(|file| file.unwrap().path());
    let opened = files.find(|file| fs::read_link(file).is_ok_and(|to| is_it(to.to_str().unwrap())));
    fs::copy(opened.unwrap(), &path).unwrap();
    let flaw = store.head().await.unwrap_err().message;
    assert!(flaw.contains("store.redb is another file than the one that was opened"), "{flaw}");
    drop(store);
    let store = open(&path).await.unwrap();
    assert_eq!((store.head().await.unwrap(), store.read_all().await.unwrap().entries.len()), (last, 1));
}

#[tokio::test]
async fn two_that_begin_a_file_at_once_have_one() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let both = tokio::join!(open(&path), open(&path));
    assert_eq!([&both.0, &both.1].iter().filter(|store| store.is_ok()).count(), 1);
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
}

const OTHER: &str = "put the file of the moderation store back in its place, or set another `path` in [store]";

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    for (content, flaw, fix) in [
        ("", " is empty.", "delete it"),
        ("not a store", " is not a redb file, or is damaged", OTHER),
        (&"not a store".repeat(10_000), " is not a redb file, or is damaged", OTHER),
    ] {
        fs::write(&path, content).unwrap();
        let refusal = refusal(&path).await;
        assert!(refusal.contains(&format!("{}{flaw}", path.display())) && refusal.contains(fix), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    let missing = scratch.0.join("missing/store.redb");
    assert!(refusal(&missing).await.contains("No such file or directory"));
}

#[tokio::test]
async fn a_file_of_another_program_or_layout_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let numbers: TableDefinition<&str, u64> = TableDefinition::new("chat-signer");
    drop(Database::create(&path).unwrap());
    let other = refusal(&path).await;
    assert!(other.contains(&format!("store.redb is a redb file, but not chat-signer's: {OTHER}")), "{other}");
    let writing = Database::create(&path).unwrap().begin_write().unwrap();
    writing.open_table(numbers).unwrap().insert("layout", 2).unwrap();
    writing.commit().unwrap();
    let refusal = refusal(&path).await;
    assert!(refusal.contains("has the layout 2, and this version of chat-signer knows only 1"), "{refusal}");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    drop(open(&path).await.unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[64..320].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let refusal = refusal(&path).await;
    assert!(refusal.contains("store.redb"), "{refusal}");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let scratch = Scratch::new();
    let path = scratch.0.join("store.redb");
    let mut acknowledged = 0;
    for lines in [1, 3, 10, 30, 100] {
        acknowledged = killed_after(lines, &path, acknowledged);
        let store = open(&path).await.unwrap();
        let head = store.head().await.unwrap();
        assert!(head.version >= acknowledged, "{acknowledged} was acknowledged, and there is {head:?}");
        let changes = since(&store, 0).await;
        assert_eq!(changes.len() as u64, head.version);
        assert_eq!(changes.last().unwrap().id, head.change);
        assert_eq!(store.read_all().await.unwrap().entries.len() as u64, head.version);
        assert_eq!(store.list_jobs(JobState::Pending, "", "", usize::MAX).await.unwrap().len() as u64, head.version);
        acknowledged = head.version;
    }
}

/// Has a process make changes, kills it when it has acknowledged so many, and returns the number of the last.
fn killed_after(lines: usize, path: &Path, before: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backends::file::makes_changes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let numbers = said.filter_map(|line| line.strip_prefix("made ").and_then(|number| number.parse().ok()));
    let mut numbers = numbers.fuse();
    let first = numbers.by_ref().take(lines).last().unwrap();
    assert!(first > before);
    child.kill().unwrap();
    child.wait().unwrap();
    numbers.last().unwrap_or(first)
}

#[tokio::test]
#[ignore = "run by another test, as a process to be killed"]
async fn makes_changes_until_it_is_killed() {
    let Some(path) = environment::get(CHILD).map(PathBuf::from) else { return };
    let store = open(&path).await.unwrap();
    let mut head = store.head().await.unwrap();
    loop {
        let key = format!("ban/{}", head.version);
        let commit = NewChange { jobs: ask(&[&key], "").jobs, ..put(&key, "") };
        let change = store.commit(&head, commit, Millis(head.version)).await.unwrap();
        println!("\nmade {}", change.version);
        head = StoreHead { version: change.version, change: change.id, ..head };
    }
}
