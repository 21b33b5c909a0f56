//! TLS on both listeners, with certificates made here: handshakes, callers by certificate, and what clients do wrong.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authority;
mod bound_tokens;
mod callers;
mod client;
mod files;
mod handshakes;
mod probes;
mod replacing;
mod slow;
mod standing;
