//! Planned failovers with two replicas, while processes make many changes. No acknowledged change is lost, and the
//! processes continue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chat_signer::config::{Durability, RedisAddress, RedisSettings, RequiredReplicas};
use chat_signer::moderation::ModerationReplica;
use tokio::task::JoinHandle;

use crate::backends::bed::{LONG, at, eventually};
use crate::backends::faults::{begun, open};
use crate::backends::following::ban;
use crate::backends::found::tcp;
use crate::common::until;
use crate::group::{NAME, RedisGroup};

/// The number of changes that are acknowledged before and after each failover.
const CHANGES: usize = 150;

/// The settings of a process. Sentinel knows the primary, if it runs.
fn settings(group: &RedisGroup, required: RequiredReplicas) -> RedisSettings {
    let name = RedisAddress::Tcp { host: NAME.to_owned(), port: 6379, tls: false };
    let Some(sentinel) = group.sentinel() else {
        let servers = group.redis.iter().flat_map(|redis| at(tcp(redis.port.unwrap())).servers).collect();
        return RedisSettings { servers, durability: Durability::Replica(required), ..at(name) };
    };
    let sentinels = at(tcp(sentinel.port.unwrap())).servers;
    RedisSettings { sentinels, durability: Durability::Replica(required), ..at(name) }
}

/// `FAILOVER` makes the old primary a replica. The other replica must be told to follow the new primary.
fn by_redis(group: &RedisGroup) {
    let old = group.primary();
    group.redis[old].ask::<()>(&["FAILOVER"]);
    until("another server is the primary", || group.primary() != old);
    let new = group.primary();
    let port = group.redis[new].port.unwrap().to_string();
    group.redis[3 - old - new].ask::<()>(&["REPLICAOF", "127.0.0.1", &port]);
}

/// Processes that make changes, and one that only follows.
struct Processes {
    all: Vec<Arc<ModerationReplica>>,
    writers: Vec<JoinHandle<Vec<String>>>,
    followers: Vec<JoinHandle<()>>,
    acknowledged: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Processes {
    async fn start(group: &RedisGroup, required: RequiredReplicas) -> Processes {
        begun(settings(group, required)).await;
        let (acknowledged, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut processes =
            Processes { all: Vec::new(), writers: Vec::new(), followers: Vec::new(), acknowledged, is_over };
        for number in 0..3 {
            let replica = Arc::new(ModerationReplica::with_store(open(settings(group, required)).await, LONG));
            let follower = Arc::clone(&replica);
            processes.followers.push(tokio::spawn(async move { follower.follow().await }));
            processes.all.push(Arc::clone(&replica));
            if number > 0 {
                let (count, is_over) = (Arc::clone(&processes.acknowledged), Arc::clone(&processes.is_over));
                processes.writers.push(tokio::spawn(async move { write(&replica, number, &count, &is_over).await }));
            }
        }
        processes
    }

    /// Waits until more changes are acknowledged.
    async fn make_changes(&self) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + CHANGES;
        let is_there = || async { (self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(()) };
        eventually("more changes", is_there).await;
    }

    /// Ends the writers. Returns the keys of all acknowledged changes.
    async fn end(&mut self) -> BTreeSet<String> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut keys = BTreeSet::new();
        for writer in self.writers.drain(..) {
            keys.extend(writer.await.unwrap());
        }
        keys
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for follower in &self.followers {
            follower.abort();
        }
    }
}

async fn write(replica: &ModerationReplica, number: usize, count: &AtomicUsize, is_over: &AtomicBool) -> Vec<String> {
    let mut keys = Vec::new();
    for change in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let made = ban(&format!("user-{number}-{change}"), None, "");
        let key = made.puts[0].0.clone();
        if replica.change(|_, _| (made.clone(), ())).await.is_ok() {
            keys.push(key);
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    keys
}

/// Fails over, under load, a few times. Returns how many acknowledged changes are lost, and why processes refuse.
async fn fail_over(
    group: &RedisGroup,
    required: RequiredReplicas,
    failover: impl Fn(&RedisGroup),
) -> (usize, Vec<String>) {
    let mut processes = Processes::start(group, required).await;
    for round in 0..2 {
        processes.make_changes().await;
        failover(group);
        println!("round {round}: {} acknowledged before the failover", processes.acknowledged.load(Ordering::Relaxed));
        processes.make_changes().await;
        group.wait_until_settled();
    }
    let acknowledged = processes.end().await;
    let found: BTreeSet<String> = group.redis[group.primary()].ask(&["HKEYS", "{chat-signer:}entries"]);
    let lost = acknowledged.difference(&found).count();
    println!("{} acknowledged, {} found, {lost} lost", acknowledged.len(), found.len());
    for process in &processes.all {
        process.sync().await;
    }
    let refused = processes.all.iter().filter_map(|process| process.check_fresh().err()).map(|stale| stale.0).collect();
    (lost, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_by_sentinel_loses_nothing_if_all_replicas_have_each_change() {
    let Some(group) = RedisGroup::start() else { return };
    assert_eq!(fail_over(&group, RequiredReplicas::All, RedisGroup::fail_over).await, (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_by_sentinel_loses_nothing_if_both_replicas_have_each_change() {
    let Some(group) = RedisGroup::start() else { return };
    assert_eq!(fail_over(&group, RequiredReplicas::Count(2), RedisGroup::fail_over).await, (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failover_by_redis_without_sentinel_loses_nothing() {
    let Some(mut group) = RedisGroup::start() else { return };
    group.end_sentinel();
    assert_eq!(fail_over(&group, RequiredReplicas::All, by_redis).await, (0, Vec::new()));
}
