//! A store in a file with its record beside it: a file that is missing, or is an older copy, is refused until an operator accepts it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use chat_signer::clock;
use chat_signer::config::{StoreKind, StoreSettings};
use chat_signer::moderation::store::{NewChange, Store};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::common::{Server, Setup, until};
use crate::routes::world::{Service, login, with};

const STORE: &str = "[store]\ntype = \"redb\"\npath = \"moderation.redb\"\n";

const LOST: &str = "has lost changes that it had acknowledged. To use it as it is, run `chat-signer store accept`";

/// A server with this store that has banned `ann`. A copy of the store is in `older.redb`. Then the server banned `ben`, and was killed.
fn home(store: &str) -> PathBuf {
    let server = with(Setup::more(store));
    ban(&server, "ann");
    server.signal("-KILL");
    let directory = server.killed();
    fs::copy(directory.join("moderation.redb"), directory.join("older.redb")).unwrap();
    let server = started(directory);
    ban(&server, "ben");
    server.signal("-KILL");
    server.killed()
}

fn ban(server: &Server, user: &str) {
    Service.does(server, "bans", &json!({ "users": [user] }));
}

/// The program in this directory, ready.
fn started(directory: PathBuf) -> Server {
    let server = Server::run(directory, Setup::default());
    until("it is ready", || server.is_ready());
    server
}

