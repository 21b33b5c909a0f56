//! The stores: what each promises, the same of all kinds, and what each makes of what can befall it.
//!
//! Those of Redis start servers of their own, with `redis-server`. Where that isn't there they are skipped and say so; with CI=true they fail.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod astray;
mod bed;
mod behaviour;
mod durable;
mod failover;
mod faults;
mod file;
mod following;
mod found;
mod lineage;
mod probing;
mod retries;
mod torn;
