//! A program that is killed at random moments and started again: nothing that it has acknowledged is lost, and all that it is to carry to
//! vendors and webhooks arrives. What is random depends on one number, which a failing test prints, and on the system's timing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
#[path = "../outbox/receiver.rs"]
mod receiver;
#[allow(dead_code)]
#[path = "../outbox/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../outbox/vendors.rs"]
mod vendors;

mod chance;
mod client;
mod deliveries;
mod demands;
mod kept;
mod signer;
mod vendor;
mod writes;
