//! The audit log, whose file is taken away under it.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::{edit, until_refused};
use crate::common::{Server, Setup, post, until};

fn audited() -> Server {
    Server::with(Setup::more("[audit]\nto = \"audit.log\""))
}

/// Asks for a signature, and returns its nonce.
fn nonce(server: &Server) -> String {
    let answer = server.ask(&post("/v1/leancloud/login", "tom", "{}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["nonce"].as_str().unwrap().to_owned()
}

/// The nonces in this file's lines, each of which is whole.
fn nonces(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["nonce"].as_str().unwrap().to_owned();
    text.lines().map(line).collect()
}

#[test]
fn no_line_is_lost_or_torn_while_files_are_rotated() {
    let server = audited();
    let path = server.directory.join("audit.log");
    let (given, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let nonce = nonce(&server);
                    given.lock().unwrap().push(nonce);
                }
            });
        }
        for number in 0..30 {
            let before = given.lock().unwrap().len();
            until("lines are written", || given.lock().unwrap().len() > before + 10);
            fs::rename(&path, server.directory.join(format!("audit.log.{number}"))).unwrap();
            if number % 3 == 0 {
                server.signal("-HUP");
            }
            until("there is another file", || path.exists());
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut written: Vec<_> =
        (0..30).flat_map(|number| nonces(&server.directory.join(format!("audit.log.{number}")))).collect();
    written.extend(nonces(&path));
    let mut given = given.into_inner().unwrap();
    written.sort();
    given.sort();
    assert_eq!(written, given, "each once");
}

#[test]
fn after_a_hang_up_the_file_is_there_before_the_next_line() {
    let server = audited();
    let path = server.directory.join("audit.log");
    nonce(&server);
    fs::rename(&path, server.directory.join("old.log")).unwrap();
    server.signal("-HUP");
    until("there is another file", || path.exists());
    let last = nonce(&server);
    assert_eq!(nonces(&path), [last]);
}

#[test]
fn without_a_new_file_the_log_goes_on_in_the_old_one() {
    let server = audited();
    let (path, old) = (server.directory.join("audit.log"), server.directory.join("old.log"));
    let first = nonce(&server);
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    server.signal("-HUP");
    until("it says so", || server.said().contains("the audit log can't be opened again"));
    let (second, third) = (nonce(&server), nonce(&server));
    assert!(server.is_ready());
    assert_eq!(nonces(&old), [first, second, third]);
    fs::remove_dir(&path).unwrap();
    let mut last = nonce(&server);
    until("there is a new file", || {
        last = nonce(&server);
        path.exists()
    });
    assert_eq!(nonces(&path), [last]);
    assert_eq!(server.log().matches("can't be opened again").count(), 1);
}

#[test]
fn nothing_is_signed_for_a_log_that_is_gone() {
    let server = audited();
    let path = server.directory.join("audit.log");
    fs::remove_file(&path).unwrap();
    let first = nonce(&server);
    assert_eq!(nonces(&path), [first], "the line is not in the file that was removed");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 503);
    assert!(!server.is_ready());
    fs::remove_dir(&path).unwrap();
    until("it is ready again", || server.is_ready());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("audit_resumed"), "{text}");
    nonce(&server);
}

#[test]
fn neither_a_chain_nor_its_key_changes_while_the_program_runs() {
    let key = |name: &'static str, text: &str| (name, format!("fake-key-of-a-chain-{text}"));
    let files = vec![key("chain.key", "one"), key("next.key", "two")];
    let chain = "[audit]\nto = \"audit.log\"\nchain = true\nchain_key = { file = \"chain.key\" }";
    let server = Server::with(Setup { files, ..Setup::more(chain) });
    let signer = server.directory.join("signer.toml");
    edit(&signer, "{ file = \"chain.key\" }", "{ file = \"next.key\" }");
    until_refused(&server, "`audit.chain_key` can't be changed while the program runs: restart it");
    // Others than the first only verify.
    edit(&signer, "{ file = \"next.key\" }", "[{ file = \"chain.key\" }, { file = \"next.key\" }]");
    super::until_accepted(&server);
    edit(&signer, "chain = true\nchain_key = [{ file = \"chain.key\" }, { file = \"next.key\" }]", "chain = false");
    until_refused(&server, "`audit.chain` can't be changed from on to off while the program runs: restart it");
}
