//! The interface's own description is true: it has every route that there is and no other, and what is answered is what it says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod document;
mod errors;
mod examples;
mod routes;
mod schema;
mod settings;
