//! The program among other servers: issuers, session endpoints, fact servers, LeanCloud. All of them are here, over real sockets; the program's own
//! clock is stopped, so that hours pass when a test says so.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conversations;
mod facts;
mod keys;
mod metrics;
mod providers;
mod server;
mod sessions;
mod signer;
mod spans;
mod traces;

#[cfg(feature = "otlp")]
use chat_signer_testkit as common;
