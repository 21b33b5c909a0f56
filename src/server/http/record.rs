//! Records the decisions about requests: the audit line first, then the metrics.

use super::context::RequestContext;
use super::error::ApiError;
use super::facts::UndecidedRequest;
use super::metrics::{self, CountedDecision};
use crate::authn::AuthnError;
use crate::engine::{SigningOutcome, SigningRefusal};
use crate::model::{Caller, SigningRequest};
use crate::policy::{Denial, DenyReason};
use crate::server::limits::rate_limit_key;
use crate::telemetry::{AuditDecision, AuditEvent, AuditRecord, AuditScope};
use crate::vendor::App;

/// Counts a caller that failed authentication, and records it. Returns the error to answer with.
pub(super) async fn record_refusal(
    exchange: &RequestContext,
    app: Option<&App>,
    refusal: &AuthnError,
) -> Result<ApiError, ApiError> {
    metrics::count_refused(exchange, refusal);
    let (authenticator, reason) = (refusal.authenticator().map(|name| &**name), refusal.log_message());
    let record = base_record(exchange, app, AuditDecision::Refused);
    let line = audit_line(exchange, &AuditRecord { authenticator, reason: Some(&reason), ..record })?;
    exchange.runtime.audit.write(&line).await?;
    Ok(ApiError::from(refusal))
}

/// Records a decision, and then counts it.
pub(super) async fn record_decision(
    exchange: &RequestContext,
    app: Option<&App>,
    record: &AuditRecord<'_>,
    decided: CountedDecision,
) -> Result<(), ApiError> {
    exchange.runtime.audit.write(&audit_line(exchange, record)?).await?;
    decided.count(exchange, app);
    Ok(())
}

/// Records that a request cannot be decided. `record` is its record, as if it was allowed. Returns the error to answer
/// with: that of the audit log if it cannot be written.
pub(super) async fn record_undecided(
    exchange: &RequestContext,
    app: Option<&App>,
    signing_request: &SigningRequest,
    record: &AuditRecord<'_>,
    undecided: UndecidedRequest,
) -> ApiError {
    let record = undecided_record(signing_request, record, &undecided.reason);
    let decided = CountedDecision::unavailable(signing_request.action);
    match record_decision(exchange, app, &record, decided).await {
        Ok(()) => undecided.failure,
        Err(unwritten) => unwritten,
    }
}

/// Returns the audit line for a request to sign that cannot be decided for this reason.
pub(super) fn undecided_line(
    exchange: &RequestContext,
    app: &App,
    caller: &Caller,
    signing_request: &SigningRequest,
    reason: &str,
) -> Result<Vec<u8>, ApiError> {
    let record = request_record(exchange, Some(app), caller, signing_request);
    audit_line(exchange, &undecided_record(signing_request, &record, reason))
}

fn undecided_record<'a>(
    signing_request: &'a SigningRequest,
    record: &AuditRecord<'a>,
    reason: &'a str,
) -> AuditRecord<'a> {
    let (decision, asked) = (AuditDecision::Unavailable, &*signing_request.requested_grants);
    AuditRecord { decision, reason: Some(reason), asked, ..*record }
}

/// Returns the audit line for a decision.
pub(super) fn decision_line(
    exchange: &RequestContext,
    app: &App,
    caller: &Caller,
    verdict: &SigningOutcome,
) -> Result<Vec<u8>, ApiError> {
    let (signing_request, refused) = (&verdict.request, verdict.outcome.as_ref().err());
    let reason = refused.map(reason);
    let asked = request_record(exchange, Some(app), caller, signing_request);
    let record = AuditRecord { rules: &verdict.rules, reason: reason.as_deref(), ..asked };
    let left_out = verdict.left_out();
    let record = match refused {
        None => AuditRecord { granted: &verdict.granted, nonce: verdict.nonce(), ..record }.with_left_out(&left_out),
        Some(SigningRefusal::Denied(denial)) => {
            AuditRecord { asked: &signing_request.requested_grants, ..with_denial(denial, &record) }
                .with_left_out(&signing_request.left_out)
        }
        Some(SigningRefusal::Invalid(_)) => {
            AuditRecord { decision: AuditDecision::Invalid, asked: &signing_request.requested_grants, ..record }
        }
    };
    audit_line(exchange, &record)
}

