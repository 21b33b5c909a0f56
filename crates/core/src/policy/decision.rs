//! The two outcomes of a decision: a permit, without which nothing is signed, or a denial that says why.

use super::rule::EntryOrigin;
use crate::model::{Action, Pattern, RequestedGrant, SigningRequest};

/// Leave to sign one [`SigningRequest`]. Only the policy makes them: the fields are private and there is no other constructor, so no path to a
/// signature can forget to ask.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) ask: SigningRequest,
    pub(super) granted: Vec<RequestedGrant>,
    pub(super) user_claims: Vec<(Pattern, String)>,
    pub(super) rules: Vec<String>,
    pub(super) operator: bool,
}

impl Permit {
    /// What may be signed: this and nothing else.
    pub fn ask(&self) -> &SigningRequest {
        &self.ask
    }

    /// What of the capability asked for is granted, in canonical order.
    pub fn granted(&self) -> &[RequestedGrant] {
        &self.granted
    }

    /// The client's roles in what is granted, as scope and word, for Ably's user claims. An empty word is no role, where a wider scope
    /// would otherwise give one.
    pub fn user_claims(&self) -> &[(Pattern, String)] {
        &self.user_claims
    }

    /// The rules that allowed it, each once.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Whether this is an operator's, who signs at the command line with the secrets in hand and no policy.
    pub fn is_operators(&self) -> bool {
        self.operator
    }

    /// Gives the permit up for what it was about: the ask, what was granted of it, and the rules that allowed it.
    pub fn spend(self) -> (SigningRequest, Vec<RequestedGrant>, Vec<String>) {
        (self.ask, self.granted, self.rules)
    }
}

/// A permit for an operator, who holds the secrets anyway: all that is asked, without asking the policy. For the command line alone.
pub fn operators_permit(ask: SigningRequest) -> Permit {
    Permit { granted: ask.wants.clone(), ask, user_claims: Vec::new(), rules: Vec::new(), operator: true }
}

/// Why something is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// The caller or the client is banned.
    Banned {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
        /// By whose word.
        origin: EntryOrigin,
    },
    /// A target is banned, so it can't be added.
    TargetBanned {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
        /// By whose word.
        origin: EntryOrigin,
    },
    /// The caller or the client is muted.
    Muted {
        /// Who.
        user: String,
        /// Where.
        scope: Pattern,
        /// Why.
        reason: Option<String>,
        /// By whose word.
        origin: EntryOrigin,
    },
    /// A target does not want to be added there.
    TargetBlocks {
        /// Who.
        user: String,
    },
    /// The conversation shuts the client out, who was to join it.
    ShutOut {
        /// Who.
        user: String,
    },
    /// The conversation shuts a target out, who was to be invited.
    TargetShutOut {
        /// Who.
        user: String,
    },
    /// Whoever knows conversations does not know this one.
    UnknownConversation,
    /// A deny rule matched.
    Rule {
        /// Which.
        id: String,
        /// Why.
        reason: Option<String>,
        /// For a refused pattern: the conversation in it that the rule is about, if it is not about all of it.
        spoiler: Option<String>,
    },
    /// No allow rule matched.
    NothingMatched {
        /// An allow rule for this action that came close, if there is one: the one with the fewest conditions that did not hold.
        nearest: Option<NearestRule>,
    },
}

/// An allow rule that did not match, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearestRule {
    /// Its id.
    pub id: String,
    /// Its reason, which is what a refused caller is told.
    pub reason: Option<String>,
    /// The conditions that did not hold, each in a sentence. May tell of a target, so only for the log.
    pub misses: Vec<String>,
    /// For a refused pattern: the conversation in it that spoils it.
    pub spoiler: Option<String>,
}

/// A refusal, with what was refused and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub cause: DenyReason,
    /// Which action.
    pub action: Action,
    /// Where.
    pub conversation: Option<Pattern>,
}

/// What a refused caller hears of a decision about someone else.
const TARGET: &str = "a target can't be added";

