//! Bad input over real sockets: each gets the right status and an answer that names what is wrong, and the next request is served.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bodies;
mod capabilities;
mod case;
mod headers;
mod identifiers;
mod queries;
mod routes;
mod wire;
