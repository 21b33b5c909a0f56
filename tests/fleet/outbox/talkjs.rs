//! Bans and mutes at TalkJS, and that their end restores what was there before.

use chat_signer::moderation::store::JobState;
use serde_json::json;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::World;
use crate::server::Fault;

#[tokio::test]
async fn whoever_is_banned_is_removed_and_comes_back_as_they_were() {
    for (access, notify) in [("ReadWrite", json!("MentionsOnly")), ("Read", json!(false))] {
        let world = World::new("talkjs").await;
        world.vendor.join("c1", "alice", access, notify.clone());
        world.vendor.join("c1", "bob", "ReadWrite", true);
        let _worker = world.work();
        world.impose(Ban, "alice", Some("c1"), None).await;
        world.settled().await;
        assert_eq!(world.vendor.access("c1", "alice"), None);
        assert!(world.note("alice", "c1").await.is_some());
        world.lift(Ban, "alice", Some("c1")).await;
        world.settled().await;
        let back = world.vendor.held(|held| held.participants["c1"]["alice"].clone());
        assert_eq!(back, (access.to_owned(), notify));
        assert_eq!(world.vendor.access("c1", "bob").unwrap(), "ReadWrite");
        assert_eq!(world.note("alice", "c1").await, None, "nothing is remembered of what is over");
        world.vendor.assert_content();
    }
}

#[tokio::test]
async fn whoever_was_not_there_does_not_come_in_by_a_ban() {
    let world = World::new("talkjs").await;
    world.vendor.join("c1", "bob", "ReadWrite", true);
    let _worker = world.work();
    for conversation in ["c1", "nowhere"] {
        world.impose(Ban, "alice", Some(conversation), None).await;
        world.settled().await;
        world.lift(Ban, "alice", Some(conversation)).await;
        world.settled().await;
        assert_eq!(world.vendor.access(conversation, "alice"), None);
    }
    assert_eq!(world.vendor.server.count("PUT", ""), 0);
    world.vendor.assert_content();
}

#[tokio::test]
async fn whoever_is_muted_reads_and_writes_again_after_that() {
    let world = World::new("talkjs").await;
    world.vendor.join("c1", "alice", "ReadWrite", true);
    world.vendor.join("c2", "alice", "Read", true);
    world.vendor.join("c3", "alice", "None", true);
    let _worker = world.work();
    let access = || ["c1", "c2", "c3"].map(|id| world.vendor.access(id, "alice").unwrap());
    for id in ["c1", "c2", "c3"] {
        world.impose(Mute, "alice", Some(id), None).await;
    }
    world.settled().await;
    assert_eq!(access(), ["Read", "Read", "None"]);
    for id in ["c1", "c2", "c3"] {
        world.lift(Mute, "alice", Some(id)).await;
    }
    world.settled().await;
    assert_eq!(access(), ["ReadWrite", "Read", "None"]);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_outlives_a_ban() {
    let world = World::new("talkjs").await;
    world.vendor.join("c1", "alice", "ReadWrite", "MentionsOnly");
    let _worker = world.work();
    let mut seen = Vec::new();
    for (imposes, what) in [(true, Mute), (true, Ban), (false, Ban), (false, Mute)] {
        if imposes {
            world.impose(what, "alice", Some("c1"), None).await;
        } else {
            world.lift(what, "alice", Some("c1")).await;
        }
        world.settled().await;
        seen.push(world.vendor.access("c1", "alice"));
    }
    assert_eq!(seen, [Some("Read"), None, Some("Read"), Some("ReadWrite")].map(|access| access.map(str::to_owned)));
    assert_eq!(world.vendor.held(|held| held.participants["c1"]["alice"].1.clone()), json!("MentionsOnly"));
    world.vendor.assert_content();
}

/// Who was removed is not taken for someone who left because coming back failed the first time.
#[tokio::test]
async fn a_mute_outlives_a_ban_though_it_fails_at_first() {
    for fault in [Fault::Answer(500, Vec::new()), Fault::Cut, Fault::CutAfter] {
        let world = World::new("talkjs").await;
        world.vendor.join("c1", "alice", "ReadWrite", true);
        world.vendor.server.fail("PUT", "/c1", 2, fault.clone());
        let _worker = world.work();
        world.impose(Mute, "alice", Some("c1"), None).await;
        world.impose(Ban, "alice", Some("c1"), None).await;
        world.settled().await;
        world.lift(Ban, "alice", Some("c1")).await;
        world.settled().await;
        assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("Read"), "{fault:?}");
        world.lift(Mute, "alice", Some("c1")).await;
        world.settled().await;
        assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("ReadWrite"), "{fault:?}");
    }
}

#[tokio::test]
async fn names_that_are_odd_are_told_exactly_and_those_that_lead_elsewhere_not_at_all() {
    let world = World::new("talkjs").await;
    let odd = "a/b?c#d%2e é";
    world.vendor.join("x y:1", odd, "ReadWrite", true);
    let worker = world.work();
    world.impose(Ban, odd, Some("x y:1"), None).await;
    world.settled().await;
    assert_eq!(world.vendor.access("x y:1", odd), None);
    world.vendor.assert_content();
    let before = world.vendor.server.count("GET", "");
    world.impose(Ban, "..", Some("c1"), None).await;
    world.impose(Ban, "alice", Some("%2e%2E"), None).await;
    world.impose(Ban, ".", None, None).await;
    world.settled().await;
    let aside = world.jobs(JobState::DeadLetter).await;
    let why: Vec<_> = aside.iter().filter_map(|job| job.error.as_deref()).collect();
    assert_eq!(why, ["its id cannot be part of a URL path: it is empty or can be read as `.` or `..`"; 3]);
    drop(worker);
    assert_eq!(world.vendor.server.count("GET", "") - before, 1, "only c1 was asked about, before the name was needed");
}
