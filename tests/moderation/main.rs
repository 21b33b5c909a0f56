//! Moderation: the rules, the HTTP routes, the commands, and export and import.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/redis.rs"]
mod redis;
mod routes;
mod rules;
mod transfer;
