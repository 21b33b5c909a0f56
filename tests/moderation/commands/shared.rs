//! A store that servers share: an operator's word decides which one counts.

use std::fs;

use serde_json::Value;

use super::asking::{asks, login};
use super::{files, run, write};
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
