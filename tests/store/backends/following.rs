//! A moderation that follows its store: however far it is behind, and whatever it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_signer::clock;
use chat_signer::config::{Durability, RedisAddress, RedisSettings, RequiredReplicas};
use chat_signer::model::{CallerKind, Millis, Pattern};
use chat_signer::moderation::store::{LOG_LIMIT, NewChange, Store};
use chat_signer::moderation::{ChangeSubscribers, ModerationEntry, ModerationReplica, PendingAudit};
use chat_signer::policy::{EntryAuthor, EntryOrigin, Sanction};

use crate::backends::bed::{Bed, LONG, Scratch, at, commit, put, socket};
use crate::backends::faults::{begun, fails, open, pair};
use crate::proxy::Proxy;
use crate::redis::Redis;

pub(crate) fn ban(user: &str, until: Option<Millis>, reason: &str) -> NewChange {
    let author = Arc::new(EntryAuthor { kind: CallerKind::Service, subject: "backend".to_owned(), role: None });
    let record = ModerationEntry::Ban(Sanction {
        user: user.to_owned(),
        scope: Pattern::Everything,
        app: None,
        until,
        reason: Some(reason.to_owned()),
        origin: EntryOrigin::Runtime { author, at: Millis(1) },
    });
    put(&record.key().to_string(), &record.value())
}

/// A moderation that knows all that the store holds.
pub(crate) async fn following(store: Store) -> ModerationReplica {
    let moderation = ModerationReplica::with_store(store, LONG);
    moderation.sync().await;
    moderation.check_fresh().unwrap();
    moderation
}

/// Thousands of large changes behind, it comes to what the store holds.
async fn is_caught_up(bed: Option<Bed>) {
    let Some(bed) = bed else { return };
    let moderation = following(bed.store().await).await;
    let store = moderation.store().unwrap();
    let reason = "x".repeat(20_000);
    for number in 0..2_500 {
        commit(store, ban(&format!("user-{number}"), None, &reason)).await;
    }
    moderation.sync().await;
    assert_eq!(*moderation.head(), store.head().await.unwrap());
    assert_eq!(moderation.read().unwrap().len(), 2_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_behind_by_more_than_is_kept_reads_everything() {
    let moderation = following(Bed::Memory.store().await).await;
    let store = moderation.store().unwrap();
    for number in 0..LOG_LIMIT + 2 {
        commit(store, ban(["tom", "jerry"][usize::from(number % 2 == 0)], None, "")).await;
    }
    moderation.sync().await;
    assert_eq!(*moderation.head(), store.head().await.unwrap());
    assert_eq!(moderation.read().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_a_store_in_memory_catches_up() {
    is_caught_up(Some(Bed::Memory)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_a_file_catches_up() {
    is_caught_up(Some(Bed::Redb(Scratch::quick()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_a_redis_catches_up() {
    is_caught_up(Redis::start().map(Bed::Redis)).await;
}

/// On one thread, so that who does nothing but wait is never seen to.
#[tokio::test(flavor = "current_thread")]
async fn others_go_on_while_all_is_read() {
    let moderation = ModerationReplica::with_store(Store::memory().unwrap(), LONG);
    let store = moderation.store().unwrap();
    store.initialize().await.unwrap();
    commit(store, ban("tom", None, "")).await;
    let (is_read, was_read) = (AtomicBool::new(false), AtomicBool::new(true));
    let reading = async {
        moderation.sync().await;
        is_read.store(true, Ordering::Relaxed);
    };
    let other = async { was_read.store(is_read.load(Ordering::Relaxed), Ordering::Relaxed) };
    tokio::join!(biased; reading, other);
    assert!(!was_read.into_inner() && moderation.read_any_age().len() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_so_already_is_said_when_it_is_durable() {
    let Some((primary, replica)) = pair().await else { return };
    let wanted = || RedisSettings { durability: Durability::Replica(RequiredReplicas::Count(1)), ..socket(&primary) };
    let writer = begun(wanted()).await;
    let (last, other) = (writer.head().await.unwrap(), following(open(wanted()).await).await);
    replica.stall();
    fails(&writer, &last, ban("tom", None, "")).await;
    other.sync().await;
    assert_eq!(other.read_any_age().len(), 1, "it is known, and nobody knows whether it will be");
    let same = || other.change(|_, _| (NewChange::default(), ()));
    let flaw = same().await.unwrap_err().to_string();
    assert!(flaw.contains("no replica has the change"), "{flaw}");
    replica.go_on();
    crate::backends::bed::eventually("that it is durable", || async { same().await.ok() }).await;
    assert_eq!(replica.ask::<usize>(&["HLEN", "{chat-signer:}entries"]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_the_stores_clock_says() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    commit(&store, ban("tom", Some(clock::now()), "")).await;
    // One whose clock is years before this one's, as it looks from here.
    let proxy = Proxy::replacing(&redis.socket(), Some((TIME, LONG_AGO)));
    let slow = at(RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: proxy.address.port(), tls: false });
    let slow = RedisSettings { max_clock_offset: Duration::MAX, ..slow };
    let moderation = following(open(slow).await).await;
    assert_eq!(
        moderation.expire(&ChangeSubscribers::default(), &mut PendingAudit::default()).await.unwrap(),
        Millis(1_000_000_000_000)
    );
    assert_eq!((moderation.read_any_age().len(), moderation.head().version), (1, 1));

    let moderation = following(open(socket(&redis)).await).await;
    moderation.expire(&ChangeSubscribers::default(), &mut PendingAudit::default()).await.unwrap();
    assert_eq!((moderation.read_any_age().len(), moderation.head().version), (0, 2));
}

/// What asks a Redis for the time, and what has it answer another one.
const TIME: &[u8] = b"*1\r\n$4\r\nTIME\r\n";
const LONG_AGO: &[u8] = b"*3\r\n$4\r\nEVAL\r\n$25\r\nreturn {'1000000000','0'}\r\n$1\r\n0\r\n";