/// What the program says that does not start in this directory.
fn does_not_start(directory: &Path) -> String {
    let ended = run(directory, &["serve"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    String::from_utf8(ended.stderr).unwrap()
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    command.args(arguments).arg("--config").arg(directory.join("signer.toml")).output().unwrap()
}

/// Whether a command succeeds, and what it says to that.
fn does(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let done = run(directory, arguments);
    (done.status.success(), String::from_utf8(done.stderr).unwrap() + &String::from_utf8(done.stdout).unwrap())
}

/// Checks that the server in this directory refuses everyone, and leaves the directory.
fn refuses(directory: PathBuf, reason: &str) -> PathBuf {
    let server = Server::run(directory, Setup::default());
    let ready = server.admin("/readyz?verbose");
    let line = ready.body.lines().find(|line| line.contains("moderation")).unwrap().to_owned();
    assert!(ready.status == 503 && line.starts_with("[-] moderation: ") && line.contains(reason), "{line}");
    assert_eq!((login(&server, "ben"), login(&server, "tom")), (503, 503));
    assert_eq!(Service.posts(&server, "bans", &json!({ "users": ["zoe"] })).status, 503);
    server.signal("-KILL");
    server.killed()
}

fn is_banned(directory: PathBuf, banned: &[&str], free: &[&str]) {
    let server = started(directory);
    assert!(banned.iter().all(|user| login(&server, user) == 403), "{banned:?}");
    assert!(free.iter().all(|user| login(&server, user) == 200), "{free:?}");
    // It goes on, and so does a restart.
    ban(&server, "later");
    server.signal("-KILL");
    let server = started(server.killed());
    assert_eq!(login(&server, "later"), 403);
}

#[test]
fn a_missing_file_is_refused_until_it_is_back() {
    let directory = home(STORE);
    let [path, moved] = ["moderation.redb", "moved.redb"].map(|name| directory.join(name));
    fs::rename(&path, &moved).unwrap();
    let said = does_not_start(&directory);
    assert!(said.contains("moderation.redb is missing, and its record") && said.contains("at change 2"), "{said}");
    assert!(!path.exists(), "none is begun in its place");
    let (is_accepted, said) = does(&directory, &["store", "accept"]);
    assert!(!is_accepted && said.contains("store accept --empty"), "{said}");
    assert!(!path.exists());
    fs::rename(&moved, &path).unwrap();
    is_banned(directory, &["ann", "ben"], &["tom"]);
}

#[test]
fn a_missing_file_is_given_up_by_an_operator() {
    let directory = home(STORE);
    fs::remove_file(directory.join("moderation.redb")).unwrap();
    let (is_accepted, said) = does(&directory, &["store", "accept", "--empty"]);
    assert!(is_accepted && said.contains("accepted: 0 bans"), "{said}");
    is_banned(directory, &[], &["ann", "ben"]);
}

#[test]
fn an_older_file_is_refused_until_an_operator_accepts_it() {
    let directory = home(STORE);
    let [path, older, moved] = ["moderation.redb", "older.redb", "moved.redb"].map(|name| directory.join(name));
    fs::rename(&path, &moved).unwrap();
    fs::copy(&older, &path).unwrap();
    let directory = refuses(directory, LOST);
    // It does not help to start it again.
    let directory = refuses(directory, LOST);
    let (_, said) = does(&directory, &["store", "export"]);
    assert!(said.contains("note: the store lacks change 2, which is in its record"), "{said}");
    // The right one counts as soon as it is back, and a restart goes by it.
    fs::rename(&moved, &path).unwrap();
    let server = started(directory);
    assert_eq!(login(&server, "ben"), 403);
    server.signal("-KILL");
    let directory = server.killed();
    fs::copy(&older, &path).unwrap();
    let directory = refuses(directory, LOST);
    let (is_accepted, said) = does(&directory, &["store", "accept"]);
    assert!(is_accepted && said.contains("accepted: 1 bans"), "{said}");
    is_banned(directory, &["ann"], &["ben"]);
}

#[test]
fn a_file_that_went_another_way_is_refused_though_it_has_as_many_changes() {
    for changes in 1..=2 {
        let directory = home(STORE);
        let path = directory.join("moderation.redb");
        fs::copy(directory.join("older.redb"), &path).unwrap();
        Runtime::new().unwrap().block_on(change(path, changes));
        fs::remove_dir_all(refuses(directory, LOST)).unwrap();
    }
}

/// Makes changes to a file as a program does that keeps no record.
async fn change(path: PathBuf, changes: usize) {
    let (kind, max_staleness) = (StoreKind::Redb { path }, Duration::from_secs(60));
    let store = Store::open(&StoreSettings { kind, max_staleness, record: None }).await.unwrap();
    for _ in 0..changes {
        let head = store.head().await.unwrap();
        store.commit(&head, NewChange::default(), clock::now()).await.unwrap();
    }
}

#[test]
fn changes_that_an_earlier_version_made_without_the_record_count() {
    let directory = home(STORE);
    Runtime::new().unwrap().block_on(change(directory.join("moderation.redb"), 3));
    is_banned(directory, &["ann", "ben"], &["tom"]);
}

#[test]
fn a_file_of_an_earlier_version_gets_a_record() {
    let directory = home(STORE);
    let [path, record] = ["moderation.redb", "moderation.redb.record"].map(|name| directory.join(name));
    for file in [&path, &record] {
        fs::remove_file(file).unwrap();
    }
    Runtime::new().unwrap().block_on(change(path, 2));
    let server = started(directory);
    let said = server.said();
    assert!(said.contains("created a record of the store in ") && said.contains(", at change 2; "), "{said}");
    assert!(fs::read_to_string(&record).unwrap().contains("\"version\":2,"));
    server.signal("-KILL");
    let directory = server.killed();
    fs::remove_file(record).unwrap();
    assert!(does_not_start(&directory).contains("moderation.redb.record is missing"));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn an_operators_word_counts_for_a_record_of_before() {
    let directory = home(STORE);
    let [record, aside] = ["moderation.redb.record", "aside"].map(|name| directory.join(name));
    fs::copy(&record, &aside).unwrap();
    fs::copy(directory.join("older.redb"), directory.join("moderation.redb")).unwrap();
    assert!(does(&directory, &["store", "accept"]).0);
    let server = started(directory);
    for user in ["cat", "dan", "eve"] {
        ban(&server, user);
    }
    server.signal("-KILL");
    let directory = server.killed();
    let said = fs::read_to_string(&aside).unwrap();
    assert!(said.contains("\"version\":2,"), "{said}");
    fs::copy(&aside, &record).unwrap();
    let server = started(directory);
    assert_eq!((login(&server, "ben"), login(&server, "eve")), (200, 403), "it was accepted since");
}

#[test]
fn a_missing_record_is_refused_until_an_operator_accepts_the_file() {
    let directory = home(STORE);
    fs::remove_file(directory.join("moderation.redb.record")).unwrap();
    let said = does_not_start(&directory);
    assert!(said.contains("moderation.redb.record is missing, so lost changes cannot be detected"), "{said}");
    assert!(does(&directory, &["store", "accept"]).0);
    is_banned(directory, &["ann", "ben"], &["tom"]);
}

#[test]
fn a_damaged_record_is_refused_until_an_operator_accepts_the_file() {
    let directory = home(STORE);
    fs::write(directory.join("moderation.redb.record"), "damaged").unwrap();
    let said = does_not_start(&directory);
    assert!(said.contains("moderation.redb.record is damaged, so lost changes cannot be detected"), "{said}");
    assert!(does(&directory, &["store", "accept"]).0);
    is_banned(directory, &["ann", "ben"], &["tom"]);
}

#[test]
fn without_file_and_record_a_store_is_begun_with_a_warning() {
    let directory = home(STORE);
    for name in ["moderation.redb", "moderation.redb.record"] {
        fs::remove_file(directory.join(name)).unwrap();
    }
    let server = started(directory);
    let said = server.said();
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("created ")).collect();
    assert!(warnings.iter().any(|line| line.contains("created an empty store in ")), "{said}");
    assert!(warnings.iter().all(|line| line.to_lowercase().contains("warn")), "{said}");
    assert_eq!(login(&server, "ben"), 200, "that both were lost nobody can tell");
    let mode = fs::metadata(server.directory.join("moderation.redb.record")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// As the documentation says: who takes back both takes back what could tell.
#[test]
fn an_older_file_with_the_record_of_its_time_is_not_noticed() {
    let server = with(Setup::more(STORE));
    ban(&server, "ann");
    server.signal("-KILL");
    let directory = server.killed();
    let names = ["moderation.redb", "moderation.redb.record"];
    for name in names {
        fs::copy(directory.join(name), directory.join(format!("{name}.backup"))).unwrap();
    }
    let server = started(directory);
    ban(&server, "ben");
    server.signal("-KILL");
    let directory = server.killed();
    for name in names {
        fs::copy(directory.join(format!("{name}.backup")), directory.join(name)).unwrap();
    }
    is_banned(directory, &["ann"], &["ben"]);
}

#[test]
fn a_record_can_be_elsewhere() {
    let directory = home(&format!("{STORE}record = \"elsewhere.record\"\n"));
    assert!(!directory.join("moderation.redb.record").exists());
    assert!(fs::read_to_string(directory.join("elsewhere.record")).unwrap().contains("\"version\":2,"));
    fs::copy(directory.join("older.redb"), directory.join("moderation.redb")).unwrap();
    fs::remove_dir_all(refuses(directory, LOST)).unwrap();
}

#[test]
fn a_change_is_not_acknowledged_when_it_can_not_be_recorded() {
    let server = with(Setup::more(STORE));
    let record = server.directory.join("moderation.redb.record");
    ban(&server, "ann");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    let refused = Service.posts(&server, "bans", &json!({ "users": ["ben"] }));
    assert_eq!(refused.status, 503, "{refused:?}");
    until("it is told", || server.admin("/readyz?verbose").body.contains("[!] moderation: "));
    assert_eq!((login(&server, "ann"), login(&server, "tom")), (403, 200), "what is known still counts");
    fs::remove_dir(&record).unwrap();
    ban(&server, "ben");
    until("it is over", || server.admin("/readyz?verbose").body.contains("[+] moderation: ok"));
    assert!(fs::read_to_string(&record).unwrap().contains("\"version\":2,"));
}

#[test]
fn what_is_imported_is_recorded() {
    let directory = home(STORE);
    let [path, copy] = ["moderation.redb", "copy.redb"].map(|name| directory.join(name));
    fs::copy(&path, &copy).unwrap();
    let file = directory.join("more.toml");
    fs::write(&file, "[[bans]]\nuser = \"cat\"\n").unwrap();
    let import = ["store", "import", file.to_str().unwrap()];
    let (is_imported, said) = does(&directory, &import);
    assert!(is_imported && !said.contains("note: "), "{said}");
    assert!(fs::read_to_string(directory.join("moderation.redb.record")).unwrap().contains("\"version\":3,"));
    fs::rename(&copy, &path).unwrap();
    let directory = refuses(directory, LOST);
    // What is imported into a store that is refused doesn't make it count.
    let (is_imported, said) = does(&directory, &import);
    assert!(
        is_imported && said.contains("Servers refuse the store until you run `chat-signer store accept`"),
        "{said}"
    );
    let directory = refuses(directory, LOST);
    assert!(does(&directory, &["store", "accept"]).0);
    is_banned(directory, &["ann", "ben", "cat"], &["tom"]);
}
