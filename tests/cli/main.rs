//! The command line, the configuration, and `init`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod config;
mod init;
mod output;
mod vectors;
