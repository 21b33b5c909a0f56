//! The hash chain of the audit log, written by real servers and commands and verified by the real command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use crate::common::{Server, Setup, post, until};

const CHAINED: &str = "[audit]\nto = \"audit.log\"\nchain = true\n";

fn login(server: &Server) -> u16 {
    server.ask(&post("/v1/leancloud/login", "tom", "{}")).status
}

fn program(arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-signer")).args(arguments).args(files).output().unwrap()
}

/// What `audit verify` says of unkeyed files that are in order.
fn verified(files: &[PathBuf]) -> Value {
    let output = program(&["audit", "verify", "--no-key", "-o", "json"], files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How far each chain goes.
fn numbers(report: &Value) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        report["chains"].as_array().unwrap().iter().map(|chain| chain["seq"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_of_a_server_is_in_its_chain() {
    let server = Server::with(Setup::more(CHAINED));
    let path = server.directory.join("audit.log");
    assert_eq!(login(&server), 200);
    assert_eq!(server.ask(&post("/v1/leancloud/login", "mallory", "{}")).status, 403);
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{}").replace("Bearer", "Nothing")).status, 401);
    let lines = lines(&path);
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["chain"]["seq"], &lines[0]["chain"]["prev"]), (&0.into(), &Value::Null));
    assert_eq!(lines[2]["chain"]["prev"], lines[1]["chain"]["hash"]);
    assert_eq!(numbers(&verified(&[path])), [2]);
}

#[test]
fn without_the_setting_there_is_no_chain() {
    let server = Server::with(Setup::more("[audit]\nto = \"audit.log\"\n"));
    assert_eq!(login(&server), 200);
    assert_eq!(lines(&server.directory.join("audit.log"))[0].get("chain"), None);
}

#[test]
fn a_chain_goes_on_in_rotated_files_and_under_a_changed_configuration() {
    let server = Server::with(Setup::more(CHAINED));
    let path = server.directory.join("audit.log");
    assert_eq!(login(&server), 200);
    let (mut files, mut lines) = (vec![path.clone()], 1);
    for number in 0..3 {
        let old = server.directory.join(format!("audit.log.{number}"));
        fs::rename(&path, &old).unwrap();
        files.push(old);
        if number == 1 {
            server.signal("-HUP");
            until("there is another file", || path.exists());
        }
        server.change("[shutdown]", "\n[shutdown]");
        // Without the signal, lines go to the moved file for at most one second.
        until("there is a file with lines", || {
            lines += 1;
            login(&server) == 200 && fs::metadata(&path).is_ok_and(|file| file.len() > 0)
        });
    }
    assert_eq!(numbers(&verified(&files)), [lines - 1]);
    files.reverse();
    assert_eq!(numbers(&verified(&files)), [lines - 1]);
    let missing = program(&["audit", "verify", "--no-key"], &[&files[..1], &files[2..]].concat());
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("missing between"), "{missing:?}");
}

#[test]
fn processes_that_share_a_file_have_a_chain_each() {
    let one = Server::with(Setup::more(CHAINED));
    let path = one.directory.join("audit.log");
    let two = Server::with(Setup::more(&CHAINED.replace("audit.log", path.to_str().unwrap())));
    thread::scope(|scope| {
        for server in [&one, &two] {
            scope.spawn(|| assert!((0..20).all(|_| login(server) == 200)));
        }
    });
    let config = one.directory.join("signer.toml").display().to_string();
    for _ in 0..2 {
        let signed = program(&["sign", "leancloud", "login", "--client-id", "tom", "--config", &config], &[]);
        assert!(signed.status.success(), "{signed:?}");
    }
    let report = verified(&[path]);
    assert_eq!((numbers(&report), &report["lines"]), (vec![0, 0, 19, 19], &42.into()));
}

#[test]
fn a_line_that_was_torn_on_a_full_disk_does_not_break_the_chain() {
    let server = Server::with(Setup::more(CHAINED));
    let path = server.directory.join("audit.log");
    for room in [0, 10, 300, 1000, 2500] {
        assert_eq!(login(&server), 200);
        server.limit_files(Some(path.metadata().unwrap().len() + room));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| while login(&server) == 200 {});
            }
        });
        server.limit_files(None);
        until("it is ready again", || server.is_ready());
    }
    assert_eq!(login(&server), 200);
    let report = verified(std::slice::from_ref(&path));
    assert!(!report["torn"].as_array().unwrap().is_empty(), "{report}");
    let whole = fs::read_to_string(&path).unwrap();
    let whole = whole.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count() as u64;
    assert_eq!((numbers(&report), &report["lines"]), (vec![whole - 1], &whole.into()));
}

