//! The server over real sockets: HTTP, TLS, listeners, reload, metrics and the audit log.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit_log;
mod edge;
mod http;
mod metrics;
mod openapi;
mod reload;
mod tls;

use chat_signer_testkit as common;
