//! The roles and their order, and the kinds of conversations.

use std::fmt;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A role, as its rank in the [`RoleHierarchy`]. A greater rank outranks a smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(pub u8);

/// The roles of a policy, the weakest first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RoleHierarchy {
    words: Arc<[String]>,
}

impl RoleHierarchy {
    /// The maximum number of roles that a policy may list.
    pub const MAX: usize = 64;

    /// Makes a hierarchy of these role names, the weakest first.
    ///
    /// Names after the first [`RoleHierarchy::MAX`] are ignored. If a name occurs twice, only its weaker position
    /// counts. The configuration check rejects both cases before.
    pub fn new(words: impl IntoIterator<Item = String>) -> RoleHierarchy {
        RoleHierarchy { words: words.into_iter().take(Self::MAX).collect() }
    }

    /// Returns the role with this name, if the policy lists it.
    pub fn find(&self, word: &str) -> Option<Role> {
        let rank = self.words.iter().position(|known| known == word)?;
        u8::try_from(rank).ok().map(Role)
    }

    /// Returns the name of this role.
    pub fn name(&self, role: Role) -> &str {
        self.words.get(usize::from(role.0)).map_or("", String::as_str)
    }

    /// Returns the names of all roles, the weakest first.
    pub fn names(&self) -> &[String] {
        &self.words
    }
}

/// The kind of a conversation. These are LeanCloud's four kinds. With other vendors, every conversation is a group
/// unless the policy says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationKind {
    /// An ordinary conversation. At LeanCloud, it has up to 500 members.
    Group,
    /// An open room without a member list. Clients can only join and leave it themselves.
    Chatroom,
    /// A short-lived conversation of up to 10 members. Its id starts with `_tmp:`.
    Temporary,
    /// A conversation of a service account. Clients can only join and leave it themselves.
    System,
}

impl ConversationKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [ConversationKind; 4] =
        [ConversationKind::Group, ConversationKind::Chatroom, ConversationKind::Temporary, ConversationKind::System];

    /// The prefix of the ids of temporary conversations.
    pub const TEMPORARY_PREFIX: &str = "_tmp:";

    /// Returns the kind of a conversation of which only the id is known.
    pub fn from_id(id: &str) -> ConversationKind {
        if id.starts_with(Self::TEMPORARY_PREFIX) { ConversationKind::Temporary } else { ConversationKind::Group }
    }

    /// Returns the name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            ConversationKind::Group => "group",
            ConversationKind::Chatroom => "chatroom",
            ConversationKind::Temporary => "temporary",
            ConversationKind::System => "system",
        }
    }

    /// Returns the kind with this name in the policy file.
    pub fn parse(word: &str) -> Option<ConversationKind> {
        ConversationKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ConversationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
