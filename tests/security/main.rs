//! Attacks on tokens, requests, roles and secrets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod bad_input;
mod escalation;
mod leak;
mod token_attacks;

use chat_signer_testkit as common;
