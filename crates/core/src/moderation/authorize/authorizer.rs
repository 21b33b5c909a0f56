//! The checks of a command that do not depend on ranks: that it is valid, and that the policy allows it.

use std::collections::HashMap;
use std::sync::Arc;

use super::reject_reason::RejectReason;
use crate::engine::Engine;
use crate::model::{Caller, CallerKind, Millis};
use crate::moderation::command::ModerationCommand;
use crate::moderation::index::ModerationIndex;
use crate::policy::{ConversationFacts, DecisionData, EntryAuthor};
use crate::vendor::App;

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

impl<'a> CommandAuthorizer<'a> {
    /// Checks the conditions that apply to every caller. Without them the policy would decide about something else than
    /// the command does, or about nothing.
    pub(super) fn check_valid(&self, command: &ModerationCommand, user: &str) -> Result<(), RejectReason> {
        let unfit = |flaw: &str| Err(RejectReason::Invalid(flaw.to_owned()));
        if command.apps(self.engine).next().is_none()
            || command.is_for_unconfigured_app(self.engine) && !command.kind.is_lifting()
        {
            return unfit("there is no such app");
        }
        if command.is_for_unconfigured_app(self.engine) && !command.client.is_empty() && !command.is_for_oneself() {
            return unfit("the app is not configured: only services that act as themselves can lift its entries");
        }
        if command.client.is_empty() && self.caller.kind == CallerKind::User {
            return unfit("a user must act as itself, or as another user");
        }
        if user == "*" || command.client == "*" {
            return unfit("`*` is not a user");
        }
        if command.is_for_oneself() && command.client != user {
            return unfit("users can block conversations only for themselves");
        }
        if command.is_about_conversation() && !command.is_named_by(user) {
            return unfit("it must be a single conversation, given by its name");
        }
        Ok(())
    }

    /// Asks the policy about the command at every app that the command concerns.
    pub(super) fn check_policy(
        &self,
        index: &ModerationIndex,
        command: &ModerationCommand,
        user: &str,
        rules: &mut Vec<Arc<str>>,
    ) -> Result<(), RejectReason> {
        for app in command.apps(self.engine) {
            let facts = DecisionData {
                file: self.engine.policy.entries(),
                runtime: Some(index.entries()),
                facts: self.facts_for_app(app),
            };
            let decided =
                self.engine.policy.decide(command.policy_request_for_user(app, user), self.caller, facts, self.now);
            let (.., allowing) = decided.map_err(|refusal| RejectReason::Denied(refusal.denial))?.into_parts();
            let new: Vec<Arc<str>> = allowing.into_iter().filter(|rule| !rules.contains(rule)).collect();
            rules.extend(new);
        }
        Ok(())
    }

    /// Returns the author of the entries: the user in whose name the caller acts, or the service itself.
    pub fn author(&self, command: &ModerationCommand) -> EntryAuthor {
        if command.client.is_empty() {
            return EntryAuthor { kind: self.caller.kind, subject: self.caller.subject.clone(), role: None };
        }
        EntryAuthor { kind: CallerKind::User, subject: command.client.clone(), role: None }
    }

    pub(super) fn facts_for_app(&self, app: &App) -> &'a [ConversationFacts] {
        self.facts.get(app.name()).map_or(&[], Vec::as_slice)
    }
}
