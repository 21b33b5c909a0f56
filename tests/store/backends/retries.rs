//! After the primary has moved, the first change is made, because connections are renewed together, and a command that
//! no server ran is sent again.

use chat_signer::clock;
use chat_signer::config::RedisAddress;
use chat_signer::moderation::store::Store;

use crate::backends::bed::{at, commit, eventually, put, socket};
use crate::backends::faults::{begun, both, cluster, fails, in_step, keys, pair};
use crate::proxy::{Fate, Proxy};
use crate::redis::{DURABLE, Redis};

/// Makes the only attempt of a change, after the store can be read again.
async fn first_change_succeeds(store: &Store, key: &str) {
    let head = eventually("the store is read", || async { store.head().await.ok() }).await;
    let change = store.commit(&head, put(key, "1"), clock::now()).await.expect("the first change");
    assert_eq!(change.version, head.version + 1);
    store.probe().await.expect("the first probe");
    assert!(keys(store).await.contains(&key.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_change_after_a_failover_is_made() {
    let Some((primary, replica)) = pair().await else { return };
    let store = begun(both(&primary, &replica)).await;
    commit(&store, put("ban/tom", "1")).await;
    store.probe().await.unwrap();
    primary.ask::<()>(&["FAILOVER"]);
    let is_replica = || async { replica.ask::<String>(&["INFO", "replication"]).contains("role:master").then_some(()) };
    eventually("the failover", is_replica).await;
    in_step(&primary).await;
    first_change_succeeds(&store, "ban/jerry").await;
    assert_eq!(replica.ask::<usize>(&["HLEN", "{chat-signer:}entries"]), 2, "the new primary has it");
}

/// The old primary does not answer, and its connections stay open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_change_after_the_primary_hangs_is_made() {
    let Some((primary, replica)) = pair().await else { return };
    let store = begun(both(&primary, &replica)).await;
    commit(&store, put("ban/tom", "1")).await;
    store.probe().await.unwrap();
    let has_it = || async { (replica.ask::<usize>(&["HLEN", "{chat-signer:}entries"]) == 1).then_some(()) };
    eventually("the replica has the change", has_it).await;
    primary.stall();
    replica.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    first_change_succeeds(&store, "ban/jerry").await;
    primary.go_on();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_change_after_the_address_leads_to_another_server_is_made() {
    let Some((primary, replica)) = pair().await else { return };
    let proxy = Proxy::before(&primary.socket());
    let store =
        begun(at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: proxy.address.port(), tls: false })).await;
    commit(&store, put("ban/tom", "1")).await;
    store.probe().await.unwrap();
    primary.ask::<()>(&["FAILOVER"]);
    in_step(&primary).await;
    proxy.lead_to(&replica.socket());
    first_change_succeeds(&store, "ban/jerry").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_change_after_a_slot_has_moved_is_made() {
    let Some(nodes) = cluster().await else { return };
    let slot = nodes[0].ask::<u64>(&["CLUSTER", "KEYSLOT", "{chat-signer:}"]).to_string();
    let ids: Vec<String> = nodes.iter().map(|node| node.ask(&["CLUSTER", "MYID"])).collect();
    let from = (slot.parse::<usize>().unwrap() / 5462).min(2);
    let to = (from + 1) % 3;
    let store =
        begun(at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: nodes[0].port.unwrap(), tls: false })).await;
    commit(&store, put("ban/tom", "1")).await;
    store.probe().await.unwrap();

    nodes[to].ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]]);
    nodes[from].ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]);
    let names: Vec<String> = nodes[from].ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
    let port = nodes[to].port.unwrap().to_string();
    let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
    migrate.extend(names.iter().map(String::as_str));
    nodes[from].ask::<()>(&migrate);
    for node in [to, from, (to + 1) % 3] {
        nodes[node].ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[to]]);
    }
    let on = store.durable_head().await.expect("the first write");
    assert_eq!(on.version, 1);
    first_change_succeeds(&store, "ban/jerry").await;
    assert_eq!(nodes[to].ask::<usize>(&["HLEN", "{chat-signer:}entries"]), 2);
}

/// If the answer is lost, the change may have been made, so it is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_is_not_sent_again() {
    let Some(redis) = Redis::with(&DURABLE) else { return };
    let proxy = Proxy::before(&redis.socket());
    let store =
        begun(at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: proxy.address.port(), tls: false })).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    proxy.next_change(Fate::IsNotAnswered);
    fails(&store, &last, put("ban/jerry", "1")).await;
    assert_eq!(begun(socket(&redis)).await.head().await.unwrap().version, last.version + 1);
}
