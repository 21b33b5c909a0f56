//! Who may change what of whom, beyond what the policy's rules say.
//!
//! The policy is asked about each user by itself. What it allows is held to rules that no policy can relax: moderators of a
//! conversation act on its people alone; nobody gives, takes or leaves a role that is not weaker than its own; only its author, or who
//! outranks the author, lifts a ban; an owner is set once; everyone blocks for itself; and what the policy file says stands.

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

/// Who asks, and what is known for it.
pub struct CommandAuthorizer<'a> {
    /// The policy, and the apps.
    pub engine: &'a Engine,
    /// Who asks.
    pub caller: &'a Caller,
    /// What another service tells of the place, at each app.
    pub told: &'a HashMap<Arc<str>, Vec<ConversationFacts>>,
    /// When.
    pub now: Millis,
}

/// What becomes of a wish.
#[derive(Debug, Default)]
pub struct CommandOutcome {
    /// The entries that are new or changed.
    pub set: Vec<ModerationEntry>,
    /// The entries that go.
    pub gone: Vec<ModerationEntry>,
    /// Those for whom it is done, or was so already.
    pub succeeded: Vec<String>,
    /// Of these, those for whom it was so already, and for whom it may be carried out at vendors again.
    pub again: Vec<String>,
    /// Those for whom it is not done.
    pub failed: Vec<RejectedUser>,
    /// The rules that allowed it, each once.
    pub rules: Vec<String>,
    /// The number of the change that was made, if one was.
    pub change: Option<u64>,
}

/// Someone for whom it is not done, and why.
#[derive(Debug)]
pub struct RejectedUser {
    /// Who.
    pub user: String,
    /// Why not.
    pub why: RejectReason,
}

/// What is to be set, and what is to go.
type EntryChanges = (Vec<ModerationEntry>, Vec<ModerationEntry>);

impl<'a> CommandAuthorizer<'a> {
    /// What becomes of a wish, by what is known now.
    pub fn rule(&self, index: &ModerationIndex, wish: &ModerationCommand) -> CommandOutcome {
        // What belongs to a room is the room, for every ban and role: so it is for whoever changes them.
        let wish = &ModerationCommand { scope: wish.scope.home().into_owned(), ..wish.clone() };
        let mut ruling = CommandOutcome::default();
        for (number, user) in wish.users.iter().enumerate() {
            if wish.users[..number].contains(user) {
                continue;
            }
            match self.rule_on(index, wish, user, &mut ruling) {
                Ok(()) => ruling.succeeded.push(user.clone()),
                Err(why) => ruling.failed.push(RejectedUser { user: user.clone(), why }),
            }
        }
        ruling
    }

    fn rule_on(
        &self,
        index: &ModerationIndex,
        wish: &ModerationCommand,
        user: &str,
        ruling: &mut CommandOutcome,
    ) -> Result<(), RejectReason> {
        self.check(wish, user)?;
        self.allow(index, wish, user, &mut ruling.rules)?;
        let part = UserCommand::new(self, index, wish, user);
        part.hold_to_rules()?;
        let (set, gone) = part.decide()?;
        if set.is_empty() && gone.is_empty() && part.may_be_repeated() {
            ruling.again.push(user.to_owned());
        }
        ruling.set.extend(set);
        ruling.gone.extend(gone);
        Ok(())
    }

    /// What must be so whoever asks: without it the policy would be asked about something else than what is done, or not at all.
    fn check(&self, wish: &ModerationCommand, user: &str) -> Result<(), RejectReason> {
        let unfit = |flaw: &str| Err(RejectReason::Unfit(flaw.to_owned()));
        if wish.apps(self.engine).next().is_none() || wish.is_stray(self.engine) && !wish.deed.is_lifting() {
            return unfit("there is no such app");
        }
        if wish.is_stray(self.engine) && !wish.client.is_empty() && !wish.is_for_oneself() {
            return unfit("the app is not configured: only services that act as themselves lift what is there for it");
        }
        if wish.client.is_empty() && self.caller.kind == CallerKind::User {
            return unfit("a user acts as itself, or as another user");
        }
        if user == "*" || wish.client == "*" {
            return unfit("`*` is no user");
        }
        if wish.is_for_oneself() && wish.client != user {
            return unfit("everyone blocks conversations for itself alone");
        }
        if wish.is_about_conversation() && !wish.is_named_by(user) {
            return unfit("it must be one conversation, by its name");
        }
        Ok(())
    }

    /// What the policy says, at every app that it is about.
    fn allow(
        &self,
        index: &ModerationIndex,
        wish: &ModerationCommand,
        user: &str,
        rules: &mut Vec<String>,
    ) -> Result<(), RejectReason> {
        let registers = [self.engine.policy.register(), index.register()];
        for app in wish.apps(self.engine) {
            let facts = DecisionData { registers: &registers, told: self.told_at(app) };
            let decided = self.engine.policy.decide(wish.ask_about(app, user), self.caller, facts, self.now);
            let (.., allowing) = decided.map_err(|refusal| RejectReason::Denied(refusal.denial))?.spend();
            let new: Vec<String> = allowing.into_iter().filter(|rule| !rules.contains(rule)).collect();
            rules.extend(new);
        }
        Ok(())
    }

    /// Who makes the entries: the user as whom the caller acts, or the service itself.
    pub(super) fn author(&self, wish: &ModerationCommand) -> EntryAuthor {
        if wish.client.is_empty() {
            return EntryAuthor { kind: self.caller.kind, subject: self.caller.subject.clone(), role: None };
        }
        EntryAuthor { kind: CallerKind::User, subject: wish.client.clone(), role: None }
    }

    fn told_at(&self, app: &App) -> &'a [ConversationFacts] {
        self.told.get(app.name()).map_or(&[], Vec::as_slice)
    }
}
