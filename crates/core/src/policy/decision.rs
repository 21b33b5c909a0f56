//! The two outcomes of a decision: a permit, which every signature needs, or a denial with its reason.

use std::sync::Arc;

use super::rule::EntryOrigin;
use crate::model::{Action, Millis, Pattern, RequestedGrant, SigningRequest};

/// The permission to sign one [`SigningRequest`].
///
/// The fields are private and only the policy module constructs permits. So no code path can sign without a decision of
/// the policy.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) signing_request: SigningRequest,
    pub(super) granted: Vec<RequestedGrant>,
    pub(super) user_claims: Vec<(Pattern, String)>,
    pub(super) rules: Vec<Arc<str>>,
    pub(super) is_for_operator: bool,
}

impl Permit {
    /// Returns the request that may be signed. Nothing else may be signed with this permit.
    pub fn request(&self) -> &SigningRequest {
        &self.signing_request
    }

    /// Returns the granted part of the requested capability, in canonical order.
    pub fn granted(&self) -> &[RequestedGrant] {
        &self.granted
    }

    /// Returns the client's roles in the granted resources, as scopes and role names, for Ably's user claims. An empty
    /// role name means "no role". It is present only if the role of a wider scope would count otherwise.
    pub fn user_claims(&self) -> &[(Pattern, String)] {
        &self.user_claims
    }

    /// Returns the ids of the rules that allowed the request, each id once.
    pub fn rules(&self) -> &[Arc<str>] {
        &self.rules
    }

    /// Returns whether this permit was made for an operator. An operator has the secrets and signs on the command line
    /// without a policy.
    pub fn is_for_operator(&self) -> bool {
        self.is_for_operator
    }

    /// Consumes the permit. Returns the request, the granted part of the capability, and the ids of the rules that
    /// allowed it.
    pub fn into_parts(self) -> (SigningRequest, Vec<RequestedGrant>, Vec<Arc<str>>) {
        (self.signing_request, self.granted, self.rules)
    }
}

/// Makes a permit for an operator without asking the policy, because the operator has the secrets. The permit grants
/// everything that is requested. Only the command line may call this function.
pub fn for_operator(signing_request: SigningRequest) -> Permit {
    Permit {
        granted: signing_request.requested_grants.clone(),
        signing_request,
        user_claims: Vec::new(),
        rules: Vec::new(),
        is_for_operator: true,
    }
}

/// The reason for a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// The caller or the client is banned.
    Banned {
        /// The banned user.
        user: String,
        /// The scope of the ban.
        scope: Pattern,
        /// The end of the ban. `None` means that it has no end.
        until: Option<Millis>,
        /// The reason given for the ban.
        reason: Option<String>,
        /// Where the ban comes from.
        origin: EntryOrigin,
    },
    /// A target is banned, so it cannot be added.
    TargetBanned {
        /// The banned target.
        user: String,
        /// The scope of the ban.
        scope: Pattern,
        /// The reason given for the ban.
        reason: Option<String>,
        /// Where the ban comes from.
        origin: EntryOrigin,
    },
    /// The caller or the client is muted.
    Muted {
        /// The muted user.
        user: String,
        /// The scope of the mute.
        scope: Pattern,
        /// The reason given for the mute.
        reason: Option<String>,
        /// Where the mute comes from.
        origin: EntryOrigin,
    },
    /// A target has blocked the conversation, so it cannot be invited.
    TargetBlocksConversation {
        /// The target.
        user: String,
    },
    /// The conversation has blocked the client, so the client cannot join.
    BlockedByConversation {
        /// The client.
        user: String,
    },
    /// The conversation has blocked a target, so the target cannot be invited.
    TargetBlockedByConversation {
        /// The target.
        user: String,
    },
    /// The facts say that the conversation does not exist.
    UnknownConversation,
    /// A deny rule matched.
    Rule {
        /// The id of the rule.
        id: String,
        /// The rule's `reason`.
        reason: Option<String>,
        /// If a pattern is denied: the conversation in the pattern that the rule is about, unless the rule is about the
        /// whole pattern.
        spoiler: Option<String>,
    },
    /// No allow rule matched.
    NoRuleMatched {
        /// The allow rule for this action that was closest to a match. Rules about this caller and conversation
        /// come first, then the rule with the fewest unmet conditions. `None` if there is no allow rule for this action.
        nearest: Option<NearestRule>,
    },
}

/// An allow rule that did not match, with its unmet conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestRule {
    /// The id of the rule.
    pub id: String,
    /// The rule's `reason`, which the denied caller gets.
    pub reason: Option<String>,
    /// The unmet conditions, one sentence each. They may contain facts about a target, so they are only for the log.
    pub unmet_conditions: Vec<String>,
    /// If a pattern is denied: the part of the pattern where the rule does not match.
    pub spoiler: Option<String>,
    /// If the rule is for callers who ask for themselves: the client, which is not the caller.
    pub other_client: Option<OtherClient>,
}

/// A caller, and the client that the caller asks for and may not act for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherClient {
    /// The subject of the caller.
    pub caller: String,
    /// The client.
    pub client: String,
}

/// A denial: the denied action, its conversation and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub reason: DenyReason,
    /// The denied action.
    pub action: Action,
    /// The conversation or pattern, if the action has one.
    pub conversation: Option<Pattern>,
}

/// The message for a caller if the denial is about a target. It must not disclose anything about the target.
const TARGET_NOT_ADDED: &str = "a target can't be added";

