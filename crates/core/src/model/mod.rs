//! The types that all other modules share: callers, requested actions, and the patterns of conversation names.

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
pub use ask::{RequestedGrant, RequiredAction, SigningRequest, Vendor};
pub use caller::{Caller, CallerKind, claim};
pub use identifier::{IdentifierError, check_identifier};
pub use network::IpNetwork;
pub use pattern::{Pattern, PatternError, Template, room, unqualified};
pub use role::{ConversationKind, Role, RoleHierarchy};
pub use text::{ForbiddenCharacter, check_text, escape_json, is_disruptive, needs_escape};
pub use time::{Millis, TimeError};