/// Returns the record of a request that is allowed, with its caller and the requested action.
pub(super) fn request_record<'a>(
    exchange: &'a RequestContext,
    app: Option<&'a App>,
    caller: &'a Caller,
    signing_request: &'a SigningRequest,
) -> AuditRecord<'a> {
    AuditRecord {
        authenticator: Some(&caller.authenticator),
        caller: Some(caller.into()),
        action: Some(signing_request.action.as_str()),
        client: Some(&signing_request.client).filter(|client| !client.is_empty()).map(String::as_str),
        conversation: signing_request.conversation.as_ref().map(AuditScope),
        targets: &signing_request.members,
        ..base_record(exchange, app, AuditDecision::Allow)
    }
}

fn reason(refused: &SigningRefusal) -> String {
    match refused {
        SigningRefusal::Denied(denial) => denial.log_message(),
        SigningRefusal::Invalid(invalid) => invalid.to_string(),
    }
}

/// Returns the record with the one action and conversation that was denied.
pub(super) fn with_denial<'a>(denial: &'a Denial, record: &AuditRecord<'a>) -> AuditRecord<'a> {
    let ban = match &denial.reason {
        DenyReason::Banned { scope, .. } | DenyReason::TargetBanned { scope, .. } => Some(AuditScope(scope)),
        _ => None,
    };
    let (action, conversation) = (Some(denial.action.as_str()), denial.conversation.as_ref().map(AuditScope));
    AuditRecord { decision: AuditDecision::Deny, action, conversation, rule: denial.rule(), ban, ..*record }
}

/// Returns the fields that every line has. Without an app, the line is about all apps.
fn base_record<'a>(exchange: &'a RequestContext, app: Option<&'a App>, decision: AuditDecision) -> AuditRecord<'a> {
    let policy = &exchange.settings().engine.policy.document().hash;
    AuditRecord {
        trace_id: exchange.trace.as_ref().map(|trace| &*trace.trace_id),
        span_id: exchange.trace.as_ref().map(|trace| &*trace.span_id),
        parent_span_id: exchange.trace.as_ref().map(|trace| &*trace.parent_id),
        app: app.map(|app| &**app.name()),
        vendor: app.map(|app| app.vendor().as_str()),
        latency_us: u64::try_from(exchange.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        ..AuditRecord::new(exchange.now, exchange.id.as_str(), decision, policy)
    }
}

/// Returns the audit line of a decision.
///
/// If the decision is not `allow` and the budget of audit lines for refused requests from this address is used up, the
/// request is counted for the next summary of the address and the line is empty. While the audit log cannot be written,
/// the line is always returned. The write then fails, and the request fails like all others.
pub(super) fn audit_line(exchange: &RequestContext, record: &AuditRecord<'_>) -> Result<Vec<u8>, ApiError> {
    let (line, is_refused) = match record.decision {
        AuditDecision::Allow => (AuditEvent::Decision(record).line(), false),
        AuditDecision::Deny | AuditDecision::Invalid | AuditDecision::Refused | AuditDecision::Unavailable => {
            (AuditEvent::Decision(&record.with_short_lists()).line(), true)
        }
    };
    let line = line.map_err(|error| ApiError::internal(error.to_string()))?;
    let (runtime, limits) = (&exchange.runtime, &exchange.snapshot.limits);
    if !is_refused || limits.take_audit_budget(exchange.address, line.len()) || runtime.audit.health().is_err() {
        return Ok(line);
    }
    runtime.refusal_summaries.add(rate_limit_key(exchange.address), record);
    Ok(Vec::new())
}
