//! Roles and how they rank, and the kinds of conversations.

use std::fmt;
use std::sync::Arc;

/// A role, as its rank on the [`RoleHierarchy`]: a greater one outranks a lesser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(pub u8);

/// The roles that a policy knows, weakest first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RoleHierarchy {
    words: Arc<[String]>,
}

impl RoleHierarchy {
    /// The most roles that a policy may list.
    pub const MAX: usize = 64;

    /// A ladder of these words, weakest first.
    ///
    /// Words after the first [`RoleHierarchy::MAX`] are left out, and of a word that stands twice only the weaker place counts;
    /// the configuration refuses both before it comes to this.
    pub fn new(words: impl IntoIterator<Item = String>) -> RoleHierarchy {
        RoleHierarchy { words: words.into_iter().take(Self::MAX).collect() }
    }

    /// The role that this word names, if the policy lists it.
    pub fn role(&self, word: &str) -> Option<Role> {
        let rank = self.words.iter().position(|known| known == word)?;
        u8::try_from(rank).ok().map(Role)
    }

    /// The word for this role.
    pub fn word(&self, role: Role) -> &str {
        self.words.get(usize::from(role.0)).map_or("", String::as_str)
    }

    /// Every word, weakest first.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// What sort of conversation it is. LeanCloud's four; elsewhere all are groups unless the policy says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConversationKind {
    /// An ordinary conversation, at LeanCloud of up to 500 members.
    Group,
    /// An open room without a member list: clients only join and leave it themselves.
    Chatroom,
    /// A short-lived one of up to 10 members, whose id starts with `_tmp:`.
    Temporary,
    /// A service account's: clients only join and leave it themselves.
    System,
}

impl ConversationKind {
    /// Every kind, in the order in which they are documented.
    pub const ALL: [ConversationKind; 4] =
        [ConversationKind::Group, ConversationKind::Chatroom, ConversationKind::Temporary, ConversationKind::System];

    /// What the ids of temporary conversations start with.
    pub const TEMPORARY_PREFIX: &str = "_tmp:";

    /// The kind of a conversation of which nothing is known but its id.
    pub fn by_id(id: &str) -> ConversationKind {
        if id.starts_with(Self::TEMPORARY_PREFIX) { ConversationKind::Temporary } else { ConversationKind::Group }
    }

    /// How the policy file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConversationKind::Group => "group",
            ConversationKind::Chatroom => "chatroom",
            ConversationKind::Temporary => "temporary",
            ConversationKind::System => "system",
        }
    }

    /// The kind that the policy file spells so.
    pub fn parse(word: &str) -> Option<ConversationKind> {
        ConversationKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ConversationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
