//! Bans and mutes: each author has one of its own in a place, and the strictest holds.

use std::sync::Arc;

use super::super::command::SanctionTerms;
use super::super::entry::{EntryKind, ModerationEntry};
use super::user_command::UserCommand;
use super::{EntryChanges, RejectReason};
use crate::model::{CallerKind, Millis, Pattern};
use crate::policy::{EntryAuthor, EntryOrigin, Sanction, UserEntry};

impl UserCommand<'_, '_> {
    pub(super) fn sanction(
        &self,
        make: fn(Sanction) -> ModerationEntry,
        terms: &SanctionTerms,
    ) -> Result<EntryChanges, RejectReason> {
        // What is over when it begins would only take the place of one that isn't.
        if terms.until.is_some_and(|until| until <= self.judge.now) {
            return Err(RejectReason::Unfit("`until` must be in the future".to_owned()));
        }
        Ok(self.put(make(Sanction {
            user: self.user.to_owned(),
            scope: self.wish.scope.clone(),
            app: self.wish.app.clone(),
            until: terms.until,
            reason: terms.reason.clone(),
            origin: self.origin(),
        })))
    }

    /// Takes away the bans or mutes of just this place. All of them, or none: it is done only if nothing keeps it from having an effect.
    pub(super) fn lift(&self, table: EntryKind) -> Result<EntryChanges, RejectReason> {
        let is_here = |record: &ModerationEntry| {
            let here = record.scope().is_some_and(|scope| *scope.home() == self.wish.scope);
            here && record.app() == self.wish.app.as_ref() && is_on(record.until(), self.judge.now)
        };
        let gone: Vec<ModerationEntry> = self.index.of(table, self.user).into_iter().filter(is_here).collect();
        if let Some(by) = gone.iter().map(ModerationEntry::origin).find(|origin| !self.may_lift(origin)) {
            let sentence = format!("it was made {by}, whom only its author or who outranks it may overrule");
            return Err(RejectReason::NotOutranked(sentence));
        }
        let registers = [self.policy().register(), self.index.register()];
        let near = registers.into_iter().flat_map(|register| self.apps.iter().map(move |app| (register, *app)));
        let near = near.flat_map(|(register, app)| register.about(self.user, app.name(), Some(&self.wish.scope)));
        let holding = near.filter_map(|entry| self.holding(table, entry));
        let mut left = holding.filter(|left| !gone.iter().any(|gone| is_sanction(gone, left)));
        left.next().map_or(Ok((Vec::new(), gone)), |left| Err(still_held(table, left)))
    }

    /// Whether the moderator may take away what somebody has set: who outranks what that was then, and what it is now.
    fn may_lift(&self, origin: &EntryOrigin) -> bool {
        let Some(EntryAuthor { kind, subject, role }) = origin.author() else { return false };
        if self.is_service() || (*kind, subject) == (self.author.kind, &self.author.subject) {
            return true;
        }
        let then = role.as_deref().map(|word| self.ladder().role(word));
        *kind == CallerKind::User && then != Some(None) && self.own_role() > then.flatten() && self.outranks(subject)
    }

    /// A ban or mute of a table that holds throughout the place.
    fn holding<'e>(&self, table: EntryKind, entry: &'e UserEntry) -> Option<&'e Sanction> {
        let sanction = match entry {
            UserEntry::Ban(ban) if table == EntryKind::Bans => ban,
            UserEntry::Mute(mute) if table == EntryKind::Mutes => mute,
            _ => return None,
        };
        (holds_in(&sanction.scope, &self.wish.scope) && is_on(sanction.until, self.judge.now)).then_some(sanction)
    }
}

fn still_held(table: EntryKind, Sanction { scope, app, origin, .. }: &Sanction) -> RejectReason {
    let word = if table == EntryKind::Bans { "banned" } else { "muted" };
    match origin.line() {
        Some(line) => RejectReason::File(line, format!("it is {word} in {scope}")),
        None => RejectReason::Conflict(format!("it is {word} in {scope}{}: lift that", for_app(app.as_ref()))),
    }
}

/// Whether what has this scope goes on to hold in a place: throughout a pattern; in a room or in its channels.
pub(super) fn holds_in(scope: &Pattern, place: &Pattern) -> bool {
    place.affected().iter().any(|part| scope.holds_throughout(part))
}

/// " for the app ably"; nothing, where it is all.
pub(super) fn for_app(app: Option<&Arc<str>>) -> String {
    app.map_or_else(String::new, |app| format!(" for the app {app}"))
}

fn is_on(until: Option<Millis>, now: Millis) -> bool {
    until.is_none_or(|until| now < until)
}

fn is_sanction(record: &ModerationEntry, sanction: &Sanction) -> bool {
    matches!(record, ModerationEntry::Ban(own) | ModerationEntry::Mute(own) if own == sanction)
}
