//! Stories of people who want more than they may. Each has a policy small enough to read, and ends with what they get.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod anyone;
mod bans;
mod channels;
mod conversations;
mod issuers;
mod roles;
mod story;
