//! Conversations: their kind and their owner. The owner is set once.

use super::super::entry::{ModerationEntry, RegisteredConversation};
use super::super::index::OWNER_ROLE;
use super::reject_reason::RejectReason;
use super::user_command::{EntryChanges, UserCommand};
use crate::model::ConversationKind;

impl UserCommand<'_, '_> {
    pub(super) fn set_conversation(
        &self,
        kind: Option<ConversationKind>,
        owner: Option<&str>,
    ) -> Result<EntryChanges, RejectReason> {
        let id = self.check_conversation_id()?;
        let before = self.index.conversation(id, self.command.app.as_ref());
        let known = before.and_then(|before| before.owner.as_deref());
        if let Some(owner) = owner {
            self.check_owner(owner, known)?;
        }
        let returns = before.is_some_and(|before| before.forgotten) && known.is_some();
        if returns && !self.is_service() {
            return Err(RejectReason::NotOutranked("only services can restore a conversation's owner".to_owned()));
        }
        let own = ConversationKind::from_id(id);
        if own == ConversationKind::Temporary && kind.is_some_and(|kind| kind != own) {
            return Err(RejectReason::Invalid("a conversation whose id starts with `_tmp:` is temporary".to_owned()));
        }
        let kind = kind.or(before.map(|before| before.kind)).unwrap_or(own);
        let owner = owner.or(known).map(str::to_owned);
        let (id, app, origin) = (id.to_owned(), self.command.app.clone(), self.origin());
        Ok(self.set_entry(ModerationEntry::Conversation(RegisteredConversation {
            id,
            app,
            kind,
            owner,
            forgotten: false,
            origin,
        })))
    }

    /// Checks that `owner` can become the owner. `known` is the stored owner, if there is an owner.
    fn check_owner(&self, owner: &str, known: Option<&str>) -> Result<(), RejectReason> {
        if !self.is_service() {
            return Err(RejectReason::NotOutranked("only services can set a conversation's owner".to_owned()));
        }
        if known.is_some_and(|known| known != owner) {
            return Err(RejectReason::Conflict(
                "the conversation has another owner, and an owner is set once".to_owned(),
            ));
        }
        if owner == "*" {
            return Err(RejectReason::Invalid("`*` is not a user".to_owned()));
        }
        self.check_listed(OWNER_ROLE)?;
        self.check_not_in_policy_file(owner)
    }

    /// Forgets everything except the owner, because no other user must become the owner.
    pub(super) fn forget_conversation(&self) -> Result<EntryChanges, RejectReason> {
        let id = self.check_conversation_id()?;
        let before = self.index.conversation(id, self.command.app.as_ref());
        let Some(before) = before.filter(|before| !before.forgotten) else { return Ok((Vec::new(), Vec::new())) };
        let Some(owner) = before.owner.as_deref() else {
            return Ok((Vec::new(), vec![ModerationEntry::Conversation(before.clone())]));
        };
        if !self.is_service() && owner != self.command.client && !self.outranks(owner) {
            return Err(RejectReason::NotOutranked(
                "the owner would lose its role there, and the moderator does not outrank the owner".to_owned(),
            ));
        }
        Ok(self.set_entry(ModerationEntry::Conversation(RegisteredConversation {
            forgotten: true,
            origin: self.origin(),
            ..before.clone()
        })))
    }

    /// Returns the id of the conversation. Rejects the command if the policy file or an entry for other apps defines
    /// the conversation.
    fn check_conversation_id(&self) -> Result<&str, RejectReason> {
        let id = self.command.scope.exact().unwrap_or_default();
        let mut filed = self.policy().document().entries.conversations.iter().filter(|filed| filed.id == *id);
        if let Some(filed) = filed.find(|filed| self.is_about(filed.app.as_ref())) {
            return Err(RejectReason::File(filed.line, "the conversation is defined".to_owned()));
        }
        let mut others = self.index.conversations_of(id).filter(|other| other.app != self.command.app);
        if others.any(|other| self.is_about(other.app.as_ref())) {
            return Err(RejectReason::Conflict(
                "the conversation already has an entry for other apps: change that entry".to_owned(),
            ));
        }
        Ok(id)
    }
}
