//! Several servers with one moderation in a real Redis: a ban that was acknowledged holds at all of them, whatever befalls the store.
//!
//! They start servers of their own with `redis-server`. Where that isn't there they are skipped and say so; with CI=true they fail.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod carrying;
mod clocks;
mod cut;
mod ended;
pub(crate) mod fleet;
mod forgotten;
mod lagging;
mod outage;
mod replayed;
mod resumed;
pub(crate) mod rolled_back;
mod rotated;
mod starved;
mod told;
mod torn;
mod unwritable;
mod writers;
