//! What the metrics count of a request on its way.

use std::borrow::Cow;
use std::sync::Arc;

use super::RequestContext;
use crate::authn::AuthnError;
use crate::model::{Action, Caller};
use crate::policy::DenyReason;
use crate::telemetry::AuditDecision;
use crate::telemetry::metrics::IdentityLabel;
use crate::vendor::App;

/// Counts a caller who is known.
pub(super) fn accepted(exchange: &RequestContext<'_>, caller: &Caller) {
    exchange.runtime.metrics.identified(Some(&caller.authenticator), IdentityLabel::Accepted);
}

/// Counts a caller who is not let in.
pub(super) fn refused(exchange: &RequestContext<'_>, refusal: &AuthnError) {
    let identity = if refusal.is_unavailable() { IdentityLabel::Unavailable } else { IdentityLabel::Refused };
    exchange.runtime.metrics.identified(refusal.authenticator(), identity);
}

/// A decision that is counted once it is recorded.
pub(super) struct CountedDecision {
    action: Action,
    decision: AuditDecision,
    rule: Cow<'static, str>,
}

impl CountedDecision {
    /// What these rules allowed. Where several did, as for a capability, it was the first that allowed the action itself.
    pub(super) fn allowed(action: Action, decision: AuditDecision, rules: Vec<String>) -> CountedDecision {
        CountedDecision { action, decision, rule: rules.into_iter().next().map_or(Cow::Borrowed("none"), Cow::Owned) }
    }

    /// What was denied for this cause.
    pub(super) fn denied(action: Action, cause: DenyReason) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Deny, rule: decisive(cause) }
    }

    /// What was refused for what else is known of whom it is about, which this word names.
    pub(super) fn ruled_out(action: Action, word: &'static str) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Deny, rule: Cow::Borrowed(word) }
    }

    /// What could not be decided.
    pub(super) fn unavailable(action: Action) -> CountedDecision {
        CountedDecision { action, decision: AuditDecision::Unavailable, rule: Cow::Borrowed("none") }
    }

    /// Counts it for an app, or for all of them.
    pub(super) fn count(self, exchange: &RequestContext<'_>, app: Option<&App>) {
        let app = app.map_or_else(|| Arc::from("*"), |app| Arc::clone(app.name()));
        exchange.runtime.metrics.decided(app, self.action, self.decision, self.rule);
    }
}

/// The rule that decided, or what did instead.
fn decisive(cause: DenyReason) -> Cow<'static, str> {
    Cow::Borrowed(match cause {
        DenyReason::Rule { id, .. } => return Cow::Owned(id),
        DenyReason::NothingMatched { nearest: Some(nearest) } => return Cow::Owned(nearest.id),
        DenyReason::NothingMatched { nearest: None } => "default",
        DenyReason::Banned { .. } | DenyReason::TargetBanned { .. } => "ban",
        DenyReason::Muted { .. } => "mute",
        DenyReason::TargetBlocks { .. } | DenyReason::ShutOut { .. } | DenyReason::TargetShutOut { .. } => "block",
        DenyReason::UnknownConversation => "unknown-conversation",
    })
}
