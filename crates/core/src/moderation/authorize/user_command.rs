//! The part of a command that concerns one user, with the ranks of the moderator and the user.

use std::sync::Arc;

use super::super::command::{CommandKind, ModerationCommand};
use super::super::entry::{EntryKind, ModerationEntry};
use super::super::index::ModerationIndex;
use super::authorizer::CommandAuthorizer;
use super::reject_reason::RejectReason;
use crate::model::{Role, RoleHierarchy};
use crate::policy::{DecisionData, EntryAuthor, EntryIndex, EntryOrigin, Policy, Rank};
use crate::vendor::App;

/// The entries to set and the entries to delete.
pub(super) type EntryChanges = (Vec<ModerationEntry>, Vec<ModerationEntry>);

/// The part of a command that concerns one user.
pub(super) struct UserCommand<'j, 'a> {
    pub(super) authorizer: &'j CommandAuthorizer<'a>,
    pub(super) index: &'j ModerationIndex,
    pub(super) command: &'j ModerationCommand,
    pub(super) user: &'j str,
    /// The apps that the command concerns.
    pub(super) apps: Vec<&'a App>,
    pub(super) author: Arc<EntryAuthor>,
}

impl<'j, 'a> UserCommand<'j, 'a> {
    pub(super) fn new(
        authorizer: &'j CommandAuthorizer<'a>,
        index: &'j ModerationIndex,
        command: &'j ModerationCommand,
        user: &'j str,
    ) -> UserCommand<'j, 'a> {
        let apps = command.apps(authorizer.engine).collect();
        let mut part =
            UserCommand { authorizer, index, command, user, apps, author: Arc::new(authorizer.author(command)) };
        if !part.is_service() {
            // If the roles differ between apps, the strongest role counts: a moderator with a weaker role at an app
            // must not lift the entry there.
            let strongest = part.ranks(&command.client).filter_map(|rank| rank.strongest).max();
            Arc::make_mut(&mut part.author).role = strongest.map(|role| part.role_hierarchy().name(role).to_owned());
        }
        part
    }

    /// Checks the rules that no policy can relax. They apply to users who moderate. Only the policy limits services.
    pub(super) fn check_moderation_rules(&self) -> Result<(), RejectReason> {
        let acts_on_others = matches!(
            self.command.kind,
            CommandKind::Ban(_) | CommandKind::Mute(_) | CommandKind::SetRole(_) | CommandKind::RemoveRole(_)
        );
        if self.is_service() || !acts_on_others {
            return Ok(());
        }
        if !self.is_within_reach() {
            return Err(RejectReason::NoRole);
        }
        match &self.command.kind {
            CommandKind::SetRole(word) => self.check_outranks_role(word),
            _ => self.check_outranks_user(),
        }
    }

    /// Returns whether vendors may be updated again although the command changes nothing. Any moderator may lift bans
    /// of users who have no role here, under any number of names. These commands must not fill the queue.
    pub(super) fn may_enforce_again(&self) -> bool {
        let is_carried_out = matches!(
            self.command.kind,
            CommandKind::Ban(_) | CommandKind::LiftBan | CommandKind::Mute(_) | CommandKind::LiftMute
        );
        is_carried_out && (self.is_service() || self.is_within_reach())
    }

    /// Returns whether the user has a role in the scope, or the moderator has a role everywhere.
    fn is_within_reach(&self) -> bool {
        let within_reach =
            |app: &&App| self.rank(&self.command.client, app).is_everywhere || self.rank(self.user, app).is_bound;
        self.apps.iter().all(within_reach)
    }

    pub(super) fn changes(&self) -> Result<EntryChanges, RejectReason> {
        if self.command.is_for_unconfigured_app(self.authorizer.engine) {
            return Ok((Vec::new(), self.index.orphaned_entries(self.command, self.user)));
        }
        match &self.command.kind {
            CommandKind::Ban(terms) => self.sanction(ModerationEntry::Ban, terms),
            CommandKind::Mute(terms) => self.sanction(ModerationEntry::Mute, terms),
            CommandKind::LiftBan => self.lift(EntryKind::Bans),
            CommandKind::LiftMute => self.lift(EntryKind::Mutes),
            CommandKind::SetRole(word) => self.set_role(word),
            CommandKind::RemoveRole(word) => self.remove_role(word),
            CommandKind::Block => self.block(),
            CommandKind::LiftBlock => self.lift_block(),
            CommandKind::SetConversation { kind, owner } => self.set_conversation(*kind, owner.as_deref()),
            CommandKind::ForgetConversation => self.forget_conversation(),
        }
    }

    /// Sets an entry, unless an entry with the same content is stored.
    pub(super) fn set_entry(&self, record: ModerationEntry) -> EntryChanges {
        match self.index.find(&record.key()) {
            Some(before) if before.has_same_content(&record) => (Vec::new(), Vec::new()),
            _ => (vec![record], Vec::new()),
        }
    }

    /// Returns whether a service acts as itself.
    pub(super) fn is_service(&self) -> bool {
        self.command.client.is_empty()
    }

    pub(super) fn origin(&self) -> EntryOrigin {
        EntryOrigin::Runtime { author: Arc::clone(&self.author), at: self.authorizer.now }
    }

    pub(super) fn policy(&self) -> &'a Policy {
        &self.authorizer.engine.policy
    }

    pub(super) fn role_hierarchy(&self) -> &'a RoleHierarchy {
        &self.policy().document().role_hierarchy
    }

    /// Returns whether an entry for this app, or for all apps, applies to an app of the command.
    pub(super) fn is_about(&self, app: Option<&Arc<str>>) -> bool {
        app.is_none() || self.command.app.is_none() || app == self.command.app.as_ref()
    }

    /// Returns the weakest role of the moderator in the scope at any of the apps. `None`: at an app, the moderator has
    /// no role, or the role is uncertain.
    pub(super) fn own_role(&self) -> Option<Role> {
        self.ranks(&self.command.client).map(|rank| rank.weakest.filter(|_| rank.doubt.is_none())).min().flatten()
    }

    /// Returns whether the moderator outranks the user at every app.
    pub(super) fn outranks(&self, user: &str) -> bool {
        self.apps.iter().all(|app| self.rank(&self.command.client, app).outranks(&self.rank(user, app)))
    }

    fn ranks(&self, user: &str) -> impl Iterator<Item = Rank> {
        self.apps.iter().map(|app| self.rank(user, app))
    }

    /// Returns the rank of the user in the scope at an app.
    pub(super) fn rank(&self, user: &str, app: &App) -> Rank {
        self.rank_with_entries(self.index.entries(), user, app)
    }

    /// Returns the rank of the user according to other moderation entries.
    pub(super) fn rank_with_entries(&self, moderation: &EntryIndex, user: &str, app: &App) -> Rank {
        let facts = DecisionData {
            file: self.policy().entries(),
            runtime: Some(moderation),
            facts: self.authorizer.facts_for_app(app),
        };
        self.policy().rank(user, app.name(), &self.command.scope, facts)
    }
}
