//! A store in Redis whose parts don't fit together: no change is begun that can't be made whole, and what is in the log but not in the head was
//! never made.

use chat_signer::clock;
use chat_signer::model::Millis;
use chat_signer::moderation::ModerationReplica;
use chat_signer::moderation::store::{ChangesSince, CommitError, NewChange, Store, StoreHead, StoredChange};

use crate::backends::bed::{ask, commit, put, since, socket};
use crate::backends::faults::{begun, fails, keys, open};
use crate::backends::following::{ban, following};
use crate::redis::Redis;

const NAMES: [&str; 11] =
    ["head", "entries", "log", "jobs", "standing", "index", "queues", "queued", "leases", "done", "aside"];

fn key(name: &str) -> String {
    format!("{{chat-signer:}}{name}")
}

/// Writes to the log what looks like a change that follows, as a script does that fails after that.
fn begin(redis: &Redis, version: u64) {
    let change = StoredChange {
        version,
        id: "begun".to_owned(),
        at: Millis(1),
        puts: ban("begun", None, "").puts,
        events: Vec::new(),
        request: None,
    };
    let json = serde_json::to_string(&change).unwrap();
    redis.ask::<()>(&["XADD", &key("log"), &format!("{version}-0"), "change", &json]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_can_not_be_made_whole_is_not_begun() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let mut last = commit(&store, NewChange { jobs: ask(&["enforce:a"], "").jobs, ..put("ban/tom", "0") }).await;
    for name in NAMES {
        let (name, aside) = (key(name), key("kept"));
        let is_there = redis.ask::<bool>(&["EXISTS", &name]);
        if is_there {
            redis.ask::<()>(&["RENAME", &name, &aside]);
        }
        redis.ask::<()>(&["SET", &name, "x"]);
        let change = || NewChange { jobs: ask(&["enforce:a", "enforce:b"], "").jobs, ..put("ban/tom", &name) };
        let flaw = fails(&store, &last, change()).await;
        assert!(flaw.contains(&format!("{name} is a string")), "{flaw}");
        assert!(store.accept().await.is_err(), "{name}");
        redis.ask::<()>(&if is_there { vec!["RENAME", &aside, &name] } else { vec!["DEL", &name] });
        assert_eq!(store.head().await.unwrap(), last, "{name}");
        let entries = store.read_all().await.unwrap().entries;
        assert!(!entries.contains(&("ban/tom".to_owned(), name.clone())), "{name}: {entries:?}");
        assert_eq!(store.changes_since(last.version).await.unwrap(), ChangesSince::Changes(Vec::new()), "{name}");
        last = commit(&store, change()).await;
    }
    assert_eq!(since(&store, 0).await.len(), NAMES.len() + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_the_head_was_never_made() {
    for is_accepted in [false, true] {
        let Some(redis) = Redis::start() else { return };
        let store = begun(socket(&redis)).await;
        let follower = following(open(socket(&redis)).await).await;
        let first = commit(&store, ban("tom", None, "")).await;
        begin(&redis, 2);
        begin(&redis, 3);
        assert_eq!((since(&store, 0).await.len(), since(&store, 1).await.len()), (1, 0));
        follower.sync().await;
        assert_eq!(*follower.head(), first);
        if is_accepted {
            store.accept().await.unwrap();
            follower.sync().await;
            assert_eq!(follower.check_fresh(), Ok(()));
        }
        let another = following(open(socket(&redis)).await).await;
        let made = commit(&store, ban("jerry", None, "")).await;
        assert_eq!(made.version, 2);
        let ids: Vec<_> = since(&store, 1).await.into_iter().map(|change| change.id).collect();
        assert_eq!(ids, [made.change.as_str()]);
        commit(&store, ban("spike", None, "")).await;
        for moderation in [&follower, &another, &following(open(socket(&redis)).await).await] {
            moderation.sync().await;
            assert_eq!(
                (moderation.check_fresh(), moderation.read_any_age().len(), moderation.head().version),
                (Ok(()), 3, 3)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_more_than_the_head_refuses_until_it_is_accepted() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let first = commit(&store, ban("tom", None, "1")).await;
    commit(&store, ban("tom", None, "2")).await;
    let follower = following(open(socket(&redis)).await).await;
    goes_back(&redis, &first);
    let refuses = async |follower: &ModerationReplica| {
        follower.sync().await;
        let why = follower.check_fresh().unwrap_err().0;
        assert!(why.contains("has lost changes that it had acknowledged"), "{why}");
    };
    refuses(&follower).await;
    for reason in ["3", "4"] {
        commit(&store, ban("tom", None, reason)).await;
        refuses(&follower).await;
    }
    store.accept().await.unwrap();
    for (user, follower) in [("jerry", &follower), ("spike", &following(open(socket(&redis)).await).await)] {
        follower.sync().await;
        assert_eq!(follower.check_fresh(), Ok(()));
        let made = follower.change(|_, _| (ban(user, None, ""), ())).await;
        assert!(made.is_ok(), "{made:?}");
    }
    assert_eq!((keys(&store).await.len(), store.head().await.unwrap().version), (3, 5));
}

/// Has a store say that it is where it was.
fn goes_back(redis: &Redis, head: &StoreHead) {
    let (name, version) = (key("head"), head.version.to_string());
    redis.ask::<()>(&["HSET", &name, "version", &version, "change", &head.change, "counted", &version]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_which_only_the_end_is_known_is_begun_anew() {
    let Some(redis) = Redis::start() else { return };
    let store = begun(socket(&redis)).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    begin(&redis, 9);
    redis.ask::<()>(&["XTRIM", &key("log"), "MAXLEN", "0"]);
    assert_eq!(tried(&store, &last).await.unwrap().version, 2);
    assert_eq!(since(&store, 1).await.len(), 1);
}

async fn tried(store: &Store, on: &StoreHead) -> Result<StoredChange, CommitError> {
    store.commit(on, put("ban/jerry", "1"), clock::now()).await
}
