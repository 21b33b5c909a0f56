//! Authorization of commands: the rules for moderators beyond the rules of the policy.
//!
//! The policy decides about each user separately. In addition, these rules apply, and no policy can relax them:
//!
//! - Moderators of a conversation act only on users who have a role in it.
//! - A moderator gives, removes and leaves only roles that are weaker than the moderator's own role.
//! - Only the author of a ban, or a moderator who outranks the author, lifts the ban.
//! - The owner of a conversation is set once.
//! - Users block conversations only for themselves.
//! - Commands do not change entries of the policy file.

mod blocks;
mod conversations;
mod reject_reason;
mod roles;
mod sanctions;
mod user_command;

use std::collections::HashMap;
use std::sync::Arc;

use super::command::ModerationCommand;
use super::entry::ModerationEntry;
use super::index::ModerationIndex;
use crate::engine::Engine;
use crate::model::{Caller, CallerKind, Millis};
use crate::policy::{ConversationFacts, DecisionData, EntryAuthor};
use crate::vendor::App;
pub use reject_reason::RejectReason;
use user_command::UserCommand;

/// Decides about the commands of a caller.
pub struct CommandAuthorizer<'a> {
    /// The policy and the apps.
    pub engine: &'a Engine,
    /// The authenticated caller.
    pub caller: &'a Caller,
    /// The facts that another service reported about the conversation, by app.
    pub facts: &'a HashMap<Arc<str>, Vec<ConversationFacts>>,
    /// The time of the decision.
    pub now: Millis,
}

/// The outcome of a command.
#[derive(Debug, Default)]
pub struct CommandOutcome {
    /// The entries that are new or changed.
    pub set: Vec<ModerationEntry>,
    /// The entries that are deleted.
    pub deleted: Vec<ModerationEntry>,
    /// The users that the command succeeded for. It also succeeds if its effect existed before.
    pub succeeded: Vec<String>,
    /// The users of `succeeded` that have no changed entry, and that may be enforced at vendors again.
    pub enforce_again: Vec<String>,
    /// The users that the command failed for.
    pub failed: Vec<RejectedUser>,
    /// The rules that allowed the command, without duplicates.
    pub rules: Vec<String>,
    /// The number of the change, if a change was made.
    pub change: Option<u64>,
}

/// A user that the command failed for, and the reason.
#[derive(Debug)]
pub struct RejectedUser {
    /// The user.
    pub user: String,
    /// The reason.
    pub reason: RejectReason,
}

/// The entries to set and the entries to delete.
type EntryChanges = (Vec<ModerationEntry>, Vec<ModerationEntry>);

impl<'a> CommandAuthorizer<'a> {
    /// Decides about a command with the entries that are known now.
    pub fn authorize(&self, index: &ModerationIndex, wish: &ModerationCommand) -> CommandOutcome {
        // For all entries, the channels of a room count as the room. The same is true for the scope of a command.
        let wish = &ModerationCommand { scope: wish.scope.home_conversation().into_owned(), ..wish.clone() };
        let mut ruling = CommandOutcome::default();
        for (number, user) in wish.users.iter().enumerate() {
            if wish.users[..number].contains(user) {
                continue;
            }
            match self.authorize_for_user(index, wish, user, &mut ruling) {
                Ok(()) => ruling.succeeded.push(user.clone()),
                Err(why) => ruling.failed.push(RejectedUser { user: user.clone(), reason: why }),
            }
        }
        ruling
    }

    fn authorize_for_user(
        &self,
        index: &ModerationIndex,
        wish: &ModerationCommand,
        user: &str,
        ruling: &mut CommandOutcome,
    ) -> Result<(), RejectReason> {
        self.check_valid(wish, user)?;
        self.check_policy(index, wish, user, &mut ruling.rules)?;
        let part = UserCommand::new(self, index, wish, user);
        part.check_moderation_rules()?;
        let (set, gone) = part.changes()?;
        if set.is_empty() && gone.is_empty() && part.may_enforce_again() {
            ruling.enforce_again.push(user.to_owned());
        }
        ruling.set.extend(set);
        ruling.deleted.extend(gone);
        Ok(())
    }

    /// Checks the conditions that apply to every caller. Without them the policy would decide about something else than
    /// the command does, or about nothing.
    fn check_valid(&self, wish: &ModerationCommand, user: &str) -> Result<(), RejectReason> {
        let unfit = |flaw: &str| Err(RejectReason::Invalid(flaw.to_owned()));
        if wish.apps(self.engine).next().is_none()
            || wish.is_for_unconfigured_app(self.engine) && !wish.kind.is_lifting()
        {
            return unfit("there is no such app");
        }
        if wish.is_for_unconfigured_app(self.engine) && !wish.client.is_empty() && !wish.is_for_oneself() {
            return unfit("the app is not configured: only services that act as themselves can lift its entries");
        }
        if wish.client.is_empty() && self.caller.kind == CallerKind::User {
            return unfit("a user must act as itself, or as another user");
        }
        if user == "*" || wish.client == "*" {
            return unfit("`*` is not a user");
        }
        if wish.is_for_oneself() && wish.client != user {
            return unfit("users can block conversations only for themselves");
        }
        if wish.is_about_conversation() && !wish.is_named_by(user) {
            return unfit("it must be a single conversation, given by its name");
        }
        Ok(())
    }

    /// Asks the policy about the command at every app that the command concerns.
    fn check_policy(
        &self,
        index: &ModerationIndex,
        wish: &ModerationCommand,
        user: &str,
        rules: &mut Vec<String>,
    ) -> Result<(), RejectReason> {
        for app in wish.apps(self.engine) {
            let facts = DecisionData {
                file: self.engine.policy.entries(),
                runtime: Some(index.entries()),
                facts: self.facts_for_app(app),
            };
            let decided =
                self.engine.policy.decide(wish.policy_request_for_user(app, user), self.caller, facts, self.now);
            let (.., allowing) = decided.map_err(|refusal| RejectReason::Denied(refusal.denial))?.into_parts();
            let new: Vec<String> = allowing.into_iter().filter(|rule| !rules.contains(rule)).collect();
            rules.extend(new);
        }
        Ok(())
    }

    /// Returns the author of the entries: the user in whose name the caller acts, or the service itself.
    pub(super) fn author(&self, wish: &ModerationCommand) -> EntryAuthor {
        if wish.client.is_empty() {
            return EntryAuthor { kind: self.caller.kind, subject: self.caller.subject.clone(), role: None };
        }
        EntryAuthor { kind: CallerKind::User, subject: wish.client.clone(), role: None }
    }

    fn facts_for_app(&self, app: &App) -> &'a [ConversationFacts] {
        self.facts.get(app.name()).map_or(&[], Vec::as_slice)
    }
}
