//! The types that all other modules share: callers, requested actions, and the patterns of conversation names.

mod action;
mod caller;
mod identifier;
pub mod json;
mod network;
mod pattern;
mod role;
mod signing_request;
mod text;
mod time;
mod vendor;

pub use action::{Action, ActionSet};
pub use caller::{Caller, CallerKind, claim};
pub use identifier::{IdentifierError, check_identifier};
pub use network::IpNetwork;
pub use pattern::{Pattern, PatternError, Template, room, unqualified};
pub use role::{ConversationKind, Role, RoleHierarchy};
pub use signing_request::{RequestedGrant, RequiredAction, SigningRequest};
pub use text::{ForbiddenCharacter, check_text, escape_json, is_disruptive, needs_escape};
pub use time::{Millis, TimeError};
pub use vendor::Vendor;
pub(crate) use vendor::for_each_vendor;
