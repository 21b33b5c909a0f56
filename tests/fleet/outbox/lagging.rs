//! Another process that doesn't know of a ban yet may sign for whoever is banned: what is imposed is imposed once more when none can.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_signer::clock;
use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::JobState;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, brisk, until};

const LAG: Duration = Duration::from_secs(1);

fn terms() -> OutboxConfig {
    OutboxConfig { lag: Some(LAG), ..brisk() }
}

async fn leancloud() -> World {
    let world = World::new("leancloud").await;
    world.vendor.held(|held| {
        held.members.insert("c1".to_owned(), BTreeSet::from(["alice".to_owned()]));
        held.blacklists.insert("c1".to_owned(), BTreeSet::new());
    });
    world
}

/// When requests came with this in their path.
fn times(world: &World, path: &str) -> Vec<u64> {
    world.vendor.server.seen("POST", path).iter().map(|seen| seen.at.0).collect()
}

#[tokio::test]
async fn tokens_are_revoked_once_more_and_not_for_who_is_forgiven() {
    for (what, place) in [(Ban, None), (Mute, Some("chat:1"))] {
        let world = World::new("ably").await;
        let _worker = world.work_by(terms());
        let before = clock::now();
        world.impose(what, "alice", place, None).await;
        world.settled().await;
        let [first, second] = times(&world, "fakeapp.new")[..] else { panic!("{:?}", times(&world, "fakeapp.new")) };
        assert!(second >= before.after(LAG).0 && first < second, "{before} {first} {second}");
        world.lift(what, "alice", place).await;
        world.settled().await;
        assert_eq!(times(&world, "fakeapp.new").len(), 2);
    }
}

#[tokio::test]
async fn clients_are_thrown_out_twice_by_whoever_comes_to_it() {
    for place in [Some("c1"), None] {
        let world = leancloud().await;
        let worker = world.work_by(terms());
        let before = clock::now();
        world.impose(Ban, "alice", place, None).await;
        until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.attempts == 1)).await;
        assert_eq!(times(&world, "/kick").len(), 1);
        // Whoever does it the second time isn't who did it first.
        worker.stop(Duration::from_secs(30)).await;
        let _next = world.work_by(terms());
        world.settled().await;
        let [first, second] = times(&world, "/kick")[..] else { panic!("{:?}", times(&world, "/kick")) };
        assert!(second >= before.after(LAG).0 && first < second, "{before} {first} {second}");
        world.vendor.assert_content();
    }
}

#[tokio::test]
async fn whoever_is_forgiven_meanwhile_is_not_thrown_out_once_more() {
    let world = leancloud().await;
    let _worker = world.work_by(terms());
    world.impose(Ban, "alice", Some("c1"), None).await;
    until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.attempts == 1)).await;
    world.lift(Ban, "alice", Some("c1")).await;
    world.settled().await;
    assert_eq!(times(&world, "/kick").len(), 1);
    assert_eq!(world.note("alice", "c1").await, None);
}

#[tokio::test]
async fn what_undoes_it_meanwhile_is_undone() {
    let world = World::new("talkjs").await;
    world.vendor.join("c1", "alice", "ReadWrite", true);
    let _worker = world.work_by(terms());
    world.impose(Ban, "alice", Some("c1"), None).await;
    until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.attempts == 1)).await;
    world.vendor.join("c1", "alice", "ReadWrite", true);
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice"), None);
    world.vendor.assert_content();
}

#[tokio::test]
async fn what_can_only_be_done_in_part_is_dead_letters_after_the_second_time() {
    let world = World::new("leancloud").await;
    let _worker = world.work_by(terms());
    world.impose(Ban, "alice", Some("_tmp:c1"), None).await;
    assert!(world.dead_letter().await.contains("temporary"));
    assert_eq!(times(&world, "/kick").len(), 2);
    assert_eq!(world.jobs(JobState::DeadLetter).await[0].attempts, 2);
}

#[tokio::test]
async fn one_conversation_that_can_not_be_dealt_with_is_no_reason_not_to_look_at_the_others_once_more() {
    let world = World::new("talkjs").await;
    for id in ["..", "c00"] {
        world.vendor.join(id, "alice", "ReadWrite", true);
    }
    let _worker = world.work_by(terms());
    world.impose(Ban, "alice", None, None).await;
    until(async || world.vendor.access("c00", "alice").is_none()).await;
    // By whom another process let in.
    world.vendor.join("c00", "alice", "ReadWrite", true);
    assert!(world.dead_letter().await.contains("cannot be part of a URL path"));
    assert_eq!(world.vendor.access("c00", "alice"), None);
}
