//! chat-signer: signs the actions of clients of a hosted chat. It authenticates the callers and applies a policy.
//!
//! The core of the program makes decisions and signatures and has no side effects. A thin outer layer does the input
//! and output. To read the code, follow a request: [`http`] receives it, [`authn`] authenticates the caller, [`vendor`]
//! parses the requested actions, [`policy`] grants or denies a `Permit`, and [`vendor`] turns the permit into a
//! signature or token.

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
