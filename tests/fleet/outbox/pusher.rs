//! Bans and mutes at Pusher: connections are terminated.

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::World;
use crate::server::Fault;

fn terminated(world: &World) -> Vec<String> {
    world.vendor.held(|held| std::mem::take(&mut held.terminated))
}

#[tokio::test]
async fn connections_end_on_bans_and_mutes_and_nothing_is_undone() {
    let world = World::new("pusher").await;
    let _worker = world.work();
    for (what, place) in [(Ban, None), (Mute, Some("chat.42")), (Ban, Some("chat.42"))] {
        world.impose(what, "tom=1@x", place, None).await;
        world.settled().await;
        assert_eq!(terminated(&world), ["tom=1@x"], "{what:?} {place:?}");
        world.lift(what, "tom=1@x", place).await;
        world.settled().await;
        assert_eq!(terminated(&world), [""; 0]);
    }
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_wrong_key_is_a_dead_letter_and_a_failure_is_repeated() {
    let world = World::new("pusher").await;
    world.vendor.server.fail("POST", "users/tom", 2, Fault::Answer(503, Vec::new()));
    world.vendor.server.fail("POST", "users/ann", 1, Fault::Answer(401, Vec::new()));
    let _worker = world.work();
    world.impose(Ban, "tom", None, None).await;
    world.settled().await;
    assert_eq!(terminated(&world), ["tom"]);
    world.impose(Ban, "ann", None, None).await;
    assert_eq!(world.dead_letter().await, "pusher: it answers 401");
    world.vendor.assert_content();
}
