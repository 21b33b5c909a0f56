//! Bans and mutes at Stream, and that their end restores the state before.

use std::collections::BTreeSet;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, in_seconds};

const CHANNEL: &str = "messaging:lobby";

async fn world() -> World {
    let world = World::new("stream").await;
    world.vendor.held(|held| {
        held.users.entry("tom".to_owned()).or_default();
        held.users.entry("ann".to_owned()).or_default();
        held.members.insert(CHANNEL.to_owned(), ["tom", "eve"].map(str::to_owned).into());
    });
    world
}

/// Returns whether the user is deactivated, whether the user is banned, and whether tokens were revoked.
fn state(world: &World, user: &str) -> [bool; 3] {
    world.vendor.held(|held| {
        let user = &held.users[user];
        [user.deactivated, user.banned, user.revoked_before.is_some()]
    })
}

/// Returns the members of the channel, and the users who are banned there.
fn channel(world: &World) -> [BTreeSet<String>; 2] {
    world
        .vendor
        .held(|held| [held.members[CHANNEL].clone(), held.channel_bans.iter().map(|(_, user)| user.clone()).collect()])
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_banned_user_is_deactivated_and_active_again_at_the_end() {
    let world = world().await;
    let _worker = world.work();
    for _ in 0..2 {
        world.impose(Ban, "tom", None, None).await;
        world.settled().await;
        assert_eq!(state(&world, "tom"), [true, false, true]);
    }
    world.lift(Ban, "tom", None).await;
    world.settled().await;
    assert_eq!(state(&world, "tom"), [false, false, true]);
    assert_eq!(world.note("tom", "*").await, None);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_muted_user_cannot_send_until_the_end() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Mute, "tom", None, Some(in_seconds(3600))).await;
    world.settled().await;
    assert_eq!(state(&world, "tom"), [false, true, false]);
    let ban: serde_json::Value =
        serde_json::from_str(&world.vendor.server.seen("POST", "/moderation/ban")[0].body).unwrap();
    assert_eq!((ban["timeout"].as_u64(), ban["reason"].as_str()), (Some(60), Some("spam")));
    world.lift(Mute, "tom", None).await;
    world.settled().await;
    assert_eq!(state(&world, "tom"), [false; 3]);
    world.vendor.assert_content();
}

#[tokio::test]
async fn what_others_did_is_left() {
    let world = world().await;
    world.vendor.held(|held| {
        held.users.get_mut("tom").unwrap().deactivated = true;
        held.users.get_mut("ann").unwrap().banned = true;
    });
    let _worker = world.work();
    for (what, user) in [(Ban, "tom"), (Mute, "ann"), (Ban, "nobody")] {
        world.impose(what, user, None, None).await;
        world.settled().await;
        world.lift(what, user, None).await;
        world.settled().await;
    }
    assert_eq!((state(&world, "tom"), state(&world, "ann")), ([true, false, false], [false, true, false]));
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_ban_in_a_channel_ends_the_membership_until_its_end() {
    let world = world().await;
    let before = channel(&world);
    let _worker = world.work();
    world.impose(Mute, "tom", Some(CHANNEL), None).await;
    world.settled().await;
    assert_eq!(channel(&world), [names(&["eve", "tom"]), names(&["tom"])]);
    world.impose(Ban, "tom", Some(CHANNEL), None).await;
    world.settled().await;
    assert_eq!(channel(&world), [names(&["eve"]), names(&["tom"])]);
    for what in [Ban, Mute] {
        world.lift(what, "tom", Some(CHANNEL)).await;
        world.settled().await;
    }
    assert_eq!(channel(&world), before);
    // There is no such channel, and the last name is not one of a channel.
    for place in ["messaging:nowhere", "lobby"] {
        world.impose(Ban, "tom", Some(place), None).await;
        world.settled().await;
    }
    world.vendor.assert_content();
}

/// The user logs in only after the mute, and Stream then has the user with the ban.
#[tokio::test]
async fn a_mute_creates_a_user_who_is_not_there_yet() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Mute, "new", None, None).await;
    world.settled().await;
    assert_eq!(state(&world, "new"), [false, true, false]);
    world.lift(Mute, "new", None).await;
    world.settled().await;
    assert_eq!(state(&world, "new"), [false; 3]);
    assert_eq!(world.note("new", "*").await, None);
    // Nothing is created for a user who cannot log in.
    world.impose(Ban, "nobody", None, None).await;
    world.settled().await;
    assert!(world.vendor.held(|held| !held.users.contains_key("nobody")));
    world.vendor.assert_content();
}
