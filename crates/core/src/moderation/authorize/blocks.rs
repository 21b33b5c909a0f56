//! Blocks. Users block conversations only for themselves.

use super::super::entry::{EntryKind, ModerationEntry};
use super::reject_reason::RejectReason;
use super::sanctions::{app_suffix, applies_in};
use super::user_command::{EntryChanges, UserCommand};
use crate::policy::{Block, EntryRef, UserEntry, UserEntryKind};

/// The maximum number of blocks per user. Any user can block any name, so without a limit any user could fill the
/// store.
const MAX_BLOCKS_PER_USER: usize = 1000;

impl UserCommand<'_, '_> {
    pub(super) fn block(&self) -> Result<EntryChanges, RejectReason> {
        let (user, conversation, app) = (self.user.to_owned(), self.command.scope.clone(), self.command.app.clone());
        let work = self.set_entry(ModerationEntry::Block(Block { user, conversation, app, origin: self.origin() }));
        let blocks = self.index.entries().all_about(self.user).filter(|entry| entry.kind() == UserEntryKind::Block);
        if !work.0.is_empty() && blocks.count() >= MAX_BLOCKS_PER_USER {
            return Err(RejectReason::Conflict(format!(
                "the user already has {MAX_BLOCKS_PER_USER} blocks: lift some of them"
            )));
        }
        Ok(work)
    }

    pub(super) fn lift_block(&self) -> Result<EntryChanges, RejectReason> {
        let is_here = |record: &ModerationEntry| {
            let here = record.scope().is_some_and(|scope| *scope.home_conversation() == self.command.scope);
            here && record.app() == self.command.app.as_ref()
        };
        let gone: Vec<ModerationEntry> =
            self.index.entries_of_user(EntryKind::Blocks, self.user).into_iter().filter(is_here).collect();
        let is_gone =
            |block: &Block| gone.iter().any(|gone| matches!(gone, ModerationEntry::Block(own) if own == block));
        for entry_index in [self.policy().entries(), self.index.entries()] {
            for app in &self.apps {
                let near = entry_index.entries_near(self.user, app.name(), Some(&self.command.scope));
                let here = near.filter(|entry| applies_in(entry.scope(), &self.command.scope)).map(EntryRef::to_entry);
                let mut blocks =
                    here.filter_map(|entry| if let UserEntry::Block(block) = entry { Some(block) } else { None });
                if let Some(left) = blocks.find(|block| !is_gone(block)) {
                    return Err(still_blocked_reason(&left));
                }
            }
        }
        Ok((Vec::new(), gone))
    }
}

fn still_blocked_reason(Block { conversation, app, origin, .. }: &Block) -> RejectReason {
    match origin.line() {
        Some(line) => RejectReason::File(line, format!("the user is blocked in {conversation}")),
        None => RejectReason::Conflict(format!(
            "the user is blocked in {conversation}{}: lift that entry",
            app_suffix(app.as_ref())
        )),
    }
}
