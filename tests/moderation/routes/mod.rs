//! Moderation over real sockets, with a moderation in memory or in a file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod changes;
mod concurrent;
mod conversations;
mod decide;
mod events;
mod explain;
mod file;
mod gate;
mod lists;
mod looking;
mod record;
mod refusals;
mod strays;
mod world;
