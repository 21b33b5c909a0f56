//! A probe finds out whether a change would be acknowledged, and is none itself.

use std::fs;

use chat_signer::moderation::store::{ChangesSince, FailureReason, Store};

use crate::backends::bed::{Bed, Scratch, commit, put, socket};
use crate::backends::faults::begun;
use crate::redis::Redis;

/// All that a change would alter.
async fn state(store: &Store) -> String {
    let ChangesSince::Changes(changes) = store.changes_since(0).await.unwrap() else { panic!("the log is gone") };
    let contents = store.read_all().await.unwrap();
    format!("{:?} {:?} {changes:?}", contents.head, contents.entries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_no_change() {
    let beds = [Some(Bed::Memory), Some(Bed::Redb(Scratch::new())), Redis::start().map(Bed::Redis)];
    for bed in beds.into_iter().flatten() {
        let store = bed.store().await;
        commit(&store, put("ban/tom", "1")).await;
        let before = state(&store).await;
        for _ in 0..3 {
            store.probe().await.unwrap();
        }
        assert_eq!(state(&store).await, before);
        commit(&store, put("ban/jerry", "1")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_would_not_take_a_change_fails_the_probe_and_says_why() {
    let Some(mut redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    commit(&store, put("ban/tom", "1")).await;
    let before = state(&store).await;
    let notes = "{chat-signer:}notes";
    for (spoil, mend, reason, says) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", FailureReason::Full, "raise `maxmemory`"),
        (
            "CONFIG SET appendfsync everysec",
            "CONFIG SET appendfsync always",
            FailureReason::NotDurable,
            "set `appendonly yes` and `appendfsync always`",
        ),
        (
            "CONFIG SET min-replicas-to-write 1",
            "CONFIG SET min-replicas-to-write 0",
            FailureReason::ReadOnly,
            "NOREPLICAS",
        ),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", FailureReason::ReadOnly, "is a replica, not the primary"),
        ("ACL SETUSER default -eval", "ACL SETUSER default +@all", FailureReason::Forbidden, "no permissions"),
        // What a script may not do is said without a code.
        ("ACL SETUSER default -hincrby", "ACL SETUSER default +@all", FailureReason::Other, "can't run this command"),
        (&format!("SET {notes} x"), &format!("DEL {notes}"), FailureReason::Damaged, "is a string, not a hash"),
    ] {
        store.probe().await.unwrap();
        ask(&redis, spoil);
        let failure = store.probe().await.expect_err(spoil);
        assert_eq!(failure.reason, reason, "{spoil}: {failure}");
        assert!(failure.message.contains(says), "{spoil}: {failure}");
        ask(&redis, mend);
    }
    store.probe().await.unwrap();
    assert_eq!(state(&store).await, before);
    redis.kill();
    assert_eq!(store.probe().await.unwrap_err().reason, FailureReason::Unreachable);
}

fn ask(redis: &Redis, command: &str) {
    redis.ask::<()>(&command.split(' ').collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_a_restart_would_not_find_fails_the_probe() {
    let bed = Bed::Redb(Scratch::new());
    let Bed::Redb(scratch) = &bed else { return };
    let (path, moved) = (scratch.0.join("store.redb"), scratch.0.join("moved.redb"));
    let store = bed.store().await;
    // What a crash left is no hindrance.
    fs::write(scratch.0.join("store.redb.probe"), "left").unwrap();
    store.probe().await.unwrap();
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing is left");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(store.probe().await.unwrap_err().reason, FailureReason::Missing);
    fs::copy(&moved, &path).unwrap();
    assert_eq!(store.probe().await.unwrap_err().reason, FailureReason::Missing, "it is another file");
    fs::rename(&moved, &path).unwrap();
    store.probe().await.unwrap();
}
