//! A change in Redis is acknowledged only when it is as durable as was asked for.

use chat_signer::config::{Durability, RedisAddress, RedisSettings, RequiredReplicas};
use chat_signer::moderation::store::StoreHead;

use crate::backends::bed::{at, commit, put, socket};
use crate::backends::faults::{begun, fails, keys, open, pair};
use crate::proxy::Proxy;
use crate::redis::Redis;

/// What asks a Redis that knows it whether its disk has what was changed; and the same question to one that doesn't, with the answer in it.
const WAITAOF: &[u8] = b"*4\r\n$7\r\nWAITAOF\r\n$1\r\n1\r\n$1\r\n0\r\n$4\r\n2000\r\n";
const IS_ON_DISK: &[u8] = b"*3\r\n$4\r\nEVAL\r\n$12\r\nreturn {1,0}\r\n$1\r\n0\r\n";
const IS_NOT_ON_DISK: &[u8] = b"*3\r\n$4\r\nEVAL\r\n$12\r\nreturn {0,0}\r\n$1\r\n0\r\n";
const IS_OFF: &[u8] = b"*3\r\n$4\r\nEVAL\r\n$102\r\nreturn redis.error_reply('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled')\r\n$1\r\n0\r\n";

const HINT: &str = "set `appendonly yes` and `appendfsync always` in Redis, or use Redis 7.2 or newer";

fn nothing() -> StoreHead {
    StoreHead::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_forget_is_not_written_to() {
    let Some(redis) = Redis::with(&[]) else { return };
    let store = open(socket(&redis)).await;
    for (setting, value) in [("appendonly", "no"), ("appendonly", "yes"), ("no-appendfsync-on-rewrite", "yes")] {
        redis.ask::<()>(&["CONFIG", "SET", setting, value]);
        let flaw = fails(&store, &nothing(), put("ban/tom", "1")).await;
        assert!(flaw.contains(HINT), "{setting} {value}: {flaw}");
        assert!(store.initialize().await.is_err() && store.accept().await.is_err());
        assert_eq!(store.head().await.unwrap(), nothing(), "nothing was made");
    }
    redis.ask::<()>(&["CONFIG", "SET", "appendfsync", "always", "no-appendfsync-on-rewrite", "no"]);
    store.initialize().await.unwrap();
    commit(&store, put("ban/tom", "1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_set_to_forget_meanwhile_acknowledges_nothing() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    redis.ask::<()>(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let flaw = fails(&store, &last, put("ban/jerry", "1")).await;
    assert!(flaw.contains(HINT), "{flaw}");
    let found = store.head().await.unwrap();
    assert_eq!(found.version, last.version + 1, "it was made, and is found by reading");
    fails(&store, &found, put("ban/spike", "1")).await;
    assert_eq!(store.head().await.unwrap(), found, "the next is not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_has_it_before_it_counts() {
    let Some(redis) = Redis::with(&[]) else { return };
    let wanted =
        |redis: &Redis| RedisSettings { durability: Durability::Replica(RequiredReplicas::Count(1)), ..socket(redis) };
    let flaw = fails(&open(wanted(&redis)).await, &nothing(), put("ban/tom", "1")).await;
    assert!(flaw.contains("no replica has the change"), "{flaw}");
    assert_eq!(open(socket(&redis)).await.head().await.unwrap(), nothing());

    let Some((primary, replica)) = pair().await else { return };
    let store = begun(wanted(&primary)).await;
    for number in 1..=5 {
        commit(&store, put("ban/tom", &number.to_string())).await;
        assert_eq!(replica.ask::<u64>(&["HGET", "{chat-signer:}head", "version"]), number);
    }
    replica.stall();
    let last = store.head().await.unwrap();
    let flaw = fails(&store, &last, put("ban/jerry", "1")).await;
    assert!(flaw.contains("no replica has the change"), "{flaw}");
    assert_eq!(keys(&store).await, ["ban/jerry", "ban/tom"], "it was made, and is found by reading");
    replica.go_on();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_no_durability_has_none() {
    let Some(redis) = Redis::with(&[]) else { return };
    let store = begun(RedisSettings { durability: Durability::None, ..socket(&redis) }).await;
    commit(&store, put("ban/tom", "1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_can_tell_is_asked() {
    let Some(redis) = Redis::with(&[]) else { return };
    let before = |answer: &'static [u8]| {
        let proxy = Proxy::replacing(&redis.socket(), Some((WAITAOF, answer)));
        at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: proxy.address.port(), tls: false })
    };
    let store = begun(before(IS_ON_DISK)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    for (answer, why) in [(IS_NOT_ON_DISK, "the disk doesn't keep up"), (IS_OFF, "appendonly is disabled")] {
        let store = open(before(answer)).await;
        let flaw = fails(&store, &last, put("ban/jerry", "1")).await;
        assert!(flaw.contains(why), "{flaw}");
        assert_eq!(store.head().await.unwrap(), last);
    }
    let jobs = crate::backends::bed::claim_of(&store, "me", &[("enforce:a", 1)]).await;
    assert!(jobs.is_empty());
}
