//! Roles. A moderator gives, removes and leaves only roles that are weaker than the moderator's own role.

use std::sync::Arc;

use super::super::entry::{EntryKind, ModerationEntry, RoleAssignment};
use super::super::index::OWNER_ROLE;
use super::reject_reason::RejectReason;
use super::user_command::{EntryChanges, UserCommand};
use crate::policy::{EntryIndex, EntryRef, Rank, RankUncertainty, RoleBinding, UserEntry, UserEntryKind};

impl UserCommand<'_, '_> {
    pub(super) fn set_role(&self, word: &str) -> Result<EntryChanges, RejectReason> {
        if word == OWNER_ROLE {
            return Err(RejectReason::Conflict("an owner is set once, with the conversation".to_owned()));
        }
        self.check_listed(word)?;
        self.check_not_in_policy_file(self.user)?;
        self.check_no_other_role()?;
        Ok(self.set_entry(ModerationEntry::Role(self.role_assignment(Some(word)))))
    }

    /// Replaces the role with an entry that says that it was removed. Then no token and no other service gives it
    /// again. A command for own entries changes nothing if another author gave the role.
    pub(super) fn remove_role(&self, word: &str) -> Result<EntryChanges, RejectReason> {
        self.check_not_in_policy_file(self.user)?;
        self.check_no_other_role()?;
        let removed = ModerationEntry::Role(self.role_assignment(None));
        let before = self.index.find(&removed.key());
        if self.command.own_only && !before.as_ref().is_some_and(|before| self.is_own(before.origin())) {
            return Ok((Vec::new(), Vec::new()));
        }
        self.check_unlisted_role(before.as_ref(), word)?;
        let was_removed = before.is_some_and(|before| before.has_same_content(&removed));
        for rank in self.apps.iter().map(|app| self.rank(self.user, app)) {
            match self.removal_obstacle_reason(&rank, word) {
                Some(_) if was_removed && !self.has_role(&rank, word) => return Ok((Vec::new(), Vec::new())),
                Some(obstacle) => return Err(obstacle),
                None => {}
            }
        }
        if !self.is_service() {
            self.check_outranks_remaining_role()?;
        }
        Ok(self.set_entry(removed))
    }

