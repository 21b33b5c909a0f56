//! What a store in Redis knows of its own history, and the mark that it was rolled back.

use std::sync::Arc;

use chat_signer::clock;
use chat_signer::config::{Durability, RedisSettings};
use chat_signer::moderation::store::{CommitError, LOG_LIMIT, NewChange, RollbackMark, Store, StoreHead};
use tokio::task::JoinSet;

use crate::backends::bed::{Bed, Scratch, commit, put, socket};
use crate::backends::faults::{begun, open};
use crate::redis::Redis;

/// A head at which the store was, or never was.
fn at(head: &StoreHead, version: u64, change: &str) -> StoreHead {
    StoreHead { version, change: change.to_owned(), ..head.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_tells_which_changes_it_has() {
    let mut beds = vec![Bed::Memory, Bed::Redb(Scratch::quick())];
    beds.extend(Redis::start().map(Bed::Redis));
    for bed in beds {
        let store = bed.store().await;
        assert_eq!(store.has_change(0, "").await.unwrap(), Some(true));
        let first = commit(&store, put("ban/tom", "1")).await;
        let second = commit(&store, put("ban/tom", "2")).await;
        for (version, change, has) in
            [(1, &first.change, true), (2, &second.change, true), (1, &second.change, false), (3, &first.change, false)]
        {
            assert_eq!(store.has_change(version, change).await.unwrap(), Some(has), "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_tells_which_changes_it_has_after_they_left_the_log() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(RedisSettings { durability: Durability::None, ..socket(&redis) }).await;
    let first = commit(&store, NewChange::default()).await;
    let mut head = first.clone();
    for _ in 0..=LOG_LIMIT {
        let change = store.commit(&head, NewChange::default(), clock::now()).await.unwrap();
        (head.version, head.change) = (change.version, change.id);
    }
    assert_eq!(redis.ask::<u64>(&["XLEN", "{chat-signer:}log"]), LOG_LIMIT);
    assert_eq!(store.has_change(1, &first.change).await.unwrap(), Some(true));
    assert_eq!(store.has_change(1, &head.change).await.unwrap(), Some(false));
    // As an earlier version leaves it, which keeps nothing but the log.
    redis.ask::<()>(&["DEL", "{chat-signer:}lineage"]);
    assert_eq!(store.has_change(1, &first.change).await.unwrap(), None);
    assert_eq!(store.has_change(head.version, &head.change).await.unwrap(), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_is_left_only_in_a_store_that_lacks_what_is_known() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let first = commit(&store, put("ban/tom", "1")).await;
    let seen = commit(&store, put("ban/tom", "2")).await;
    let mark = || async { store.head().await.unwrap().rolled_back.map(|mark| mark.lost_change().0) };
    for (seen, known, why) in [
        (&first, at(&seen, 3, "lost"), "it is not the store that was seen"),
        (&seen, first.clone(), "it has the change"),
        (&seen, seen.clone(), "it is the change"),
        (&StoreHead { epoch: "other".to_owned(), ..seen.clone() }, at(&seen, 3, "lost"), "the epoch is another"),
    ] {
        store.mark_rolled_back(seen, &known).await.unwrap();
        assert_eq!(mark().await, None, "{why}");
    }
    for known in [at(&seen, 3, "lost"), at(&seen, 2, "lost"), at(&seen, 1, "lost")] {
        store.mark_rolled_back(&seen, &known).await.unwrap();
        assert_eq!(mark().await, Some(known.version));
        // The first mark stays.
        store.mark_rolled_back(&seen, &at(&seen, 9, "lost")).await.unwrap();
        assert_eq!(mark().await, Some(known.version));
        redis.ask::<()>(&["HDEL", "{chat-signer:}head", "rolled_back"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marked_store_is_changed_by_nobody_who_has_not_seen_the_mark() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let seen = commit(&store, put("ban/tom", "1")).await;
    store.mark_rolled_back(&seen, &at(&seen, 2, "lost")).await.unwrap();
    let tried = store.commit(&seen, put("ban/tom", "2"), clock::now()).await;
    assert!(matches!(tried, Err(CommitError::Behind)), "{tried:?}");
    let marked = store.head().await.unwrap();
    assert!(marked.unusable_reason().unwrap().contains("store accept"));
    // An import does, before the operator accepts.
    assert_eq!(commit(&store, put("ban/tom", "2")).await.rolled_back, Some(RollbackMark("2 lost".to_owned())));
    store.accept().await.unwrap();
    let accepted = store.head().await.unwrap();
    assert_eq!((accepted.unusable_reason(), &accepted.id), (None, &seen.id), "it is the same store");
    assert_ne!(accepted.epoch, seen.epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_mark_is_obeyed_until_an_operator_accepts() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    commit(&store, put("ban/tom", "1")).await;
    for mark in ["abc", " ", "-1 x", "18446744073709551616 x"] {
        redis.ask::<()>(&["HSET", "{chat-signer:}head", "rolled_back", mark]);
        let marked = store.head().await.unwrap();
        assert!(marked.unusable_reason().unwrap().contains("store accept"), "{mark}");
        let (version, id) = marked.rolled_back.as_ref().unwrap().lost_change();
        assert_eq!(store.has_change(version, id).await.unwrap(), Some(false), "{mark}");
        let unaware = StoreHead { rolled_back: None, ..marked.clone() };
        let tried = store.commit(&unaware, put("ban/tom", "2"), clock::now()).await;
        assert!(matches!(tried, Err(CommitError::Behind)), "{mark}: {tried:?}");
        store.read_all().await.unwrap();
        store.accept().await.unwrap();
        assert_eq!(store.head().await.unwrap().unusable_reason(), None, "{mark}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_mark_a_store_at_once_leave_one_mark() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let seen = Arc::new(commit(&store, put("ban/tom", "1")).await);
    let mut marking = JoinSet::new();
    for number in 2..22 {
        let (seen, settings) = (Arc::clone(&seen), socket(&redis));
        marking.spawn(async move {
            let store: Store = open(settings).await;
            store.mark_rolled_back(&seen, &at(&seen, number, "lost")).await.unwrap();
            store.head().await.unwrap().rolled_back
        });
    }
    let marks = marking.join_all().await;
    assert!(marks[0].is_some() && marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
}
