//! Where the program meets the world: proxies, Unix sockets, ambient credentials, limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ambient;
mod forwarded;
mod hosts;
mod limits;
mod overload;
mod threads;
mod tokens;
mod unix;
