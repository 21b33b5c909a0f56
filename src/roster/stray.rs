//! Entries for apps that aren't configured: left behind where an app was given another name, or was taken out.

use super::entry::{Record, Table};
use super::index::Index;
use super::wish::{Deed, Wish};
use crate::engine::Engine;

/// That entries are for apps that aren't configured, and what to do about it. `None`: there are no such entries.
pub fn strays(index: &Index, engine: &Engine) -> Option<String> {
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

impl Wish {
    /// Whether it is about an app that isn't configured.
    pub(super) fn is_stray(&self, engine: &Engine) -> bool {
        self.app.as_ref().is_some_and(|app| engine.app(app).is_none())
    }
}

impl Deed {
    /// Whether it takes something back. That may be about an app that isn't configured any more.
    pub fn is_lifting(&self) -> bool {
        self.lifts().is_some()
    }

    /// Of what it takes something back.
    fn lifts(&self) -> Option<Table> {
        match self {
            Deed::LiftBan => Some(Table::Bans),
            Deed::LiftMute => Some(Table::Mutes),
            Deed::RemoveRole(_) => Some(Table::Roles),
            Deed::LiftBlock => Some(Table::Blocks),
            Deed::ForgetConversation => Some(Table::Conversations),
            Deed::Ban(_) | Deed::Mute(_) | Deed::SetRole(_) | Deed::Block | Deed::SetConversation { .. } => None,
        }
    }
}

impl Index {
    /// What a wish about an app that isn't configured takes away: all that is there, as none of it counts for anything.
    pub(super) fn left_behind(&self, wish: &Wish, name: &str) -> Vec<Record> {
        let is_meant = |record: &Record| {
            let is_here = record.scope().is_none_or(|scope| *scope.home() == wish.scope);
            is_here && record.app() == wish.app.as_ref()
        };
        let found = match wish.deed.lifts() {
            None => Vec::new(),
            Some(Table::Conversations) => {
                let id = wish.scope.exact().unwrap_or_default();
                self.conversations_of(id).cloned().map(Record::Conversation).collect()
            }
            Some(table) => self.of(table, name),
        };
        found.into_iter().filter(is_meant).collect()
    }
}
