//! Who may moderate whom, and what no moderator gets past: the rules of the moderation entries, by their public face.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bans;
mod conversations;
mod edges;
mod facts;
mod reach;
mod roles;
mod table;
mod world;