#[test]
fn a_keyed_chain_is_verified_with_the_configured_key_and_no_other() {
    let key = ("chain.key", "fake-key-of-a-chain-for-tests-0123456789\n".to_owned());
    let other = ("other.key", "fake-other-key-of-a-chain-for-tests".to_owned());
    let keyed = format!("{CHAINED}chain_key = {{ file = \"chain.key\" }}\n");
    let server = Server::with(Setup { files: vec![key, other], ..Setup::more(&keyed) });
    let (path, file) =
        (server.directory.join("audit.log"), |name: &str| server.directory.join(name).display().to_string());
    assert_eq!((login(&server), login(&server)), (200, 200));
    let verify = |arguments: &[&str]| {
        let output = program(&[&["audit", "verify"], arguments].concat(), std::slice::from_ref(&path));
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // Of the configuration only the key counts: the other secrets may be elsewhere.
    fs::remove_file(server.directory.join("leancloud.secret")).unwrap();
    assert_eq!(verify(&["--config", &file("signer.toml")]).0, 0);
    assert_eq!(verify(&["--key-file", &file("chain.key")]).0, 0);
    assert_eq!(verify(&["--key-file", &file("other.key"), "--key-file", &file("chain.key")]).0, 0);
    for wrong in [&["--key-file", &file("other.key")][..], &["--no-key"]] {
        let (code, said, _) = verify(wrong);
        assert_eq!(code, 1);
        assert!(
            said.contains("2 lines need the key ") && said.contains(", which is not given\nno: 1 problem; "),
            "{said}"
        );
    }
    let (code, _, complained) = verify(&["--config", &file("nothing.toml")]);
    assert_eq!(code, 1);
    assert!(complained.contains("unless you give --key-file or --no-key"), "{complained}");
    let (code, _, complained) = verify(&["--key-file", &file("nothing.key")]);
    assert_eq!((code, complained.starts_with("error: --key-file ")), (1, true), "{complained}");

    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"decision\":\"allow\"", "\"decision\":\"deny\"", 1)).unwrap();
    let (code, said, _) = verify(&["--key-file", &file("chain.key")]);
    assert!(code == 1 && said.contains("audit.log:1: changed: "), "{said}");
}

#[test]
fn a_record_that_was_kept_elsewhere_shows_what_was_cut_off() {
    let server = Server::with(Setup::more(CHAINED));
    let (path, record) = (server.directory.join("audit.log"), server.directory.join("heads"));
    assert_eq!((login(&server), login(&server)), (200, 200));
    let heads = program(&["audit", "verify", "--no-key", "--heads"], std::slice::from_ref(&path));
    assert!(heads.status.success());
    fs::write(&record, &heads.stdout).unwrap();
    assert_eq!(login(&server), 200);
    let against = || {
        let arguments = ["audit", "verify", "--no-key", "--record", record.to_str().unwrap()];
        program(&arguments, std::slice::from_ref(&path))
    };
    assert!(against().status.success());
    let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    fs::write(&path, first + "\n").unwrap();
    assert_eq!(numbers(&verified(std::slice::from_ref(&path))), [0], "nothing in the file shows it");
    let cut = against();
    assert_eq!(cut.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&cut.stdout).contains(": its end is missing; "), "{cut:?}");
}
