//! The repository: the documentation, the deployment files and the layers of the code.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deploy;
mod docs;
mod layers;

use chat_signer_testkit as common;
