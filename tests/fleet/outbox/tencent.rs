//! Bans and mutes at Tencent.

use std::collections::BTreeMap;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, in_seconds};
use crate::server::Fault;

const FOREVER: i64 = 4_294_967_295;

fn mutes(world: &World) -> BTreeMap<(String, String), i64> {
    world.vendor.held(|held| held.mutes.clone())
}

fn one(place: &str, user: &str, time: i64) -> BTreeMap<(String, String), i64> {
    BTreeMap::from([((place.to_owned(), user.to_owned()), time)])
}

#[tokio::test]
async fn a_ban_makes_earlier_signatures_invalid() {
    let world = World::new("tencent").await;
    let _worker = world.work();
    world.impose(Ban, "tom", None, None).await;
    world.settled().await;
    assert_eq!(world.vendor.held(|held| std::mem::take(&mut held.kicked)), [("tom".to_owned(), String::new())]);
    world.lift(Ban, "tom", None).await;
    world.settled().await;
    // Tencent has no such user.
    world.impose(Ban, "to m", None, None).await;
    world.settled().await;
    assert!(world.vendor.held(|held| held.kicked.is_empty()));
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_lasts_for_its_time_or_without_end() {
    let world = World::new("tencent").await;
    let _worker = world.work();
    world.impose(Mute, "tom", None, None).await;
    world.settled().await;
    assert_eq!(mutes(&world), one("*", "tom", FOREVER));
    world.impose(Mute, "tom", None, Some(in_seconds(3600))).await;
    world.settled().await;
    let time = mutes(&world)[&("*".to_owned(), "tom".to_owned())];
    assert!((3590..=3600).contains(&time), "{time}");
    world.lift(Mute, "tom", None).await;
    world.settled().await;
    assert_eq!(mutes(&world), BTreeMap::new());
    // The mute of somebody else stays.
    world.vendor.held(|held| held.mutes = one("*", "ann", 7200));
    world.impose(Mute, "ann", None, None).await;
    world.settled().await;
    world.lift(Mute, "ann", None).await;
    world.settled().await;
    assert_eq!(mutes(&world), one("*", "ann", 7200));
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_ban_in_a_group_removes_the_user_who_cannot_send_there() {
    let world = World::new("tencent").await;
    world.vendor.held(|held| _ = held.members.insert("@TGS#1".to_owned(), ["tom", "ann"].map(str::to_owned).into()));
    let _worker = world.work();
    for (what, members) in [(Mute, 2), (Ban, 1)] {
        world.impose(what, "tom", Some("@TGS#1"), None).await;
        world.settled().await;
        assert_eq!(mutes(&world), one("@TGS#1", "tom", FOREVER));
        assert_eq!(world.vendor.held(|held| held.members["@TGS#1"].len()), members);
    }
    for what in [Ban, Mute] {
        world.lift(what, "tom", Some("@TGS#1")).await;
        world.settled().await;
    }
    assert_eq!(mutes(&world), BTreeMap::new());
    world.impose(Ban, "tom", Some("no-such-group"), None).await;
    world.settled().await;
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_everywhere_waits_for_the_account() {
    let world = World::new("tencent").await;
    world.vendor.held(|held| held.strangers.insert("bob".to_owned()));
    let _worker = world.work();
    world.impose(Mute, "bob", None, None).await;
    world.postponed(in_seconds(3500)).await;
    world.vendor.held(|held| held.strangers.clear());
    world.impose(Mute, "bob", None, None).await;
    world.settled().await;
    assert_eq!(mutes(&world), one("*", "bob", FOREVER));
    world.vendor.assert_content();
}

#[tokio::test]
async fn an_answer_without_a_code_is_a_dead_letter() {
    let world = World::new("tencent").await;
    world.vendor.server.fail("POST", "kick", 1, Fault::Answer(200, Vec::new()));
    let _worker = world.work();
    world.impose(Ban, "tom", None, None).await;
    assert_eq!(world.dead_letter().await, "tencent: it answers without an `ErrorCode`: is `url` right?");
    assert_eq!(world.vendor.server.count("POST", "kick"), 1);
    world.vendor.assert_content();
}
