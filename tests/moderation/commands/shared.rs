//! A store that servers share: an operator's word decides which one counts.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::asking::{asks, login};
use super::keeping::Home;
use super::{Ran, files, program, run, write};
use crate::common::{Server, Setup, until};
use crate::redis::Redis;

const REDIS: &str = "[audit]\nto = \"audit.log\"\n[store]\ntype = \"redis\"\nurl = { file = \"redis.url\" }\n";

#[test]
fn a_flushed_store_counts_only_by_an_operators_word() {
    let Some(redis) = Redis::start() else { return };
    let url = format!("unix://{}", redis.socket().display());
    let server = Server::with(Setup { files: files(&[("redis.url", &url)]), ..Setup::more(REDIS) });
    let store = |arguments: &[&str]| run(&server.directory, &[&["store"][..], arguments].concat());
    let file = server.directory.join("moderation.toml").display().to_string();

    // A new one is as empty as one that was flushed.
    assert_eq!((server.is_ready(), login(&server, "tom")), (false, 503));
    assert!(store(&["accept"]).ill().starts_with("error: the store is empty"));
    store(&["accept", "--empty"]).well();
    until("it is ready", || server.is_ready());
    assert_eq!(asks(&server, &["ban", "eve"]).well(), "✓ eve: banned in all conversations, without an end\n");
    store(&["export", &file]).well();

    redis.ask::<()>(&["FLUSHALL"]);
    until("it refuses", || !server.is_ready());
    assert_eq!([login(&server, "eve"), login(&server, "tom")], [503, 503]);
    assert!(store(&["accept"]).ill().starts_with("error: the store is empty"));
    let imported = store(&["import", &file, "--quiet"]).well();
    assert_eq!(imported, "set 1, removed 0, unchanged 0\n");
    assert_eq!((server.is_ready(), login(&server, "tom")), (false, 503));
    store(&["accept"]).well();
    until("it is ready again", || server.is_ready());
    assert_eq!([login(&server, "eve"), login(&server, "tom")], [403, 200]);

    // While servers run, the store is read beside them.
    let explained = run(&server.directory, &["explain", "leancloud", "login", "--as", "eve"]);
    assert_eq!((explained.code, explained.complained.as_str()), (1, ""));
    assert!(explained.said.contains("eve is banned, by orders (service) at 2"), "{explained:?}");

    // What was done by hand is told where the server tells what it did.
    let log = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<String> = lines.filter_map(|line| line["event"].as_str().map(str::to_owned)).collect();
    assert_eq!(events, ["store.accepted", "ban.created", "store.imported", "store.accepted"]);
}

#[test]
fn what_may_have_been_done_by_hand_is_told_as_well() {
    let Some(redis) = Redis::start() else { return };
    let url = format!("unix://{}", redis.socket().display());
    let server = Server::with(Setup { files: files(&[("redis.url", &url)]), ..Setup::more(REDIS) });
    let store = |arguments: &[&str]| run(&server.directory, &[&["store"][..], arguments].concat());
    store(&["accept", "--empty"]).well();
    // It is read, but takes nothing.
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let bans = write(&server.directory, "bans.toml", "[[bans]]\nuser = \"eve\"\n");
    for command in [&["import", &bans][..], &["accept", "--empty"]] {
        assert!(store(command).ill().contains("the store can't be used"), "{command:?}");
    }
    let log = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let lines: Vec<Value> = log.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["ban.created", "store.imported", "store.accepted"]);
    assert!(lines.iter().all(|line| line["change"].is_null() && line["set"].is_null()), "{lines:?}");
    for line in &lines[1..] {
        assert!(line["reason"].as_str().unwrap().starts_with("the store can't be used: "), "{line}");
    }
}

/// Bans of these numbers, in no particular order. Half of the names have characters that keys encode.
fn many_bans(numbers: Range<usize>) -> String {
    let mut text = String::new();
    for number in numbers.clone() {
        let number = numbers.start + (number - numbers.start) * 7919 % numbers.len();
        let user = if number.is_multiple_of(2) { format!("ü {number}/%") } else { format!("user-{number}") };
        writeln!(text, "[[bans]]\nuser = \"{user}\"\nreason = \"\"\"\n[[bans]]\\\n\"\"\"\nat = 2026-11-22T10:00:00Z\n")
            .unwrap();
    }
    text
}

/// Imports a text through a pipe, which can be read only once.
fn pour(directory: &Path, text: &str, arguments: &[&str]) -> String {
    let mut import = program(&[&["store", "import", "/dev/stdin"][..], arguments].concat());
    import.arg("--config").arg(directory.join("signer.toml"));
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Ran::of(import.wait_with_output().unwrap()).well()
}

#[test]
fn a_large_list_comes_back_from_redis_as_from_a_file() {
    let Some(redis) = Redis::start() else { return };
    let url = format!("unix://{}", redis.socket().display());
    let server = Server::with(Setup { files: files(&[("redis.url", &url)]), ..Setup::more(REDIS) });
    let home = Home::new();
    run(&server.directory, &["store", "accept", "--empty"]).well();
    let bans = |export: String| export.split_once("\n\n").unwrap().1.to_owned();
    for (text, arguments, said) in [
        (many_bans(0..6001), &[][..], "set 6001, removed 0, unchanged 0\n"),
        (many_bans(0..6001), &["--replace"], "set 0, removed 0, unchanged 6001\n"),
        (many_bans(3000..9001), &["--replace"], "set 3000, removed 3000, unchanged 3001\n"),
    ] {
        let [shared, own] = [&server.directory, &home.0].map(|directory| {
            assert_eq!(pour(directory, &text, arguments), said);
            bans(run(directory, &["store", "export"]).well())
        });
        assert_eq!(shared, own);
        assert_eq!(own.matches("[[bans]]\nuser").count(), 6001);
    }
    until("the server has the last change", || login(&server, "user-8999") == 403);
    assert_eq!(login(&server, "user-1"), 200);
}
