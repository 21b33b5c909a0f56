//! The harness of all tests. It starts the real program, a real Redis, and fake servers for everything that tests cannot
//! reach: vendors, receivers of webhooks, identity providers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

mod configuration;
pub mod fake_server;
pub mod fake_vendors;
mod http_client;
mod program;
pub mod redis;
pub mod redis_group;
pub mod redis_proxy;
mod token;
pub mod webhook_receiver;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chat_signer_core::model::Millis;
pub use configuration::{CALLER_SECRET, SERVICE_KEY, demonstration, directory, hash, lay_out};
pub use http_client::{Answer, Connection, get, post, request};
pub use program::{Log, Server, Setup, program};
pub use token::{token, token_by};

/// A time limit that only failing tests reach, also on a slow machine.
pub const LONG: Duration = Duration::from_secs(30);

/// Waits until the condition holds, and returns the time that this took.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "the condition does not hold: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// Returns the current time.
#[allow(clippy::disallowed_methods)] // Tests use the real clock.
pub fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap())
}
