//! chat-signer: signs what clients of a hosted chat may do, for callers that it has authenticated, under a policy.
//!
//! The crate `chat-signer-core` decides and signs, and this crate is the server and the command line around it. A request takes this way:
//! [`server::http`] reads it, [`authn`] finds out who calls, [`vendor`] reads what the request asks for, [`policy`] grants or withholds a
//! `Permit`, and [`vendor`] turns the permit into a signature or a token.

pub use chat_signer_core::{authn, crypto, engine, model, policy, redaction, secret, vendor};

pub mod cli;
pub mod clock;
pub mod config;
pub mod environment;
pub mod files;
pub mod moderation;
pub mod random;
pub mod server;
pub mod telemetry;
pub mod upstream;
