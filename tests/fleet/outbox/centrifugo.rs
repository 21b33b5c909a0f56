//! Bans and mutes at Centrifugo.

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::World;

#[tokio::test]
async fn a_ban_disconnects_or_unsubscribes() {
    let world = World::new("centrifugo").await;
    let _worker = world.work();
    world.impose(Ban, "tom", None, None).await;
    world.settled().await;
    for channel in ["chat:lobby", "unknown:x"] {
        world.impose(Ban, "ann", Some(channel), None).await;
        world.settled().await;
        world.lift(Ban, "ann", Some(channel)).await;
        world.settled().await;
    }
    assert_eq!(world.vendor.held(|held| held.terminated.clone()), ["tom"]);
    let unsubscribed = [("ann".to_owned(), "chat:lobby".to_owned())];
    assert_eq!(world.vendor.held(|held| held.unsubscribed.clone()), unsubscribed);
    world.vendor.assert_content();
}

#[tokio::test]
async fn a_mute_needs_the_proxy() {
    let world = World::new("centrifugo-proxy").await;
    let _worker = world.work();
    world.impose(Mute, "tom", None, None).await;
    world.impose(Mute, "tom", Some("chat:lobby"), None).await;
    world.settled().await;
    assert_eq!(world.vendor.server.total(), 0);
    let world = World::new("centrifugo").await;
    let _worker = world.work();
    world.impose(Mute, "tom", Some("chat:lobby"), None).await;
    let reason = "Centrifugo can mute a user only if it asks chat-signer about messages: set proxy_key for the app, and \
        turn on the publish proxy";
    assert_eq!(world.dead_letter().await, reason);
}
