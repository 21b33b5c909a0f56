//! Bans and mutes at Agora Chat.

use std::collections::BTreeMap;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, in_seconds};

/// A time that is less than the time until a sanction without effect is tried again.
const ALMOST_AN_HOUR: u64 = 3500;

async fn world() -> World {
    let world = World::new("agora").await;
    world.vendor.held(|held| {
        held.accounts.extend([("tom".to_owned(), true), ("ann".to_owned(), false)]);
        held.members.insert("chatgroups/42".to_owned(), ["tom", "ann"].map(str::to_owned).into());
        held.members.insert("chatrooms/43".to_owned(), ["tom"].map(str::to_owned).into());
    });
    world
}

fn mutes(world: &World) -> BTreeMap<(String, String), i64> {
    world.vendor.held(|held| held.mutes.clone())
}

#[tokio::test]
async fn a_banned_user_is_deactivated_and_disconnected() {
    let world = world().await;
    let _worker = world.work();
    let active = |user: &str| world.vendor.held(|held| held.accounts[user]);
    for (user, after) in [("tom", true), ("ann", false)] {
        world.impose(Ban, user, None, None).await;
        world.settled().await;
        assert!(!active(user));
        world.lift(Ban, user, None).await;
        world.settled().await;
        assert_eq!(active(user), after, "{user}");
    }
    for user in ["nobody", "Tom"] {
        world.impose(Ban, user, None, None).await;
        world.settled().await;
    }
    assert_eq!(world.vendor.held(|held| held.terminated.clone()), ["tom"]);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_is_for_all_conversations_or_for_one() {
    let world = world().await;
    let _worker = world.work();
    for (place, key, time) in
        [(None, "*", 3600), (Some("42"), "chatgroups/42", 3_600_000), (Some("43"), "chatrooms/43", 3_600_000)]
    {
        let key = (key.to_owned(), "tom".to_owned());
        world.impose(Mute, "tom", place, None).await;
        world.settled().await;
        assert_eq!(mutes(&world), BTreeMap::from([(key.clone(), -1)]));
        world.impose(Mute, "tom", place, Some(in_seconds(3600))).await;
        world.settled().await;
        let seen = mutes(&world)[&key];
        assert!((time * 99 / 100..=time).contains(&seen), "{seen}");
        world.lift(Mute, "tom", place).await;
        world.settled().await;
        assert_eq!(mutes(&world), BTreeMap::new());
    }
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_ban_in_a_group_blocks_the_user_there() {
    let world = world().await;
    let _worker = world.work();
    for _ in 0..2 {
        world.impose(Ban, "tom", Some("42"), None).await;
        world.settled().await;
    }
    let blocked = || world.vendor.held(|held| held.blacklists["chatgroups/42"].clone());
    assert_eq!(blocked(), ["tom".to_owned()].into());
    world.lift(Ban, "tom", Some("42")).await;
    world.settled().await;
    assert!(blocked().is_empty());
    world.impose(Ban, "tom", Some("lobby"), None).await;
    let reason =
        "Agora can change only groups and rooms of Chat, whose ids are numbers, and no channel of RTC or Signaling";
    assert_eq!(world.dead_letter().await, reason);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_sanction_in_a_group_waits_for_a_user_who_is_not_there() {
    for what in [Ban, Mute] {
        let world = world().await;
        let _worker = world.work();
        world.impose(what, "bob", Some("42"), None).await;
        world.postponed(in_seconds(ALMOST_AN_HOUR)).await;
        world.vendor.held(|held| held.members.get_mut("chatgroups/42").unwrap().insert("bob".to_owned()));
        world.impose(what, "bob", Some("42"), None).await;
        world.settled().await;
        let is_blocked = world
            .vendor
            .held(|held| held.blacklists.get("chatgroups/42").is_some_and(|blocked| blocked.contains("bob")));
        let is_muted = mutes(&world).contains_key(&("chatgroups/42".to_owned(), "bob".to_owned()));
        assert_eq!([is_blocked, is_muted], [what == Ban, what == Mute]);
        world.lift(what, "bob", Some("42")).await;
        world.settled().await;
        assert_eq!(world.note("bob", "42").await, None);
        world.vendor.assert_content();
    }
}

#[tokio::test]
async fn a_mute_everywhere_waits_for_the_account() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Mute, "bob", None, None).await;
    world.postponed(in_seconds(ALMOST_AN_HOUR)).await;
    world.vendor.held(|held| held.accounts.insert("bob".to_owned(), true));
    world.impose(Mute, "bob", None, None).await;
    world.settled().await;
    assert_eq!(mutes(&world), BTreeMap::from([(("*".to_owned(), "bob".to_owned()), -1)]));
    world.vendor.assert_content();
}
