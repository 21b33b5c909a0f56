//! Entries for apps that aren't configured: left behind where an app was given another name, or was taken out.

use super::command::{CommandKind, ModerationCommand};
use super::entry::{EntryKind, ModerationEntry};
use super::index::ModerationIndex;
use crate::engine::Engine;

/// That entries are for apps that aren't configured, and what to do about it. `None`: there are no such entries.
pub fn strays(index: &ModerationIndex, engine: &Engine) -> Option<String> {
    let (mut told, mut all) = (Vec::new(), 0);
    for (app, entries) in index.apps().filter(|(app, _)| engine.app(app).is_none()) {
        told.push(format!("{app} ({entries})"));
        all += entries;
    }
    let (entries, are) = if all == 1 { ("entry", "is") } else { ("entries", "are") };
    (all > 0).then(|| {
        format!(
            "{all} {entries} {are} for apps that are not configured and so count for nothing: {}. Give the apps these names again; or \
             lift the entries, naming the app; or move them: `chat-signer store export`, change `app`, `chat-signer store import --replace`",
            told.join(", ")
        )
    })
}

impl ModerationCommand {
    /// Whether it is about an app that isn't configured.
    pub(super) fn is_stray(&self, engine: &Engine) -> bool {
        self.app.as_ref().is_some_and(|app| engine.app(app).is_none())
    }
}

impl CommandKind {
    /// Whether it takes something back. That may be about an app that isn't configured any more.
    pub fn is_lifting(&self) -> bool {
        self.lifts().is_some()
    }

    /// Of what it takes something back.
    fn lifts(&self) -> Option<EntryKind> {
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
    /// What a wish about an app that isn't configured takes away: all that is there, as none of it counts for anything.
    pub(super) fn left_behind(&self, wish: &ModerationCommand, name: &str) -> Vec<ModerationEntry> {
        let is_meant = |record: &ModerationEntry| {
            let is_here = record.scope().is_none_or(|scope| *scope.home() == wish.scope);
            is_here && record.app() == wish.app.as_ref()
        };
        let found = match wish.deed.lifts() {
            None => Vec::new(),
            Some(EntryKind::Conversations) => {
                let id = wish.scope.exact().unwrap_or_default();
                self.conversations_of(id).cloned().map(ModerationEntry::Conversation).collect()
            }
            Some(table) => self.of(table, name),
        };
        found.into_iter().filter(is_meant).collect()
    }
}
