//! Checks a request against the rules for moderators, as far as that is possible without a server. The policy may allow
//! a request that these rules deny.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{CommandAuthorizer, CommandKind, ModerationCommand, ModerationIndex, RejectedUser, SanctionTerms};
use crate::engine::{DecidedRequest, Engine};
use crate::model::{Action, Pattern, SigningRequest};
use crate::policy::{ConversationFacts, Explanation};

/// The users for whom the rules for moderators deny the request, with the reasons. The policy allows the request.
#[derive(Debug)]
pub struct CommandCheck(Vec<RejectedUser>);

impl CommandCheck {
    /// Checks a decided request. A request that is no moderation, or that the policy denies, passes.
    pub fn run(
        engine: &Engine,
        decided: &DecidedRequest,
        moderation: &ModerationIndex,
        told: &[ConversationFacts],
    ) -> CommandCheck {
        let DecidedRequest { request: signing_request, caller, at, outcome } = decided;
        let Some(command) = moderation_command(engine, signing_request).filter(|_| outcome.is_ok()) else {
            return CommandCheck(Vec::new());
        };
        let told = HashMap::from([(Arc::clone(&signing_request.app), told.to_vec())]);
        let authorizer = CommandAuthorizer { engine, caller, facts: &told, now: *at };
        CommandCheck(authorizer.authorize(moderation, &command).failed)
    }

    /// Returns true if the rules for moderators deny nothing.
    pub fn is_allowed(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a line for each denied user.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|RejectedUser { user, reason: why }| format!("{user}: {}", why.public_message())).collect()
    }

    /// Returns the overall decision in a sentence.
    pub fn sentence(&self, decided: &DecidedRequest) -> String {
        if self.is_allowed() {
            return decided.sentence();
        }
        format!("denied by the rules for moderators, although the policy allows it: {}", self.lines().join("; "))
    }

    /// Returns the decision as an object, with the `steps` that the policy explained.
    pub fn json(&self, decided: &DecidedRequest, steps: &[Explanation]) -> Value {
        let mut json = decided.json(steps);
        if !self.is_allowed() {
            json["allowed"] = false.into();
            json["decision"] = self.sentence(decided).into();
            json["failed"] = self.failures("code");
        }
        json
    }

    /// Returns an object for each denied user. `code_name` is the name of the member with the code.
    pub fn failures(&self, code_name: &str) -> Value {
        let failure = |RejectedUser { user, reason }: &RejectedUser| json!({ "user": user, code_name: reason.code(), "reason": reason.public_message() });
        self.0.iter().map(failure).collect()
    }
}

/// Builds the command that a moderator would send to the server, if the action is moderation. It uses the weakest role,
/// because the policy does not decide which role is given.
fn moderation_command(engine: &Engine, signing_request: &SigningRequest) -> Option<ModerationCommand> {
    let weakest = engine.policy.document().role_hierarchy.names().first();
    let deed = match signing_request.action {
        Action::Ban => CommandKind::Ban(SanctionTerms::default()),
        Action::Unban => CommandKind::LiftBan,
        Action::Mute => CommandKind::Mute(SanctionTerms::default()),
        Action::Unmute => CommandKind::LiftMute,
        Action::SetRole => CommandKind::SetRole(weakest?.clone()),
        Action::ManageConversation => CommandKind::SetConversation { kind: None, owner: None },
        _ => return None,
    };
    let scope = signing_request.conversation.clone()?;
    let is_conversation = signing_request.action == Action::ManageConversation;
    let users = if is_conversation { vec![Pattern::to_string(&scope)] } else { signing_request.members.clone() };
    Some(ModerationCommand {
        kind: deed,
        users,
        scope,
        app: Some(Arc::clone(&signing_request.app)),
        client: signing_request.client.clone(),
        own_only: false,
    })
}