impl Denial {
    /// The machine-readable code: `banned` or `denied`.
    pub fn code(&self) -> &'static str {
        match self.cause {
            DenyReason::Banned { .. } => "banned",
            _ => "denied",
        }
    }

    /// The rule that decided, if it was one: the deny rule that matched, or the allow rule that came closest.
    pub fn rule(&self) -> Option<&str> {
        match &self.cause {
            DenyReason::Rule { id, .. } => Some(id),
            DenyReason::NothingMatched { nearest } => nearest.as_ref().map(|nearest| nearest.id.as_str()),
            _ => None,
        }
    }

    /// The reason that the policy file gives, where the refused caller may hear it.
    pub fn reason(&self) -> Option<&str> {
        match &self.cause {
            DenyReason::Banned { reason, .. } | DenyReason::Muted { reason, .. } | DenyReason::Rule { reason, .. } => {
                reason.as_deref()
            }
            DenyReason::NothingMatched { nearest } => nearest.as_ref()?.reason.as_deref(),
            DenyReason::TargetBanned { .. }
            | DenyReason::TargetBlocks { .. }
            | DenyReason::ShutOut { .. }
            | DenyReason::TargetShutOut { .. }
            | DenyReason::UnknownConversation => None,
        }
    }

    /// Why, for the caller: nothing about targets that the caller could not know.
    pub fn public(&self) -> String {
        let what = self.what();
        match &self.cause {
            DenyReason::Banned { user, scope, .. } => {
                self.with_reason(format!("{user} is banned{}{}", somewhere(scope), self.elsewhere(scope)))
            }
            DenyReason::Muted { user, scope, .. } => {
                self.with_reason(format!("{user} is muted{}{}", somewhere(scope), self.elsewhere(scope)))
            }
            DenyReason::TargetBanned { .. } | DenyReason::TargetBlocks { .. } | DenyReason::TargetShutOut { .. } => {
                format!("{what}: {TARGET}")
            }
            DenyReason::ShutOut { user } => format!("{what}: {user} is blocked there"),
            DenyReason::UnknownConversation => format!("{what}: there is no such conversation"),
            DenyReason::NothingMatched { nearest: None } => format!("{what}: no rule allows it"),
            DenyReason::Rule { spoiler: Some(spoiler), .. }
            | DenyReason::NothingMatched { nearest: Some(NearestRule { spoiler: Some(spoiler), .. }) } => {
                self.with_reason(format!("{what} as a whole, because of {spoiler}; ask for conversations by name"))
            }
            DenyReason::Rule { .. } | DenyReason::NothingMatched { .. } => self.with_reason(what),
        }
    }

    /// Why, for the operator's log: everything.
    pub fn log(&self) -> String {
        let what = self.what();
        match &self.cause {
            DenyReason::TargetBanned { user, scope, reason, origin } => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                format!("{what}: the target {user} is banned{} ({reason}){}", somewhere(scope), at_run_time(origin))
            }
            DenyReason::Banned { origin, .. } | DenyReason::Muted { origin, .. } => {
                format!("{}{}", self.public(), at_run_time(origin))
            }
            DenyReason::TargetBlocks { user } => format!("{what}: the target {user} does not want to be added there"),
            DenyReason::TargetShutOut { user } => format!("{what}: the target {user} is blocked there"),
            DenyReason::Rule { id, .. } => format!("{} (rule {id})", self.public()),
            DenyReason::NothingMatched { nearest: Some(nearest) } => {
                format!("{what}: the nearest rule {} {}", nearest.id, nearest.misses.join("; "))
            }
            _ => self.public(),
        }
    }

    fn what(&self) -> String {
        match &self.conversation {
            Some(conversation) => format!("{} is not allowed in {conversation}", self.action),
            None => format!("{} is not allowed", self.action),
        }
    }

    /// What to do about a pattern that is refused for a part of it.
    fn elsewhere(&self, scope: &Pattern) -> &'static str {
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

/// Who made an entry, where that was not the policy file's author.
pub(super) fn at_run_time(origin: &EntryOrigin) -> String {
    match origin {
        EntryOrigin::File { .. } => String::new(),
        EntryOrigin::Runtime { .. } => format!(", {origin}"),
    }
}

fn somewhere(scope: &Pattern) -> String {
    match scope {
        Pattern::Everything => String::new(),
        scope => format!(" in {scope}"),
    }
}
