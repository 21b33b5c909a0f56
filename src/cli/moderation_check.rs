//! What the rules for moderators make of what the policy allows, as far as that can be told without a server.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{DecidedRequest, Engine};
use crate::model::{Action, Pattern, SigningRequest};
use crate::moderation::{
    CommandAuthorizer, CommandKind, ModerationCommand, ModerationIndex, RejectedUser, SanctionTerms,
};
use crate::policy::ConversationFacts;

/// Whom it isn't done to, though the policy allows it, and why.
pub(super) struct ModerationCheck(Vec<RejectedUser>);

impl ModerationCheck {
    pub(super) fn of(
        engine: &Engine,
        decided: &DecidedRequest,
        moderation: &ModerationIndex,
        told: &[ConversationFacts],
    ) -> ModerationCheck {
        let DecidedRequest { ask, caller, at, outcome } = decided;
        let Some(wish) = wish(engine, ask).filter(|_| outcome.is_ok()) else { return ModerationCheck(Vec::new()) };
        let told = HashMap::from([(Arc::clone(&ask.app), told.to_vec())]);
        let judge = CommandAuthorizer { engine, caller, told: &told, now: *at };
        ModerationCheck(judge.rule(moderation, &wish).failed)
    }

    /// Whether nothing is refused.
    pub(super) fn is_fine(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each user.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|RejectedUser { user, why }| format!("{user}: {}", why.public())).collect()
    }

    /// The decision on the whole, in a sentence.
    pub(super) fn sentence(&self, decided: &DecidedRequest) -> String {
        if self.is_fine() {
            return decided.sentence();
        }
        format!("denied by the rules for moderators, whatever the policy allows: {}", self.lines().join("; "))
    }

    pub(super) fn json(&self) -> Value {
        let one = |RejectedUser { user, why }: &RejectedUser| json!({ "user": user, "code": why.code(), "reason": why.public() });
        self.0.iter().map(one).collect()
    }
}

/// What a moderator would ask of the server, if it is moderation. Of roles the weakest: which one is given isn't asked of the policy.
fn wish(engine: &Engine, ask: &SigningRequest) -> Option<ModerationCommand> {
    let weakest = engine.policy.document().ladder.words().first();
    let deed = match ask.action {
        Action::Ban => CommandKind::Ban(SanctionTerms::default()),
        Action::Unban => CommandKind::LiftBan,
        Action::Mute => CommandKind::Mute(SanctionTerms::default()),
        Action::Unmute => CommandKind::LiftMute,
        Action::SetRole => CommandKind::SetRole(weakest?.clone()),
        Action::ManageConversation => CommandKind::SetConversation { kind: None, owner: None },
        _ => return None,
    };
    let scope = ask.conversation.clone()?;
    let is_conversation = ask.action == Action::ManageConversation;
    let users = if is_conversation { vec![Pattern::to_string(&scope)] } else { ask.members.clone() };
    Some(ModerationCommand { deed, users, scope, app: Some(Arc::clone(&ask.app)), client: ask.client.clone() })
}
