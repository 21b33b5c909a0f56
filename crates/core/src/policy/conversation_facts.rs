//! What another service tells of a conversation, for one request.

use std::sync::Arc;

use crate::model::{ConversationKind, Pattern, Role};

/// What another service tells of one conversation. Nothing else is known of it then but what registers say: whom it leaves out, of those
/// whom it was asked about, has no role there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationFacts {
    /// The conversation, by its name.
    pub(super) scope: Pattern,
    pub(super) details: Option<ConversationDetails>,
    /// Whom it was asked about; everyone, where there is none. Of others it says nothing.
    about: Option<Arc<[String]>>,
}

/// What a conversation is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationDetails {
    /// Its kind, if that is told.
    pub kind: Option<ConversationKind>,
    /// Who is what there. Of several roles of one user the strongest counts.
    pub roles: Vec<(String, Role)>,
    /// Those whom it shuts out: they neither join nor are invited.
    pub shut_out: Vec<String>,
}

impl ConversationFacts {
    /// That the conversation is like this.
    pub fn known(conversation: impl Into<String>, details: ConversationDetails) -> ConversationFacts {
        ConversationFacts { scope: Pattern::Exact(conversation.into()), details: Some(details), about: None }
    }

    /// That there is no such conversation.
    pub fn unknown(conversation: impl Into<String>) -> ConversationFacts {
        ConversationFacts { scope: Pattern::Exact(conversation.into()), details: None, about: None }
    }

    /// The same, told of these users alone.
    #[must_use]
    pub fn about(self, users: Arc<[String]>) -> ConversationFacts {
        ConversationFacts { about: Some(users), ..self }
    }

    /// Which conversation it is about.
    pub fn conversation(&self) -> &str {
        self.scope.prefix()
    }

    /// Whether there is such a conversation.
    pub fn is_known(&self) -> bool {
        self.details.is_some()
    }

    /// How many bytes its names take, with something for each.
    pub fn size(&self) -> usize {
        let own = size_of::<ConversationFacts>() + self.conversation().len();
        let details = self.details.iter();
        let told = details.flat_map(|details| details.roles.iter().map(|(name, _)| name).chain(&details.shut_out));
        let names = told.chain(self.about.iter().flat_map(|about| about.iter()));
        own + names.map(|name| size_of::<(String, Role)>() + name.len()).sum::<usize>()
    }

    pub(super) fn kind(&self) -> Option<ConversationKind> {
        self.details.as_ref()?.kind
    }

    /// Whether it says what this user is there, and be it nothing.
    pub(super) fn is_about(&self, user: &str) -> bool {
        self.about.as_ref().is_none_or(|about| about.iter().any(|one| one == user))
    }

    /// Whether the conversation lets this user neither join nor be invited.
    pub(super) fn shuts_out(&self, user: &str) -> bool {
        self.details.as_ref().is_some_and(|details| details.shut_out.iter().any(|one| one == user))
    }
}

impl ConversationDetails {
    pub(super) fn role(&self, user: &str) -> Option<Role> {
        self.roles.iter().filter(|(name, _)| name == user).map(|(_, role)| *role).max()
    }
}
