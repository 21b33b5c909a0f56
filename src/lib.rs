//! chat-signer: signs what a hosted chat's clients may do, for callers it has authenticated, under a policy.
//!
//! A pure core decides and signs; a thin shell talks to the world. Read it in the order in which a request goes through it:
//! [`http`] takes it in, [`authn`] finds out who asks, [`vendor`] understands what is asked, [`policy`] gives or withholds a
//! `Permit`, and [`vendor`] again turns the permit into a signature or token.

pub mod admin;
pub mod app;
pub mod authn;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod engine;
pub mod environment;
pub mod files;
pub mod http;
pub mod limits;
pub mod model;
pub mod moderation;
pub mod outbox;
pub mod policy;
pub mod random;
pub mod redaction;
pub mod reload;
pub mod runtime;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod vendor;
