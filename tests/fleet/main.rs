//! Several servers with one Redis, and the enforcement of their decisions at vendors and webhooks.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod outbox;
#[path = "../common/proxy.rs"]
mod proxy;
#[allow(dead_code)]
#[path = "../common/receiver.rs"]
mod receiver;
#[path = "../common/redis.rs"]
mod redis;
#[allow(dead_code)]
#[path = "../common/fake_server.rs"]
mod server;
mod servers;
#[allow(dead_code)]
#[path = "../common/vendors.rs"]
mod vendors;
#[allow(dead_code)]
#[path = "../moderation/routes/world.rs"]
mod world;