impl Denial {
    /// Returns the machine-readable code: `banned` or `denied`.
    pub fn code(&self) -> &'static str {
        match self.reason {
            DenyReason::Banned { .. } => "banned",
            _ => "denied",
        }
    }

    /// Returns the id of the rule that decided, if a rule decided: the deny rule that matched, or the allow rule that
    /// was closest to a match.
    pub fn rule(&self) -> Option<&str> {
        match &self.reason {
            DenyReason::Rule { id, .. } => Some(id),
            DenyReason::NoRuleMatched { nearest } => nearest.as_ref().map(|nearest| nearest.id.as_str()),
            _ => None,
        }
    }

    /// Returns the caller and the client if the request is denied because a user asks for another client.
    fn other_client(&self) -> Option<&OtherClient> {
        let DenyReason::NoRuleMatched { nearest } = &self.reason else { return None };
        nearest.as_ref()?.other_client.as_ref()
    }

    /// Returns the `reason` from the policy file, if the denied caller may get it.
    pub fn reason(&self) -> Option<&str> {
        match &self.reason {
            DenyReason::Banned { reason, .. } | DenyReason::Muted { reason, .. } | DenyReason::Rule { reason, .. } => {
                reason.as_deref()
            }
            DenyReason::NoRuleMatched { nearest } => nearest.as_ref()?.reason.as_deref(),
            DenyReason::TargetBanned { .. }
            | DenyReason::TargetBlocksConversation { .. }
            | DenyReason::BlockedByConversation { .. }
            | DenyReason::TargetBlockedByConversation { .. }
            | DenyReason::UnknownConversation => None,
        }
    }

    /// Returns the message for the caller. It contains nothing about targets that the caller does not know already.
    pub fn public_message(&self) -> String {
        let what = self.denied_action();
        if let Some(OtherClient { caller, client }) = self.other_client() {
            return self
                .with_reason(format!("{what} for another client: the client is {client}, the caller is {caller}"));
        }
        match &self.reason {
            DenyReason::Banned { user, scope, .. } => {
                self.with_reason(format!("{user} is banned{}{}", describe_scope(scope), self.advice_for_pattern(scope)))
            }
            DenyReason::Muted { user, scope, .. } => {
                self.with_reason(format!("{user} is muted{}{}", describe_scope(scope), self.advice_for_pattern(scope)))
            }
            DenyReason::TargetBanned { .. }
            | DenyReason::TargetBlocksConversation { .. }
            | DenyReason::TargetBlockedByConversation { .. } => {
                format!("{what}: {TARGET_NOT_ADDED}")
            }
            DenyReason::BlockedByConversation { user } => format!("{what}: {user} is blocked there"),
            DenyReason::UnknownConversation => format!("{what}: there is no such conversation"),
            DenyReason::NoRuleMatched { nearest: None } => format!("{what}: no rule allows it"),
            DenyReason::Rule { spoiler: Some(spoiler), .. }
            | DenyReason::NoRuleMatched { nearest: Some(NearestRule { spoiler: Some(spoiler), .. }) } => {
                self.with_reason(format!("{what} as a whole, because of {spoiler}; ask for conversations by name"))
            }
            DenyReason::Rule { .. } | DenyReason::NoRuleMatched { .. } => self.with_reason(what),
        }
    }

    /// Returns the message for the operator's log, with all details.
    pub fn log_message(&self) -> String {
        let what = self.denied_action();
        match &self.reason {
            DenyReason::TargetBanned { user, scope, reason, origin } => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                format!(
                    "{what}: the target {user} is banned{} ({reason}){}",
                    describe_scope(scope),
                    describe_author(origin)
                )
            }
            DenyReason::Banned { origin, .. } | DenyReason::Muted { origin, .. } => {
                format!("{}{}", self.public_message(), describe_author(origin))
            }
            DenyReason::TargetBlocksConversation { user } => {
                format!("{what}: the target {user} does not want to be added there")
            }
            DenyReason::TargetBlockedByConversation { user } => format!("{what}: the target {user} is blocked there"),
            DenyReason::Rule { id, .. } => format!("{} (rule {id})", self.public_message()),
            DenyReason::NoRuleMatched { nearest: Some(nearest) } => {
                format!("{what}: the nearest rule {} {}", nearest.id, nearest.unmet_conditions.join("; "))
            }
            _ => self.public_message(),
        }
    }

    fn denied_action(&self) -> String {
        match &self.conversation {
            Some(conversation) => format!("{} is not allowed in {conversation}", self.action),
            None => format!("{} is not allowed", self.action),
        }
    }

    /// Returns the advice for a caller that requested a pattern if the ban or mute is about only a part of the pattern.
    /// Otherwise returns an empty text.
    fn advice_for_pattern(&self, scope: &Pattern) -> &'static str {
        let in_part = self.conversation.as_ref().is_some_and(|asked| !scope.covers(asked) && asked.exact().is_none());
        if in_part { "; ask for other conversations by name" } else { "" }
    }

    fn with_reason(&self, text: String) -> String {
        match self.reason() {
            Some(reason) => format!("{text}: {reason}"),
            None => text,
        }
    }
}

/// Describes who made an entry at run time. Returns an empty text for an entry of the policy file.
pub(super) fn describe_author(origin: &EntryOrigin) -> String {
    match origin {
        EntryOrigin::File { .. } => String::new(),
        EntryOrigin::Runtime { .. } => format!(", {origin}"),
    }
}

/// Describes the scope of a ban or mute in words that follow "banned" or "muted". Returns an empty text for everywhere.
pub(crate) fn describe_scope(scope: &Pattern) -> String {
    match scope {
        Pattern::Everything => String::new(),
        scope => format!(" in {scope}"),
    }
}
