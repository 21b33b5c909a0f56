//! Bans and mutes. Each author has a separate entry in a scope, and the strictest entry applies.

use std::sync::Arc;

use super::super::command::SanctionTerms;
use super::super::entry::{EntryKind, ModerationEntry};
use super::reject_reason::RejectReason;
use super::user_command::{EntryChanges, UserCommand};
use crate::model::{CallerKind, Pattern};
use crate::policy::{EntryAuthor, EntryOrigin, EntryRef, Sanction, UserEntry, UserEntryKind};

impl UserCommand<'_, '_> {
    pub(super) fn sanction(
        &self,
        make: fn(Sanction) -> ModerationEntry,
        terms: &SanctionTerms,
    ) -> Result<EntryChanges, RejectReason> {
        // A sanction that has already ended would only replace a sanction that is still in force.
        if terms.until.is_some_and(|until| until <= self.authorizer.now) {
            return Err(RejectReason::Invalid("`until` must be in the future".to_owned()));
        }
        Ok(self.set_entry(make(Sanction {
            user: self.user.to_owned(),
            scope: self.command.scope.clone(),
            app: self.command.app.clone(),
            until: terms.until,
            reason: terms.reason.clone(),
            origin: self.origin(),
        })))
    }

    /// Lifts all bans or mutes of exactly this scope, or none. None is lifted if the moderator must not lift one of
    /// them, or if another sanction would remain in force. A command for own entries lifts the moderator's own sanction,
    /// and others remain.
    pub(super) fn lift(&self, table: EntryKind) -> Result<EntryChanges, RejectReason> {
        let is_here = |record: &ModerationEntry| {
            let here = record.scope().is_some_and(|scope| *scope.home_conversation() == self.command.scope);
            let is_meant = !self.command.own_only || self.is_own(record.origin());
            here && is_meant && record.app() == self.command.app.as_ref() && record.is_in_force(self.authorizer.now)
        };
        let gone: Vec<ModerationEntry> =
            self.index.entries_of_user(table, self.user).into_iter().filter(is_here).collect();
        if let Some(by) = gone.iter().map(ModerationEntry::origin).find(|origin| !self.may_lift(origin)) {
            let sentence =
                format!("it was made {by}: only its author, or a moderator who outranks the author, can lift it");
            return Err(RejectReason::NotOutranked(sentence));
        }
        if self.command.own_only {
            return Ok((Vec::new(), gone));
        }
        let registers = [self.policy().entries(), self.index.entries()];
        let near = registers.into_iter().flat_map(|entry_index| self.apps.iter().map(move |app| (entry_index, *app)));
        let near = near
            .flat_map(|(entry_index, app)| entry_index.entries_near(self.user, app.name(), Some(&self.command.scope)));
        let holding = near.filter(|entry| self.is_sanction_in_force(table, *entry)).map(EntryRef::to_entry);
        let mut left = holding.filter_map(UserEntry::into_sanction);
        let left = left.find(|left| !gone.iter().any(|gone| gone.sanction() == Some(left)));
        left.map_or(Ok((Vec::new(), gone)), |left| Err(still_sanctioned_reason(table, &left)))
    }

    /// Returns whether the moderator may lift an entry. The moderator must be a service, be the author of the entry, or
    /// outrank both the role that the author had then and the role that the author has now.
    fn may_lift(&self, origin: &EntryOrigin) -> bool {
        let Some(EntryAuthor { kind, subject, role }) = origin.author() else { return false };
        if self.is_service() || self.is_own(origin) {
            return true;
        }
        let then = role.as_deref().map(|word| self.role_hierarchy().find(word));
        *kind == CallerKind::User && then != Some(None) && self.own_role() > then.flatten() && self.outranks(subject)
    }

    /// Returns whether the author of the command made the entry.
    pub(super) fn is_own(&self, origin: &EntryOrigin) -> bool {
        origin.author().is_some_and(|by| (by.kind, &by.subject) == (self.author.kind, &self.author.subject))
    }

    /// Returns whether an entry is in the table of bans or mutes, is in force, and applies in the scope of the command.
    fn is_sanction_in_force(&self, table: EntryKind, entry: EntryRef<'_>) -> bool {
        let kind = if table == EntryKind::Bans { UserEntryKind::Ban } else { UserEntryKind::Mute };
        entry.kind() == kind && applies_in(entry.scope(), &self.command.scope) && entry.is_in_force(self.authorizer.now)
    }
}

fn still_sanctioned_reason(table: EntryKind, Sanction { scope, app, origin, .. }: &Sanction) -> RejectReason {
    let word = if table == EntryKind::Bans { "banned" } else { "muted" };
    match origin.line() {
        Some(line) => RejectReason::File(line, format!("the user is {word} in {scope}")),
        None => RejectReason::Conflict(format!(
            "the user is {word} in {scope}{}: lift that entry",
            app_suffix(app.as_ref())
        )),
    }
}

/// Returns whether a sanction with this scope applies in a place: throughout a pattern, in a room, or in its channels.
pub(super) fn applies_in(scope: &Pattern, place: &Pattern) -> bool {
    place.affected_patterns().iter().any(|part| scope.applies_to_all(part))
}

/// Returns " for the app ably", or an empty text if the entry is for all apps.
pub(super) fn app_suffix(app: Option<&Arc<str>>) -> String {
    app.map_or_else(String::new, |app| format!(" for the app {app}"))
}
