//! Bans and mutes at LeanCloud, and that their end restores what was there before.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::JobState;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, brisk, in_seconds};
use crate::vendors::Held;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn world() -> World {
    let world = World::new("leancloud").await;
    world.vendor.held(|held: &mut Held| {
        held.members.insert("c1".to_owned(), names(&["alice", "bob"]));
        held.blacklists.insert("c1".to_owned(), names(&["mallory"]));
        held.silenced.insert("c1".to_owned(), names(&["loud"]));
    });
    world
}

/// Members, black list and who is silenced for good.
fn lists(world: &World) -> [BTreeSet<String>; 3] {
    world.vendor.held(|held| [&held.members, &held.blacklists, &held.silenced].map(|lists| lists["c1"].clone()))
}

#[tokio::test]
async fn whoever_is_banned_is_shut_out_and_thrown_out_and_is_a_member_again_after_that() {
    let world = world().await;
    let before = lists(&world);
    let _worker = world.work();
    world.impose(Ban, "alice", Some("c1"), None).await;
    world.settled().await;
    let [members, blacklist, _] = lists(&world);
    assert_eq!((members, blacklist), (names(&["bob"]), names(&["alice", "mallory"])));
    assert_eq!(world.vendor.held(|held| held.kicked.clone()), [("alice".to_owned(), "spam".to_owned())]);
    world.lift(Ban, "alice", Some("c1")).await;
    world.settled().await;
    assert_eq!(lists(&world), before);
    assert_eq!(world.note("alice", "c1").await, None);
    world.vendor.assert_content();
}

/// It would end all sessions of someone who is out already.
#[tokio::test]
async fn a_ban_that_is_repeated_throws_nobody_out_again() {
    for (lag, times) in [(None, 1), (Some(Duration::from_millis(500)), 2)] {
        let world = world().await;
        let _worker = world.work_by(OutboxConfig { lag, ..brisk() });
        let kicks = || world.vendor.held(|held| held.kicked.len());
        for _ in 0..3 {
            world.impose(Ban, "alice", Some("c1"), None).await;
            world.settled().await;
        }
        assert_eq!(kicks(), times, "once, and once more when all know");
        world.lift(Ban, "alice", Some("c1")).await;
        world.settled().await;
        world.impose(Ban, "alice", Some("c1"), None).await;
        world.settled().await;
        assert_eq!(kicks(), 2 * times);
        world.vendor.assert_content();
    }
}

#[tokio::test]
async fn whoever_was_on_a_list_before_stays_on_it() {
    let world = world().await;
    let before = lists(&world);
    let _worker = world.work();
    for (what, user) in [(Ban, "mallory"), (Mute, "loud")] {
        world.impose(what, user, Some("c1"), None).await;
        world.settled().await;
        world.lift(what, user, Some("c1")).await;
        world.settled().await;
    }
    assert_eq!(lists(&world), before);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_silences_for_its_time_or_for_good() {
    let world = world().await;
    let before = lists(&world);
    let _worker = world.work();
    let briefly = || world.vendor.held(|held| held.briefly.values().copied().collect::<Vec<_>>());
    world.impose(Mute, "alice", Some("c1"), Some(in_seconds(3600))).await;
    world.settled().await;
    assert!(matches!(briefly()[..], [3590..=3600]), "{:?}", briefly());
    world.impose(Mute, "alice", Some("c1"), None).await;
    world.settled().await;
    assert_eq!((briefly(), lists(&world)[2].clone()), (Vec::new(), names(&["alice", "loud"])));
    world.lift(Mute, "alice", Some("c1")).await;
    world.settled().await;
    assert_eq!((briefly(), lists(&world)), (Vec::new(), before));
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_of_many_days_is_renewed() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Mute, "alice", Some("c1"), Some(in_seconds(3 * 86_400))).await;
    crate::outbox::world::until(async || world.vendor.held(|held| !held.briefly.is_empty())).await;
    assert_eq!(world.vendor.held(|held| held.briefly.values().copied().collect::<Vec<_>>()), [86_400]);
    let renewal = async || world.jobs(JobState::Pending).await.into_iter().find(|job| job.attempts == 1);
    crate::outbox::world::until(async || renewal().await.is_some()).await;
    let job = renewal().await.unwrap();
    let hours = (job.due.0 - chat_signer::clock::now().0) / 3_600_000;
    assert!((20..=22).contains(&hours) && job.error.is_none(), "{job:?}");
}

#[tokio::test]
async fn a_ban_everywhere_ends_the_session_and_a_mute_everywhere_is_said_not_to_be_had() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Ban, "alice", None, None).await;
    world.settled().await;
    world.lift(Ban, "alice", None).await;
    world.settled().await;
    world.impose(Ban, "alice", None, None).await;
    world.settled().await;
    assert_eq!(world.vendor.held(|held| held.kicked.len()), 2, "each ban throws out once");
    world.impose(Mute, "bob", None, None).await;
    assert_eq!(world.dead_letter().await, "LeanCloud can mute a user in single conversations, but not everywhere");
    world.vendor.assert_content();
}
