//! No secret, token or signature is given away: not in logs at their most talkative, errors, the admin listener, `Debug` output or what
//! the command line says. Each secret here is unlike any other text, and a dozen characters of it, in the usual encodings, count.
//!
//! What a caller gives as an identifier is one, whatever it looks like: ids of clients, conversations, channels and requests stand in the
//! logs. And a signature may stand in the answer to who asked for it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod broken;
mod commands;
mod debug;
mod echoed;
mod misplaced;
mod world;
