//! The words that every other module shares: who calls, what is asked, and the patterns that name conversations.

mod action;
mod ask;
mod caller;
mod identifier;
pub mod json;
mod network;
mod pattern;
mod role;
mod text;
mod time;

pub use action::{Action, ActionSet};
pub use ask::{Ask, Grant, Need, Vendor};
pub use caller::{Caller, CallerKind, claim};
pub use identifier::{Flaw, check_identifier};
pub use network::Network;
pub use pattern::{BadPattern, Pattern, Template, room, unqualified};
pub use role::{Kind, Ladder, Role};
pub use text::{Unruly, check_text, escape_json, is_unruly, needs_escape};
pub use time::{Millis, NoTime};
