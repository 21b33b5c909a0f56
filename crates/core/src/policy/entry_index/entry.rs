//! An entry about a user, outside an index.

use std::sync::Arc;

use crate::model::{Pattern, Role};
use crate::policy::rule::{Block, EntryOrigin, Sanction};

/// One entry about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEntry {
    /// A ban.
    Ban(Sanction),
    /// A mute.
    Mute(Sanction),
    /// The user does not want to be added to a conversation.
    Block(Block),
    /// A role in a scope.
    Role(RoleBinding),
}

/// A user's role in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleBinding {
    /// The scope.
    pub scope: Pattern,
    /// The app that the role is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The role.
    pub grant: RoleGrant,
    /// Whether the role comes from the conversation's list of owner, managers and members, not from a binding.
    pub listed: bool,
    /// Where the entry comes from.
    pub origin: EntryOrigin,
}

/// The role of a [`RoleBinding`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleGrant {
    /// This role. `None` means that the policy does not list the role.
    Role(Option<Role>),
    /// The role that has this name in the current policy.
    RoleName(Arc<str>),
    /// The role in this scope was removed. The role of a wider scope counts here, or the default role. Later sources do
    /// not count.
    Removed,
    /// The former role of the owner of a conversation that was forgotten. It grants nothing, but nobody outranks this
    /// user in the conversation.
    Remembered,
}

impl UserEntry {
    /// Returns the scope of the entry.
    pub fn scope(&self) -> &Pattern {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => &sanction.scope,
            UserEntry::Block(block) => &block.conversation,
            UserEntry::Role(binding) => &binding.scope,
        }
    }

    /// Returns the ban or mute, if the entry is one.
    pub fn into_sanction(self) -> Option<Sanction> {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => Some(sanction),
            UserEntry::Block(_) | UserEntry::Role(_) => None,
        }
    }
}
