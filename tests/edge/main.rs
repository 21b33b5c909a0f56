//! Where the program meets the world: proxies, Unix sockets, ambient credentials, limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;

mod ambient;
mod forwarded;
mod hosts;
mod limits;
mod overload;
mod threads;
mod tokens;
mod unix;
