//! Bans and mutes at LiveKit.

use std::time::Duration;

use chat_signer::moderation::outbox::OutboxConfig;
use serde_json::{Value, json};

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, brisk};
use crate::server::{Fault, Server};

async fn world() -> World {
    let world = World::new("livekit").await;
    world.vendor.held(|held| {
        for room in ["a", "b", "c"] {
            let people = if room == "c" { vec!["ann"] } else { vec!["ann", "tom"] };
            let people = people.into_iter().map(|name| (name.to_owned(), speaker())).collect();
            held.rooms.insert(room.to_owned(), people);
        }
    });
    world
}

fn speaker() -> Value {
    json!({ "canSubscribe": true, "canPublish": true, "canPublishData": true })
}

fn listener() -> Value {
    json!({ "canSubscribe": true, "can_publish": false, "can_publish_data": false })
}

/// Returns the permissions of a user in the rooms a and b.
fn permissions(world: &World, user: &str) -> [Option<Value>; 2] {
    world.vendor.held(|held| ["a", "b"].map(|room| held.rooms[room].get(user).cloned()))
}

#[tokio::test]
async fn a_banned_participant_is_removed_from_one_room_or_from_all() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Ban, "tom", Some("a"), None).await;
    world.settled().await;
    assert_eq!(permissions(&world, "tom"), [None, Some(speaker())]);
    world.impose(Ban, "tom", None, None).await;
    world.settled().await;
    assert_eq!(permissions(&world, "tom"), [None, None]);
    assert_eq!(permissions(&world, "ann"), [Some(speaker()), Some(speaker())]);
    assert_eq!(world.vendor.server.count("POST", "RemoveParticipant"), 2);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_muted_participant_only_listens_until_the_end() {
    let world = world().await;
    let _worker = world.work();
    for place in [Some("a"), None] {
        world.impose(Mute, "tom", place, None).await;
        world.settled().await;
        let other = if place.is_none() { listener() } else { speaker() };
        assert_eq!(permissions(&world, "tom"), [Some(listener()), Some(other)]);
        world.lift(Mute, "tom", place).await;
        world.settled().await;
        let restored = permissions(&world, "tom").map(|permission| permission.unwrap());
        for permission in restored {
            let can = |names: [&str; 2]| names.iter().any(|name| permission[*name] == true);
            assert!(can(["can_publish", "canPublish"]) && can(["can_publish_data", "canPublishData"]), "{permission}");
        }
    }
    assert_eq!(world.note("tom", "a").await, None);
    world.vendor.assert_content();
}

#[tokio::test]
async fn nothing_is_changed_where_the_user_is_not() {
    let world = world().await;
    let _worker = world.work();
    for (what, user, place) in [(Ban, "tom", "c"), (Mute, "tom", "c"), (Ban, "nobody", "a"), (Ban, "tom", "nowhere")] {
        world.impose(what, user, Some(place), None).await;
        world.settled().await;
    }
    assert_eq!(world.vendor.server.count("POST", "RemoveParticipant"), 0);
    assert_eq!(world.vendor.server.count("POST", "UpdateParticipant"), 0);
    world.vendor.assert_content();
}

/// One attempt works for 5 seconds, and 150 rooms need 10 seconds at the rate for LiveKit.
#[tokio::test]
async fn a_ban_everywhere_needs_several_attempts_and_ends() {
    let world = World::new("livekit").await;
    let rooms: Vec<String> = (0..150).map(|number| format!("r{number:03}")).collect();
    world.vendor.held(|held| {
        held.rooms = rooms.iter().map(|room| (room.clone(), [("ann".to_owned(), speaker())].into())).collect();
        for room in [&rooms[0], &rooms[149]] {
            held.rooms.get_mut(room).unwrap().insert("tom".to_owned(), speaker());
        }
    });
    let _worker = world.work_by(OutboxConfig { lease: Duration::from_secs(6), ..brisk() });
    world.impose(Ban, "tom", None, None).await;
    world.settled().await;
    assert!(world.vendor.held(|held| held.rooms.values().all(|people| !people.contains_key("tom"))));
    // An attempt repeats at most the part of the list in which the attempt before ended.
    let attempts = world.vendor.server.count("POST", "ListRooms");
    let questions = world.vendor.server.count("POST", "GetParticipant");
    assert!(attempts > 1 && questions <= rooms.len() + 25 * (attempts - 1), "{questions} in {attempts} attempts");
    assert_eq!(world.note("tom", "").await, None);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_list_of_rooms_that_is_too_long_is_a_dead_letter() {
    let world = World::new("livekit").await;
    let server = Server::start(|_| (200, Vec::new(), " ".repeat((4 << 20) + 1))).await;
    let _worker = world.work_at(&format!("http://{}", server.address), brisk());
    world.impose(Mute, "tom", None, None).await;
    let reason =
        "livekit: the answer to /twirp/livekit.RoomService/ListRooms is longer than the 4194304 bytes that are read";
    assert_eq!(world.dead_letter().await, reason);
    assert_eq!(server.total(), 1);
}

#[tokio::test]
async fn rights_are_given_back_although_the_list_of_rooms_cannot_be_read() {
    let world = world().await;
    let _worker = world.work();
    world.impose(Mute, "tom", None, None).await;
    world.settled().await;
    world.vendor.server.fail("POST", "ListRooms", 1, Fault::Answer(403, Vec::new()));
    world.lift(Mute, "tom", None).await;
    assert_eq!(world.dead_letter().await, "livekit: it answers 403");
    for permission in permissions(&world, "tom") {
        assert_eq!(permission.unwrap()["can_publish"], true);
    }
    world.vendor.assert_content();
}

/// The rights of the token with which the participant joined again are less than those before the mute.
#[tokio::test]
async fn a_participant_who_joined_again_gets_no_rights_of_the_session_before() {
    for place in [Some("a"), None] {
        let world = world().await;
        let _worker = world.work();
        world.impose(Mute, "tom", place, None).await;
        world.settled().await;
        world.vendor.held(|held| {
            held.rejoined.insert(("a".to_owned(), "tom".to_owned()), 1);
            held.rooms.get_mut("a").unwrap().insert("tom".to_owned(), listener());
        });
        world.lift(Mute, "tom", place).await;
        world.settled().await;
        assert_eq!(permissions(&world, "tom")[0], Some(listener()), "{place:?}");
        assert_eq!(world.note("tom", "a").await, None);
        world.vendor.assert_content();
    }
}
