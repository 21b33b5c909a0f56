//! Orphaned entries: entries for apps that are not configured, because an app was renamed or removed.

use super::command::{CommandKind, ModerationCommand};
use super::entry::{EntryKind, ModerationEntry};
use super::index::ModerationIndex;
use crate::engine::Engine;

/// Returns a warning about entries for apps that are not configured, with the possible fixes. `None`: there are none.
pub fn orphaned_entries_warning(index: &ModerationIndex, engine: &Engine) -> Option<String> {
    let (mut told, mut all) = (Vec::new(), 0);
    for (app, entries) in index.apps().filter(|(app, _)| engine.app(app).is_none()) {
        told.push(format!("{app} ({entries})"));
        all += entries;
    }
    let (entries, are) = if all == 1 { ("entry", "is") } else { ("entries", "are") };
    (all > 0).then(|| {
        format!(
            "{all} {entries} {are} for apps that are not configured and therefore without effect: {}. Give the apps \
             these names again, lift the entries of these apps, or move them: `chat-signer store export`, change \
             `app`, `chat-signer store import --replace`",
            told.join(", ")
        )
    })
}

impl ModerationCommand {
    /// Returns whether the command concerns an app that is not configured.
    pub(super) fn is_for_unconfigured_app(&self, engine: &Engine) -> bool {
        self.app.as_ref().is_some_and(|app| engine.app(app).is_none())
    }
}

impl CommandKind {
    /// Returns whether the command lifts or removes something. Such a command may concern an app that is no longer
    /// configured.
    pub fn is_lifting(&self) -> bool {
        self.lifted_kind().is_some()
    }

    /// Returns the table from which the command lifts or removes entries.
    fn lifted_kind(&self) -> Option<EntryKind> {
        match self {
            CommandKind::LiftBan => Some(EntryKind::Bans),
            CommandKind::LiftMute => Some(EntryKind::Mutes),
            CommandKind::RemoveRole(_) => Some(EntryKind::Roles),
            CommandKind::LiftBlock => Some(EntryKind::Blocks),
            CommandKind::ForgetConversation => Some(EntryKind::Conversations),
            CommandKind::Ban(_)
            | CommandKind::Mute(_)
            | CommandKind::SetRole(_)
            | CommandKind::Block
            | CommandKind::SetConversation { .. } => None,
        }
    }
}

impl ModerationIndex {
    /// Returns the entries that a command about an app that is not configured deletes: all matching entries, because
    /// they have no effect.
    pub(super) fn orphaned_entries(&self, command: &ModerationCommand, name: &str) -> Vec<ModerationEntry> {
        let is_meant = |record: &ModerationEntry| {
            let is_here = record.scope().is_none_or(|scope| *scope.home_conversation() == command.scope);
            is_here && record.app() == command.app.as_ref()
        };
        let found = match command.kind.lifted_kind() {
            None => Vec::new(),
            Some(EntryKind::Conversations) => {
                let id = command.scope.exact().unwrap_or_default();
                self.conversations_of(id).cloned().map(ModerationEntry::Conversation).collect()
            }
            Some(table) => self.entries_of_user(table, name),
        };
        found.into_iter().filter(is_meant).collect()
    }
}
