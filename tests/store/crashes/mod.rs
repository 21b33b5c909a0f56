//! A program that is killed at random moments and started again: nothing that it has acknowledged is lost, and all that it is to carry to
//! vendors and webhooks arrives. What is random depends on one number, which a failing test prints, and on the system's timing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chance;
mod client;
mod deliveries;
mod demands;
mod kept;
mod signer;
mod vendor;
mod writes;
