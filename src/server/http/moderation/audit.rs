//! Audit lines and metrics of changes. Each user is decided alone and has one line.

use crate::model::{Caller, ConversationKind, SigningRequest};
use crate::moderation::{CommandKind, CommandOutcome, RejectReason, RejectedUser, SanctionTerms};
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::{metrics, record};
use crate::telemetry::{AuditDecision, AuditRecord};
use crate::vendor::App;

/// A requested change and its caller.
#[derive(Clone, Copy)]
pub(super) struct RequestedChange<'a> {
    pub(super) exchange: &'a RequestContext,
    /// The app that the change is about, or `None` for all apps.
    pub(super) app: Option<&'a App>,
    pub(super) caller: &'a Caller,
    pub(super) signing_request: &'a SigningRequest,
    pub(super) command_kind: &'a CommandKind,
    /// Whether the command concerns only the entries of its author.
    pub(super) own_only: bool,
    /// Whether only the outcome is asked for.
    pub(super) is_preview: bool,
}

impl RequestedChange<'_> {
    /// Returns the audit lines for the outcome.
    pub(super) fn lines(&self, ruling: &CommandOutcome) -> Result<Vec<u8>, ApiError> {
        let mut lines = Vec::new();
        for user in &ruling.succeeded {
            let is_changed = ruling.set.iter().chain(&ruling.deleted).any(|record| record.name() == user);
            let change = ruling.change.filter(|_| is_changed);
            let allowed = AuditRecord { rules: &ruling.rules, change, ..self.user_record(user) };
            lines.extend(record::audit_line(self.exchange, &allowed)?);
        }
        for RejectedUser { user, reason: why } in &ruling.failed {
            let reason = why.log_message();
            let record = AuditRecord { decision: AuditDecision::Deny, reason: Some(&reason), ..self.user_record(user) };
            let record = match why {
                RejectReason::Denied(denial) => record::with_denial(denial, &record),
                RejectReason::Invalid(_)
                | RejectReason::NoRole
                | RejectReason::NotOutranked(_)
                | RejectReason::File(..)
                | RejectReason::Conflict(_)
                | RejectReason::Changed => record,
            };
            lines.extend(record::audit_line(self.exchange, &record)?);
        }
        Ok(lines)
    }

    /// Counts the outcome in the metrics.
    pub(super) fn count(&self, ruling: &CommandOutcome) {
        let action = self.signing_request.action;
        for _ in &ruling.succeeded {
            let decided = metrics::CountedDecision::allowed(action, AuditDecision::Allow, &ruling.rules);
            decided.count(self.exchange, self.app);
        }
        for RejectedUser { reason: why, .. } in &ruling.failed {
            let decided = match why {
                RejectReason::Denied(denial) => metrics::CountedDecision::denied(denial.action, denial.reason.clone()),
                _ => metrics::CountedDecision::rejected(action, why.code()),
            };
            decided.count(self.exchange, self.app);
        }
    }

    fn user_record<'u>(&'u self, user: &'u String) -> AuditRecord<'u> {
        let record = record::request_record(self.exchange, self.app, self.caller, self.signing_request);
        // A change of the client itself or of a conversation has no targets.
        let targets = if self.signing_request.members.is_empty() { &[] } else { std::slice::from_ref(user) };
        with_command_details(
            self.command_kind,
            &AuditRecord { targets, own: self.own_only, preview: self.is_preview, ..record },
        )
    }
}

/// Returns the record with the details of the command, so that an operator can repeat a change that was lost.
pub(super) fn with_command_details<'a>(deed: &'a CommandKind, record: &AuditRecord<'a>) -> AuditRecord<'a> {
    match deed {
        CommandKind::Ban(SanctionTerms { until, reason }) | CommandKind::Mute(SanctionTerms { until, reason }) => {
            AuditRecord { until: *until, reason: reason.as_deref(), ..*record }
        }
        CommandKind::SetRole(role) => AuditRecord { role: Some(role), ..*record },
        CommandKind::RemoveRole(role) => AuditRecord { role: Some(role), removed: true, ..*record },
        CommandKind::SetConversation { kind, owner } => {
            AuditRecord { kind: kind.map(ConversationKind::as_str), owner: owner.as_deref(), ..*record }
        }
        CommandKind::ForgetConversation => AuditRecord { forgotten: true, ..*record },
        CommandKind::LiftBan | CommandKind::LiftMute | CommandKind::Block | CommandKind::LiftBlock => *record,
    }
}
