//! Moderation: the rules, the HTTP routes, the commands, and export and import.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod routes;
mod rules;
mod transfer;

use chat_signer_testkit as common;
use chat_signer_testkit::redis;
