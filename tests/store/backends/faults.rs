//! What can befall a store in Redis: nothing that was acknowledged is lost unnoticed, and nothing waits for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_signer::clock;
use chat_signer::config::{Durability, RedisAddress, RedisSettings, RequiredReplicas, StoreKind};
use chat_signer::moderation::store::{ChangesSince, CommitError, NewChange, Store, StoreHead, StoreUnavailable};
use tokio::sync::{mpsc, watch};

use crate::backends::bed::{ask, at, commit, eventually, put, settings, since, socket};
use crate::proxy::{Fate, Proxy};
use crate::redis::{DURABLE, Redis, free_port};

/// Longer than anything may take, on a machine that is busy with other things.
pub const BOUND: Duration = Duration::from_secs(20);

pub async fn open(redis: RedisSettings) -> Store {
    Store::open(&settings(StoreKind::Redis(redis))).await.unwrap()
}

pub async fn begun(redis: RedisSettings) -> Store {
    let store = open(redis).await;
    store.initialize().await.unwrap();
    store
}

/// The hints of a store, which gives the first when it listens.
pub async fn listening(store: &Store) -> watch::Receiver<u64> {
    let hints = store.subscribe_hints();
    eventually("that it listens", || async { (*hints.borrow() > 0).then_some(()) }).await;
    store.subscribe_hints()
}

/// Every key that the store holds.
pub async fn keys(store: &Store) -> Vec<String> {
    let mut keys: Vec<_> = store.read_all().await.unwrap().entries.into_iter().map(|(key, _)| key).collect();
    keys.sort();
    keys
}

/// Waits until there is a head, and returns it.
async fn head(store: &Store) -> StoreHead {
    eventually("an answer", || async { store.head().await.ok() }).await
}

