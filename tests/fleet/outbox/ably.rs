//! Bans and mutes at Ably: tokens are revoked.

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::World;
use crate::server::Fault;

fn revoked(world: &World) -> Vec<(String, String)> {
    world.vendor.held(|held| std::mem::take(&mut held.revoked))
}

fn both(user: &str) -> Vec<(String, String)> {
    ["fakeapp.new", "fakeapp.old"].map(|key| (key.to_owned(), user.to_owned())).to_vec()
}

#[tokio::test]
async fn tokens_are_revoked_on_bans_and_mutes_and_nothing_when_they_end() {
    let world = World::new("ably").await;
    let _worker = world.work();
    for (what, place) in [(Ban, None), (Mute, Some("chat:1")), (Ban, Some("chat:*"))] {
        world.impose(what, "al ice", place, None).await;
        world.settled().await;
        assert_eq!(revoked(&world), both("al ice"), "{what:?} {place:?}");
        world.lift(what, "al ice", place).await;
        world.settled().await;
        assert_eq!(revoked(&world), []);
    }
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_key_that_is_gone_is_no_harm_unless_it_is_the_one_that_signs() {
    let world = World::new("ably").await;
    world.vendor.server.fail("POST", "fakeapp.old", 1, Fault::Answer(401, Vec::new()));
    let _worker = world.work();
    world.impose(Ban, "alice", None, None).await;
    world.settled().await;
    assert_eq!(revoked(&world), both("alice")[..1]);
    world.vendor.server.fail("POST", "fakeapp.new", 1, Fault::Answer(404, Vec::new()));
    world.impose(Ban, "bob", None, None).await;
    assert_eq!(world.dead_letter().await, "ably: it does not know the API key");
}
