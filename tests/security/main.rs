//! Attacks on tokens, requests, roles and secrets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod bad_input;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod escalation;
mod leak;
mod token_attacks;
