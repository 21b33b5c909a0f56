//! The vendors' SDKs in Node.js, and the playground in a browser.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod browser;
mod sdks;
