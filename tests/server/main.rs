//! The server over real sockets: HTTP, TLS, listeners, reload, metrics and the audit log.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit_log;
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod edge;
mod http;
mod metrics;
mod openapi;
mod reload;
mod tls;
