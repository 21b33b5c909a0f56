//! Bans and mutes at LiveKit.

use serde_json::{Value, json};

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::World;

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
