//! Decides: gives or withholds a [`Permit`].

mod permit;
mod rule;

pub use permit::{Cause, Denial, Nearest, Permit, operators_permit};
pub use rule::{Binding, Block, ClientIs, Conversation, Document, Effect, Entries, Rule, Sanction, TargetsAre};
