//! What the audit log says of a request.

use super::{Exchange, Failure};
use crate::authn::Refusal;
use crate::engine::{Refused, Verdict};
use crate::model::{Ask, Caller};
use crate::observe::{Decision, Record, Scope};
use crate::policy::{Cause, Denial};
use crate::vendor::App;

/// The line for a caller who is refused.
pub(super) fn refusal(exchange: &Exchange<'_>, app: Option<&App>, refusal: &Refusal) -> Result<Vec<u8>, Failure> {
    let (authenticator, reason) = (refusal.authenticator().map(|name| &**name), refusal.log());
    line(&Record { authenticator, reason: Some(&reason), ..blank(exchange, app, Decision::Refused) })
}

/// The line for a decision.
pub(super) fn verdict(
    exchange: &Exchange<'_>,
    app: &App,
    caller: &Caller,
    verdict: &Verdict,
) -> Result<Vec<u8>, Failure> {
    let (ask, refused) = (&verdict.ask, verdict.outcome.as_ref().err());
    let reason = refused.map(reason);
    let asked = asked(exchange, Some(app), caller, ask, Decision::Allow);
    let record = Record { rules: &verdict.rules, reason: reason.as_deref(), ..asked };
    line(&match refused {
        None => Record { granted: &verdict.granted, nonce: verdict.nonce.as_deref(), ..record },
        Some(Refused::Denied(denial)) => Record { asked: &ask.wants, ..denied(denial, &record) },
        Some(Refused::Invalid(_)) => Record { decision: Decision::Invalid, asked: &ask.wants, ..record },
    })
}

/// What can't be decided, and why not.
pub(super) fn undecided<'a>(
    exchange: &Exchange<'a>,
    app: Option<&'a App>,
    caller: &'a Caller,
    ask: &'a Ask,
    reason: &'a str,
) -> Record<'a> {
    let record = asked(exchange, app, caller, ask, Decision::Unavailable);
    Record { reason: Some(reason), asked: &ask.wants, ..record }
}

/// Who asked what.
pub(super) fn asked<'a>(
    exchange: &Exchange<'a>,
    app: Option<&'a App>,
    caller: &'a Caller,
    ask: &'a Ask,
    decision: Decision,
) -> Record<'a> {
    Record {
        authenticator: Some(&caller.authenticator),
        caller: Some(caller.into()),
        action: Some(ask.action.as_str()),
        client: Some(&ask.client).filter(|client| !client.is_empty()).map(String::as_str),
        conversation: ask.conversation.as_ref().map(Scope),
        targets: &ask.members,
        ..blank(exchange, app, decision)
    }
}

fn reason(refused: &Refused) -> String {
    match refused {
        Refused::Denied(denial) => denial.log(),
        Refused::Invalid(invalid) => invalid.to_string(),
    }
}

/// With the one thing that was denied, of all that was asked.
pub(super) fn denied<'a>(denial: &'a Denial, record: &Record<'a>) -> Record<'a> {
    let ban = match &denial.cause {
        Cause::Banned { scope, .. } | Cause::TargetBanned { scope, .. } => Some(Scope(scope)),
        _ => None,
    };
    let (action, conversation) = (Some(denial.action.as_str()), denial.conversation.as_ref().map(Scope));
    Record { decision: Decision::Deny, action, conversation, rule: denial.rule(), ban, ..*record }
}

/// What every line has. Without an app it is about all of them.
fn blank<'a>(exchange: &Exchange<'a>, app: Option<&'a App>, decision: Decision) -> Record<'a> {
    Record {
        time: exchange.now,
        request_id: exchange.id.as_str(),
        trace_id: exchange.trace.map(|trace| &*trace.trace_id),
        span_id: exchange.trace.map(|trace| &*trace.span_id),
        parent_span_id: exchange.trace.map(|trace| &*trace.parent_id),
        decision,
        authenticator: None,
        caller: None,
        app: app.map(|app| &**app.name()),
        vendor: app.map(|app| app.vendor().as_str()),
        action: None,
        client: None,
        conversation: None,
        targets: &[],
        asked: &[],
        granted: &[],
        nonce: None,
        change: None,
        role: None,
        removed: false,
        kind: None,
        owner: None,
        forgotten: false,
        until: None,
        rules: &[],
        rule: None,
        ban: None,
        reason: None,
        policy: &exchange.settings.engine.policy.document().hash,
        latency_us: u64::try_from(exchange.began.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}

pub(super) fn line(record: &Record<'_>) -> Result<Vec<u8>, Failure> {
    record.line().map_err(|error| Failure::internal(error.to_string()))
}
