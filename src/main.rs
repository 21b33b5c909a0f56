//! The `chat-signer` program.

fn main() {}