    /// Checks a role that the policy does not list, or no longer lists. It is removed by its own name, if the stored
    /// entry has this name.
    fn check_unlisted_role(&self, before: Option<&ModerationEntry>, word: &str) -> Result<(), RejectReason> {
        let held = match before {
            Some(ModerationEntry::Role(RoleAssignment { role: None, .. })) => return Ok(()),
            Some(ModerationEntry::Role(RoleAssignment { role: Some(held), .. })) => Some(&**held),
            _ => None,
        };
        match held {
            Some(held) if held == word => Ok(()),
            Some(held) if self.check_listed(held).is_err() => Err(different_role_reason(held, word)),
            _ if self.check_listed(word).is_err() => Err(RejectReason::Conflict(format!(
                "the policy lists no role {word}, and the user has no stored role of that name there"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns why the role cannot be removed in this scope: the user has another role, or a wider scope gives the
    /// role.
    fn removal_obstacle_reason(&self, rank: &Rank, word: &str) -> Option<RejectReason> {
        let held = self.role_hierarchy().name(rank.held?);
        if held != word {
            return Some(different_role_reason(held, word));
        }
        let wider = rank.scope.as_ref().filter(|scope| **scope != self.command.scope)?;
        Some(RejectReason::Conflict(format!("the user is {word} by a role in {wider}: change that role")))
    }

    fn has_role(&self, rank: &Rank, word: &str) -> bool {
        rank.held.is_some_and(|held| self.role_hierarchy().name(held) == word)
    }

    /// Returns the assignment of a role, or the removal of a role.
    fn role_assignment(&self, role: Option<&str>) -> RoleAssignment {
        RoleAssignment {
            user: self.user.to_owned(),
            scope: self.command.scope.clone(),
            app: self.command.app.clone(),
            role: role.map(Arc::from),
            origin: self.origin(),
        }
    }

    pub(super) fn check_listed(&self, word: &str) -> Result<(), RejectReason> {
        let known = self.role_hierarchy().find(word).is_some();
        if known { Ok(()) } else { Err(RejectReason::Invalid(format!("the policy lists no role {word}"))) }
    }

    /// Checks that the policy file does not set the user's role. If it does, only the policy file decides.
    pub(super) fn check_not_in_policy_file(&self, user: &str) -> Result<(), RejectReason> {
        let line = self.apps.iter().find_map(|app| self.policy().line_of_role(user, app.name(), &self.command.scope));
        line.map_or(Ok(()), |line| Err(RejectReason::File(line, "the role there is set".to_owned())))
    }

    /// Checks that the user does not own the conversation, and has no role in the same scope for other apps. A role for
    /// other apps would remain in force.
    fn check_no_other_role(&self) -> Result<(), RejectReason> {
        let here = self.command.scope.exact().map(|id| self.index.conversations_of(id)).into_iter().flatten();
        let mut known = here.filter(|conversation| !conversation.forgotten && self.is_about(conversation.app.as_ref()));
        if known.any(|conversation| conversation.owner.as_deref() == Some(self.user)) {
            return Err(RejectReason::Conflict("the user is the owner, and an owner is set once".to_owned()));
        }
        let roles = self.index.entries_with_scope(EntryKind::Roles, self.user, &self.command.scope);
        let held = |record: &&ModerationEntry| matches!(record, ModerationEntry::Role(own) if own.role.is_some());
        let mut others = roles.iter().filter(held).filter(|record| record.app() != self.command.app.as_ref());
        let Some(other) = others.find(|record| self.is_about(record.app())) else { return Ok(()) };
        let where_ = other.app().map_or_else(|| "all apps".to_owned(), |app| format!("the app {app}"));
        Err(RejectReason::Conflict(format!("the user has a role there for {where_}: change that role")))
    }

    pub(super) fn check_outranks_role(&self, word: &str) -> Result<(), RejectReason> {
        let given = self.role_hierarchy().find(word);
        if given.is_none() || self.own_role() <= given {
            return Err(RejectReason::NotOutranked(format!("the role {word} is not weaker than the moderator's own")));
        }
        self.check_outranks_user()
    }

    pub(super) fn check_outranks_user(&self) -> Result<(), RejectReason> {
        if self.outranks(self.user) {
            return Ok(());
        }
        let sentence = if self.apps.iter().any(|app| self.rank(self.user, app).doubt == Some(RankUncertainty::Unlisted))
        {
            "the policy does not list the user's role there, so nobody outranks the user: a service can remove \
             the role, or give another"
        } else {
            "the user's role there is not weaker than the moderator's"
        };
        Err(RejectReason::NotOutranked(sentence.to_owned()))
    }

    /// Checks that the role that remains after the removal is weaker than the moderator's role.
    fn check_outranks_remaining_role(&self) -> Result<(), RejectReason> {
        let moderation = self.entries_with_role(self.role_assignment(None).into());
        let is_weaker = |app: &&_| {
            self.rank(&self.command.client, app).outranks(&self.rank_with_entries(&moderation, self.user, app))
        };
        if self.apps.iter().all(is_weaker) {
            return Ok(());
        }
        Err(RejectReason::NotOutranked("the remaining role is not weaker than the moderator's".to_owned()))
    }

    /// Returns all moderation entries of the user, with this role in place of the stored role.
    fn entries_with_role(&self, role: RoleBinding) -> EntryIndex {
        let mut moderation = EntryIndex::default();
        for entry in self.index.entries().all_about(self.user) {
            moderation.add(self.user, entry.to_entry());
        }
        let is_replaced = |entry: EntryRef<'_>| {
            entry.kind() == UserEntryKind::Role && !entry.is_listed() && entry.app() == role.app.as_ref()
        };
        moderation.remove(self.user, &role.scope, is_replaced);
        moderation.add(self.user, UserEntry::Role(role));
        moderation
    }
}

fn different_role_reason(held: &str, word: &str) -> RejectReason {
    RejectReason::Conflict(format!("the role there is {held}, not {word}"))
}
