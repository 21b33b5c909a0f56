//! Finds the users whose entries another author changed after the caller of a command saw them.

use std::collections::HashSet;

use serde::Deserialize;

use super::store::{ChangesSince, StoredChange};
use super::{ChangeError, ModerationReplica};
use crate::model::Pattern;
use crate::policy::EntryAuthor;
use chat_signer_core::moderation::{CommandKind, CommandOutcome, ModerationCommand, RejectReason, RejectedUser};

/// The users of a command whose entries of the same kind and scope another author changed.
pub(super) struct ConcurrentChanges<'a> {
    command: &'a ModerationCommand,
    author: &'a EntryAuthor,
    /// The last change that was read. At first: the version that the caller saw.
    pub(super) version: u64,
    users: HashSet<String>,
}

/// The parts of a stored event that are compared.
#[derive(Deserialize)]
struct ComparedEvent<'e> {
    r#type: &'e str,
    data: ComparedData,
}

#[derive(Deserialize)]
struct ComparedData {
    app: Option<String>,
    by: Option<EntryAuthor>,
    conversation: Option<String>,
    user: Option<String>,
}

impl<'a> ConcurrentChanges<'a> {
    pub(super) fn new(seen: u64, command: &'a ModerationCommand, author: &'a EntryAuthor) -> ConcurrentChanges<'a> {
        ConcurrentChanges { command, author, version: seen, users: HashSet::new() }
    }

    /// Reads the changes up to the version that the index has reached. If some of them are no longer kept, all users
    /// count as changed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub(super) async fn read(&mut self, moderation: &ModerationReplica) -> Result<(), ChangeError> {
        let (Some(store), head) = (moderation.store(), moderation.head().version) else {
            return Err(ChangeError::NoStore);
        };
        while self.version < head {
            match store.changes_since(self.version).await? {
                ChangesSince::Changes(changes) if !changes.is_empty() => changes.iter().for_each(|one| self.add(one)),
                _ => self.add_all_users(head),
            }
        }
        Ok(())
    }

    /// Rejects the users for which the command would change something although another author made a change.
    pub(super) fn reject(&self, outcome: &mut CommandOutcome) {
        let is_changed = |user: &str| self.users.contains(user) && !outcome.unchanged.iter().any(|known| known == user);
        let rejected: HashSet<String> = outcome.succeeded.extract_if(.., |user| is_changed(user)).collect();
        outcome.set.retain(|record| !rejected.contains(record.name()));
        outcome.deleted.retain(|record| !rejected.contains(record.name()));
        outcome.failed.extend(rejected.into_iter().map(|user| RejectedUser { user, reason: RejectReason::Changed }));
    }

    /// Makes all users count as changed, up to this version.
    pub(super) fn add_all_users(&mut self, version: u64) {
        self.users.extend(self.command.users.iter().cloned());
        self.version = version;
    }

    fn add(&mut self, change: &StoredChange) {
        for event in &change.events {
            let Ok(ComparedEvent { r#type, data }) = serde_json::from_str(event) else { continue };
            let (kind, _) = r#type.split_once('.').unwrap_or_default();
            if let Some(user) = data.user.as_ref().filter(|_| kind == self.event_kind() && self.concerns(&data)) {
                self.users.insert(user.clone());
            }
        }
        self.version = change.version;
    }

    fn concerns(&self, data: &ComparedData) -> bool {
        let scope = data.conversation.as_deref().map_or(Ok(Pattern::Everything), Pattern::parse);
        let is_here = scope.is_ok_and(|scope| scope.home_conversation() == self.command.scope.home_conversation());
        let apps = self.command.app.as_deref().zip(data.app.as_deref());
        let is_other = |by: &EntryAuthor| (by.kind, &by.subject) != (self.author.kind, &self.author.subject);
        is_here && apps.is_none_or(|(own, app)| own == app) && data.by.as_ref().is_some_and(is_other)
    }

    /// Returns the first part of the type of the events that the command causes.
    fn event_kind(&self) -> &'static str {
        match self.command.kind {
            CommandKind::Ban(_) | CommandKind::LiftBan => "ban",
            CommandKind::Mute(_) | CommandKind::LiftMute => "mute",
            CommandKind::SetRole(_) | CommandKind::RemoveRole(_) => "role",
            CommandKind::Block | CommandKind::LiftBlock => "block",
            CommandKind::SetConversation { .. } | CommandKind::ForgetConversation => "conversation",
        }
    }
}
