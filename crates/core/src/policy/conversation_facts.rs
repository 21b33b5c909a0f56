//! The facts about a conversation, for one request.

use std::sync::Arc;

use crate::model::{ConversationKind, Pattern, Role};

/// The facts about one conversation, from the facts server. They are complete for the users that the server was asked
/// about: such a user has no role there if the facts name none. Only the entries of the policy file and of moderation
/// precede the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationFacts {
    /// The exact name of the conversation.
    pub(super) scope: Pattern,
    pub(super) details: Option<ConversationDetails>,
    /// The users that the facts server was asked about, or `None` for all users. The facts say nothing about other
    /// users.
    about: Option<Arc<[String]>>,
}

/// The properties of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationDetails {
    /// The kind, if the facts give one.
    pub kind: Option<ConversationKind>,
    /// The users and their roles. If a user has several roles, the strongest counts.
    pub roles: Vec<(String, Role)>,
    /// The users that the conversation has blocked. They cannot join and cannot be invited.
    pub blocked: Vec<String>,
}

impl ConversationFacts {
    /// Makes facts about a conversation that exists.
    pub fn existing(conversation: impl Into<String>, details: ConversationDetails) -> ConversationFacts {
        ConversationFacts { scope: Pattern::Exact(conversation.into()), details: Some(details), about: None }
    }

    /// Makes facts about a conversation that does not exist.
    pub fn missing(conversation: impl Into<String>) -> ConversationFacts {
        ConversationFacts { scope: Pattern::Exact(conversation.into()), details: None, about: None }
    }

    /// Limits the facts to these users.
    #[must_use]
    pub fn about(self, users: Arc<[String]>) -> ConversationFacts {
        ConversationFacts { about: Some(users), ..self }
    }

    /// Returns the name of the conversation.
    pub fn conversation(&self) -> &str {
        self.scope.prefix()
    }

    /// Returns whether the conversation exists.
    pub fn exists(&self) -> bool {
        self.details.is_some()
    }

    /// Returns the approximate memory use of the facts, in bytes: the names, and a fixed amount for each name.
    pub fn memory_size(&self) -> usize {
        let own = size_of::<ConversationFacts>() + self.conversation().len();
        let details = self.details.iter();
        let told = details.flat_map(|details| details.roles.iter().map(|(name, _)| name).chain(&details.blocked));
        let names = told.chain(self.about.iter().flat_map(|about| about.iter()));
        own + names.map(|name| size_of::<(String, Role)>() + name.len()).sum::<usize>()
    }

    pub(super) fn kind(&self) -> Option<ConversationKind> {
        self.details.as_ref()?.kind
    }

    /// Returns whether the facts include this user, even if the user has no role.
    pub(super) fn includes_user(&self, user: &str) -> bool {
        self.about.as_ref().is_none_or(|about| about.iter().any(|one| one == user))
    }

    /// Returns whether the conversation has blocked this user.
    pub(super) fn has_blocked(&self, user: &str) -> bool {
        self.details.as_ref().is_some_and(|details| details.blocked.iter().any(|one| one == user))
    }
}

impl ConversationDetails {
    pub(super) fn role(&self, user: &str) -> Option<Role> {
        self.roles.iter().filter(|(name, _)| name == user).map(|(_, role)| *role).max()
    }
}
