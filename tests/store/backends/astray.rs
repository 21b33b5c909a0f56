//! What something else does to a store's keys in a Redis, by eviction or by mistake: it is noticed, and an operator's word mends it.

use chat_signer::clock;
use chat_signer::moderation::store::{CommitError, NewChange, StoreHead};

use crate::backends::bed::{commit, put, since, socket};
use crate::backends::faults::{begun, keys};
use crate::redis::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_something_else_took_away_are_missed() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    commit(&store, put("ban/tom", "1")).await;
    let last = commit(&store, put("ban/jerry", "1")).await;
    assert_eq!(last.entry_count_drift, 0);
    redis.ask::<()>(&["DEL", "{chat-signer:}entries"]);
    let astray = StoreHead { entry_count_drift: 2, ..last.clone() };
    assert_eq!((store.head().await.unwrap(), store.read_all().await.unwrap().head), (astray.clone(), astray.clone()));
    assert!(astray.unusable_reason().unwrap().contains("(2 too few or too many)"));
    let late = store.commit(&last, put("ban/spike", "1"), clock::now()).await;
    assert!(matches!(late, Err(CommitError::Behind)), "{late:?}");
    // Who knows of it may bring entries back. That all is well again an operator says.
    for key in ["ban/tom", "ban/jerry", "ban/spike"] {
        assert_eq!(commit(&store, put(key, "1")).await.entry_count_drift, 2);
        assert_eq!(store.durable_head().await.unwrap().entry_count_drift, 2);
    }
    store.accept().await.unwrap();
    assert_eq!(store.head().await.unwrap().entry_count_drift, 0);

    redis.ask::<()>(&["HSET", "{chat-signer:}entries", "ban/butch", "1"]);
    assert_eq!(store.head().await.unwrap().entry_count_drift, 1, "nor may anything be added");
    redis.ask::<()>(&["HDEL", "{chat-signer:}entries", "ban/butch"]);
    commit(&store, NewChange { puts: vec![("ban/tom".to_owned(), None)], ..NewChange::default() }).await;
    assert_eq!(store.head().await.unwrap().entry_count_drift, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lost_its_head_goes_on_when_it_is_accepted() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    for number in 0..3 {
        commit(&store, put("ban/tom", &number.to_string())).await;
    }
    redis.ask::<()>(&["DEL", "{chat-signer:}head"]);
    assert_eq!(store.head().await.unwrap(), StoreHead::default());
    store.accept().await.unwrap();
    assert_eq!(commit(&store, put("ban/jerry", "1")).await.version, 1);
    assert_eq!(
        (since(&store, 0).await.len(), keys(&store).await),
        (1, vec!["ban/jerry".to_owned(), "ban/tom".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_not_counted_is_counted_by_the_next_change() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    commit(&store, put("ban/tom", "1")).await;
    commit(&store, put("ban/jerry", "1")).await;
    // As it was left by who doesn't count, and changes one that was counted before.
    redis.ask::<()>(&["HSET", "{chat-signer:}entries", "ban/spike", "1"]);
    redis.ask::<()>(&["HINCRBY", "{chat-signer:}head", "version", "1"]);
    assert_eq!(store.head().await.unwrap().entry_count_drift, 0);
    redis.ask::<()>(&["HDEL", "{chat-signer:}head", "entries", "counted"]);
    assert_eq!(store.head().await.unwrap().entry_count_drift, 0);
    redis.ask::<()>(&["DEL", "{chat-signer:}log"]);
    commit(&store, put("ban/tom", "2")).await;
    redis.ask::<()>(&["DEL", "{chat-signer:}entries"]);
    assert_eq!(store.head().await.unwrap().entry_count_drift, 3);
}