/// Tries a change that can't be acknowledged.
pub async fn fails(store: &Store, on: &StoreHead, commit: NewChange) -> String {
    let begin = Instant::now();
    let tried = store.commit(on, commit, clock::now()).await;
    assert!(begin.elapsed() < BOUND, "it took {:?}", begin.elapsed());
    match tried {
        Err(CommitError::Unavailable(StoreUnavailable { message, .. })) => message,
        tried => panic!("{tried:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_has_all_that_was_acknowledged() {
    let Some(mut redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let mut hints = store.subscribe_hints();
    let mut expected = Vec::new();
    for round in 0..3 {
        let mut last = head(&store).await;
        for number in 0..10 {
            expected.push(format!("ban/{round}/{number}"));
            last = commit(&store, put(expected.last().unwrap(), "")).await;
        }
        redis.kill();
        assert!(store.head().await.is_err());
        let flaw = fails(&store, &last, put("ban/late", "")).await;
        assert!(flaw.contains("redis.sock"), "{flaw}");
        hints.borrow_and_update();
        redis.restart();
        assert_eq!(store.head().await.unwrap(), last, "the first who asks is answered");
        assert_eq!(keys(&store).await, expected);
        tokio::time::timeout(BOUND, hints.changed()).await.expect("a hint, as something may have been missed").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_is_written_to_has_all_that_was_acknowledged() {
    let Some(mut redis) = Redis::start() else { return };
    let store = Arc::new(begun(socket(&redis)).await);
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let writer = tokio::spawn(writes_until_it_fails(Arc::clone(&store), round, sender));
        for _ in 0..=round * 7 {
            acknowledged.push(receiver.recv().await.unwrap());
        }
        redis.kill();
        let uncertain = writer.await.unwrap();
        while let Some(key) = receiver.recv().await {
            acknowledged.push(key);
        }
        redis.restart();
        let mut found = keys(&store).await;
        found.retain(|key| *key != uncertain);
        acknowledged.sort();
        assert_eq!(found, acknowledged);
        let version = store.head().await.unwrap().version;
        let changes = since(&store, 0).await;
        assert_eq!(changes.len() as u64, version);
        acknowledged = keys(&store).await;
    }
}

/// Makes changes and tells of each, until one isn't acknowledged, whose key is returned.
async fn writes_until_it_fails(store: Arc<Store>, round: u32, made: mpsc::UnboundedSender<String>) -> String {
    let mut head = store.head().await.unwrap();
    for number in 0.. {
        let key = format!("ban/{round}/{number}");
        match store.commit(&head, put(&key, ""), clock::now()).await {
            Ok(change) => head = StoreHead { version: change.version, change: change.id, ..head },
            Err(_) => return key,
        }
        made.send(key).unwrap();
    }
    unreachable!("it is killed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_not_save_is_read_and_not_written() {
    let Some(redis) = Redis::with(&[&DURABLE[..], &["--save", "3600 1"]].concat()) else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    std::fs::create_dir(redis.directory.join("dump.rdb")).unwrap();
    redis.ask::<()>(&["BGSAVE"]);
    let has_failed =
        || async { redis.ask::<String>(&["INFO", "persistence"]).contains("bgsave_status:err").then_some(()) };
    eventually("that it can't save", has_failed).await;
    let flaw = fails(&store, &last, put("ban/jerry", "1")).await;
    assert!(flaw.contains("MISCONF"), "{flaw}");
    assert_eq!(store.head().await.unwrap(), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_makes_no_half_a_change() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let flaw = fails(&store, &last, NewChange { jobs: ask(&["enforce:a"], "").jobs, ..put("ban/jerry", "1") }).await;
    assert!(flaw.contains("OOM"), "{flaw}");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!((store.head().await.unwrap(), keys(&store).await), (last.clone(), vec!["ban/tom".to_owned()]));
    assert_eq!(store.changes_since(last.version).await.unwrap(), ChangesSince::Changes(Vec::new()));
    commit(&store, put("ban/jerry", "1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up_in_time() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    redis.stall();
    let begin = Instant::now();
    let (head_flaw, flaw) = tokio::join!(store.head(), fails(&store, &last, put("ban/jerry", "1")));
    assert!(begin.elapsed() < BOUND, "{:?}", begin.elapsed());
    for flaw in [head_flaw.unwrap_err().message, flaw, store.read_all().await.unwrap_err().message] {
        assert!(flaw.contains("no answer within 3 s"), "{flaw}");
    }
    redis.go_on();
    let found = head(&store).await;
    assert!(found.version - last.version <= 1);
    assert_eq!(keys(&store).await.len() as u64, found.version);
    let after = eventually("a change", || async {
        let on = store.head().await.ok()?;
        store.commit(&on, put("ban/spike", "1"), clock::now()).await.ok()
    });
    assert!(keys(&store).await.len() as u64 <= after.await.version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_server_is_an_empty_store() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    redis.ask::<()>(&["FLUSHALL"]);
    let nothing = StoreHead::default();
    assert_eq!(store.head().await.unwrap(), nothing);
    assert!(keys(&store).await.is_empty());
    let late = store.commit(&last, put("ban/jerry", "1"), clock::now()).await;
    assert!(matches!(late, Err(CommitError::Behind)), "{late:?}");
    store.accept().await.unwrap();
    let accepted = store.head().await.unwrap();
    assert!(accepted.accepted_at.is_some() && accepted.epoch != last.epoch && accepted.version == 0, "{accepted:?}");
    assert_eq!(commit(&store, put("ban/jerry", "1")).await.version, 1);
}

/// A primary with its replica, in step.
pub async fn pair() -> Option<(Redis, Redis)> {
    let arguments = [&DURABLE[..], &["--repl-diskless-sync-delay", "0"]].concat();
    let primary = Redis::on_port(&arguments)?;
    let port = primary.port.unwrap().to_string();
    let replica = Redis::on_port(&[&arguments[..], &["--replicaof", "127.0.0.1", &port]].concat())?;
    in_step(&replica).await;
    Some((primary, replica))
}

/// Waits until the replica follows its primary.
pub async fn in_step(replica: &Redis) {
    let is_up =
        || async { replica.ask::<String>(&["INFO", "replication"]).contains("master_link_status:up").then_some(()) };
    eventually("replication", is_up).await;
}

/// The settings of a store on one of these two.
pub fn both(primary: &Redis, replica: &Redis) -> RedisSettings {
    let servers = [replica, primary].map(socket).into_iter().flat_map(|settings| settings.servers).collect();
    RedisSettings { servers, ..socket(primary) }
}

/// A cluster of three nodes. Each has a third of the slots, in order.
pub async fn cluster() -> Option<Vec<Redis>> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let bus = free_port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
        nodes.push((Redis::on_port(&[&DURABLE[..], &cluster].concat())?, bus));
    }
    for (index, (node, _)) in nodes.iter().enumerate() {
        let (first, last) = (index * 5462, (index * 5462 + 5461).min(16383));
        node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        let (other, bus) = &nodes[0];
        let port = other.port.unwrap().to_string();
        node.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
    }
    for (node, _) in &nodes {
        let is_ok = || async { node.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(()) };
        eventually("the cluster", is_ok).await;
    }
    Some(nodes.into_iter().map(|(node, _)| node).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_seen_to_be_one() {
    let Some((mut primary, replica)) = pair().await else { return };
    let store = begun(RedisSettings {
        durability: Durability::Replica(RequiredReplicas::Count(1)),
        ..both(&primary, &replica)
    })
    .await;
    let shared = commit(&store, put("ban/tom", "1")).await;
    replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    let alone = begun(socket(&primary)).await;
    let lost = commit(&alone, put("ban/jerry", "1")).await;
    primary.kill();

    let older = head(&store).await;
    assert_eq!(older, shared);
    assert!(older.version < lost.version);
    assert_eq!(keys(&store).await, ["ban/tom"]);
    let store = open(socket(&replica)).await;
    let other = commit(&store, put("ban/spike", "1")).await;
    assert_eq!(other.version, lost.version);
    assert_ne!(other.change, lost.change);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_a_replica_is_left() {
    let Some((primary, replica)) = pair().await else { return };
    let store = begun(both(&primary, &replica)).await;
    commit(&store, put("ban/tom", "1")).await;
    let behind = || async { (replica.ask::<usize>(&["HLEN", "{chat-signer:}entries"]) == 1).then_some(()) };
    eventually("the change at the replica", behind).await;

    replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    primary.ask::<()>(&["REPLICAOF", "127.0.0.1", &replica.port.unwrap().to_string()]);
    in_step(&primary).await;
    let made = eventually("a change", || async {
        let on = store.head().await.ok()?;
        store.commit(&on, put("ban/jerry", "1"), clock::now()).await.ok()
    });
    assert_eq!(made.await.version, 2);
    assert_eq!(replica.ask::<usize>(&["HLEN", "{chat-signer:}entries"]), 2, "it was made at the new primary");
    let alone = open(socket(&primary)).await;
    let flaw = alone.head().await.unwrap_err().message;
    assert!(flaw.ends_with("is a replica, not the primary"), "{flaw}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_without_its_replicas_is_no_primary() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    redis.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let flaw = store.head().await.unwrap_err().message;
    assert!(flaw.contains("NOREPLICAS") || flaw.contains("Not enough good replicas"), "{flaw}");
    redis.ask::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(store.head().await.unwrap().version, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_change_that_was_cut_off_is_found_by_reading() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::before(&redis.socket());
    let through = at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: proxy.address.port(), tls: false });
    let store = begun(through).await;
    let (mut made, mut not_made) = (0, 0);
    let cuts = [0, 1, 10, 100, 1000, 2000, 2500].map(Fate::IsCutAfter);
    for (number, fate) in
        cuts.into_iter().chain([Fate::IsNotAnswered, Fate::IsCutAfter(3), Fate::IsNotAnswered]).enumerate()
    {
        let before = commit(&store, put("ban/before", &number.to_string())).await;
        proxy.next_change(fate);
        let key = format!("ban/{number}");
        fails(&store, &before, put(&key, "")).await;
        let after = head(&store).await;
        let ChangesSince::Changes(changes) = store.changes_since(before.version).await.unwrap() else { panic!("gone") };
        assert_eq!(changes.len() as u64, after.version - before.version, "{fate:?}");
        match &changes[..] {
            [] => not_made += 1,
            [change] => {
                assert_eq!(change.puts, put(&key, "").puts, "{fate:?}");
                assert_eq!(change.id, after.change);
                made += 1;
            }
            more => panic!("{fate:?}: {more:?}"),
        }
        assert_eq!(keys(&store).await.contains(&key), changes.len() == 1, "{fate:?}");
    }
    assert_eq!((made, not_made), (2, 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_hinted_at_to_everyone() {
    let Some(redis) = Redis::start() else { return };
    let (writer, reader) = (begun(socket(&redis)).await, open(socket(&redis)).await);
    let mut hints = listening(&reader).await;
    for number in 0..3 {
        hints.borrow_and_update();
        commit(&writer, put("ban/tom", &number.to_string())).await;
        tokio::time::timeout(BOUND, hints.changed()).await.expect("that there is a change").unwrap();
    }
    hints.borrow_and_update();
    writer.accept().await.unwrap();
    tokio::time::timeout(BOUND, hints.changed()).await.expect("that there is a new epoch").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_entries_are_read_whole_while_they_change() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let many = (0..20_000).map(|number| (format!("ban/{number}"), Some("1".to_owned()))).collect();
    commit(&store, NewChange { puts: many, ..NewChange::default() }).await;
    let writer = begun(socket(&redis)).await;
    let changes = async {
        for number in 0..50 {
            let removed = (format!("ban/{number}"), None);
            let added = (format!("mute/{number}"), Some("1".to_owned()));
            commit(&writer, NewChange { puts: vec![removed, added], ..NewChange::default() }).await;
        }
    };
    let (contents, ()) = tokio::join!(store.read_all(), changes);
    let contents = contents.unwrap();
    let mut entries: std::collections::BTreeMap<_, _> = contents.entries.into_iter().collect();
    let ChangesSince::Changes(changes) = store.changes_since(contents.head.version).await.unwrap() else {
        panic!("gone")
    };
    for (key, value) in changes.into_iter().flat_map(|change| change.puts) {
        match value {
            Some(value) => drop(entries.insert(key, value)),
            None => drop(entries.remove(&key)),
        }
    }
    assert_eq!(entries.into_keys().collect::<Vec<_>>(), keys(&store).await);
    assert_eq!(keys(&store).await.len(), 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_with_different_prefixes_are_different() {
    let Some(redis) = Redis::start() else { return };
    let one = begun(socket(&redis)).await;
    let other = begun(RedisSettings { prefix: "{other}:".to_owned(), ..socket(&redis) }).await;
    commit(&one, put("ban/tom", "1")).await;
    assert_eq!(other.head().await.unwrap().version, 0);
    assert!(keys(&other).await.is_empty());
    let named: Vec<String> = redis.ask(&["KEYS", "*"]);
    assert!(named.iter().all(|key| key.starts_with("{chat-signer:}") || key.starts_with("{other}:")), "{named:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_layout_is_refused() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    redis.ask::<()>(&["HSET", "{chat-signer:}head", "layout", "2"]);
    let flaw = store.head().await.unwrap_err().message;
    assert!(flaw.contains("has the layout 2, and this version of chat-signer knows only 1"), "{flaw}");
}
