//! The stores, and what is left after a crash.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backends;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod crashes;
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
#[allow(dead_code)]
#[path = "../common/vendors.rs"]
mod vendors;
