//! Several servers with one moderation in a real Redis: a ban that was acknowledged holds at all of them, whatever befalls the store.
//!
//! They start servers of their own with `redis-server`. Where that isn't there they are skipped and say so; with CI=true they fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod carrying;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod cut;
mod ended;
mod fleet;
mod forgotten;
mod lagging;
mod outage;
#[path = "../common/proxy.rs"]
mod proxy;
#[path = "../common/redis.rs"]
mod redis;
mod resumed;
mod rolled_back;
#[allow(dead_code)]
#[path = "../outbox/server.rs"]
mod server;
mod told;
mod torn;
mod unwritable;
#[allow(dead_code)]
#[path = "../outbox/vendors.rs"]
mod vendors;
#[allow(dead_code)]
#[path = "../moderation_api/world.rs"]
mod world;
mod writers;
