//! The command line, the configuration, and `init`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod commands;
mod config;
mod explain;
mod init;
mod output;
mod vectors;

use chat_signer_testkit as common;
