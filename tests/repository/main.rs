//! The repository: the documentation, the deployment files and the layers of the code.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;
mod deploy;
mod docs;
mod layers;
