//! Counts authentications and decisions in the metrics.

use std::sync::Arc;

use super::context::RequestContext;
use super::signing_route::SigningRoute;
use crate::authn::AuthnError;
use crate::model::{Action, Caller};
use crate::policy::DenyReason;
use crate::telemetry::AuditDecision;
use crate::telemetry::metrics::{DecisionCause, IdentityLabel};
use crate::vendor::App;

/// Counts a successful authentication.
pub(super) fn count_accepted(exchange: &RequestContext, caller: &Caller) {
    exchange.snapshot.accepted_handles.count(&exchange.runtime.metrics, &caller.authenticator);
}

/// Counts a failed authentication.
pub(super) fn count_refused(exchange: &RequestContext, refusal: &AuthnError) {
    let identity = if refusal.is_unavailable() { IdentityLabel::Unavailable } else { IdentityLabel::Refused };
    exchange.runtime.metrics.count_authentication(refusal.authenticator(), identity);
}

/// A decision that is counted after it is recorded.
pub(super) struct CountedDecision {
    action: Action,
    decision: AuditDecision,
    rule: DecisionCause,
}

impl CountedDecision {
    /// Returns a request that these rules allowed. If several rules did, as for a capability, the first one allowed the
    /// action itself and is counted.
    pub(super) fn allowed(action: Action, decision: AuditDecision, rules: &[Arc<str>]) -> CountedDecision {
        let first = rules.first().map(Arc::clone);
        CountedDecision { action, decision, rule: first.map_or(DecisionCause::Other("none"), DecisionCause::Rule) }
    }

    /// Returns a request that was denied for this reason.
    pub(super) fn denied(action: Action, cause: DenyReason) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Deny, rule: decision_cause(cause) }
    }

    /// Returns a command that was rejected because of existing entries or facts about the user. `word` names the
    /// reason.
    pub(super) fn rejected(action: Action, word: &'static str) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Deny, rule: DecisionCause::Other(word) }
    }

    /// Returns a request that could not be decided.
    pub(super) fn unavailable(action: Action) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Unavailable, rule: DecisionCause::Other("none") }
    }

    /// Counts the decision on a request to this route.
    pub(super) fn count_for_route(self, exchange: &RequestContext, route: &SigningRoute<'_>) {
        match (&self.rule, route.handle) {
            (DecisionCause::Rule(rule), Some(handle)) if self.decision == AuditDecision::Allow => {
                handle.count_allowed(&exchange.runtime.metrics, self.action, rule);
            }
            _ => self.count(exchange, Some(route.app)),
        }
    }

    /// Counts the decision for one app, or for all apps together.
    pub(super) fn count(self, exchange: &RequestContext, app: Option<&App>) {
        let app = app.map_or_else(|| Arc::from("*"), |app| Arc::clone(app.name()));
        exchange.runtime.metrics.count_decision(app, self.action, self.decision, self.rule);
    }
}

/// Returns the id of the rule that decided, or the name of the other reason that decided.
fn decision_cause(cause: DenyReason) -> DecisionCause {
    DecisionCause::Other(match cause {
        DenyReason::Rule { id, .. } => return DecisionCause::Rule(id.into()),
        DenyReason::NoRuleMatched { nearest: Some(nearest) } => return DecisionCause::Rule(nearest.id.into()),
        DenyReason::NoRuleMatched { nearest: None } => "default",
        DenyReason::Banned { .. } | DenyReason::TargetBanned { .. } => "ban",
        DenyReason::Muted { .. } => "mute",
        DenyReason::TargetBlocksConversation { .. }
        | DenyReason::BlockedByConversation { .. }
        | DenyReason::TargetBlockedByConversation { .. } => "block",
        DenyReason::UnknownConversation => "unknown-conversation",
    })
}
