//! The program over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ably_sdks;
mod audit;
mod browsers;
mod chain;
mod compat;
mod console;
mod limits;
#[cfg(feature = "playground")]
mod playground;
mod refusals;
mod routes;
mod starting;
mod stopping;
mod versions;
mod winding;
