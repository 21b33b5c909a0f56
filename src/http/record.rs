//! Puts what was decided into the audit log, before the answer goes out.

use super::{Exchange, Failure};
use crate::authn::Refusal;
use crate::engine::{Refused, Verdict};
use crate::model::Caller;
use crate::observe::{Decision, Record, Scope};
use crate::policy::Cause;
use crate::vendor::App;

/// Records a caller who is refused.
pub(super) async fn refusal(exchange: &Exchange<'_>, app: &App, refusal: &Refusal) -> Result<(), Failure> {
    let (authenticator, reason) = (refusal.authenticator(), refusal.log());
    write(exchange, &Record { authenticator, reason: Some(&reason), ..blank(exchange, app, Decision::Refused) }).await
}

/// Records a decision.
pub(super) async fn verdict(
    exchange: &Exchange<'_>,
    app: &App,
    caller: &Caller,
    verdict: &Verdict,
) -> Result<(), Failure> {
    let ask = &verdict.ask;
    let record = Record {
        authenticator: Some(&caller.authenticator),
        caller: Some(caller.into()),
        action: Some(ask.action.as_str()),
        client: Some(&ask.client).filter(|client| !client.is_empty()).map(String::as_str),
        conversation: ask.conversation.as_ref().map(Scope),
        targets: &ask.members,
        granted: &verdict.granted,
        nonce: verdict.nonce.as_deref(),
        rules: &verdict.rules,
        ..blank(exchange, app, Decision::Allow)
    };
    match &verdict.outcome {
        Ok(_) => write(exchange, &record).await,
        Err(refused) => unsuccessful(exchange, verdict, refused, record).await,
    }
}

async fn unsuccessful(
    exchange: &Exchange<'_>,
    verdict: &Verdict,
    refused: &Refused,
    record: Record<'_>,
) -> Result<(), Failure> {
    let asked = &*verdict.ask.wants;
    match refused {
        Refused::Invalid(invalid) => {
            let reason = format!("{} {}", invalid.field, invalid.message);
            let decision = Decision::Invalid;
            write(exchange, &Record { decision, asked, granted: &[], nonce: None, reason: Some(&reason), ..record })
                .await
        }
        Refused::Denied(denial) => {
            let (reason, rule) = (denial.log(), denial.rule().map(str::to_owned));
            let ban = match &denial.cause {
                Cause::Banned { scope, .. } | Cause::TargetBanned { scope, .. } => Some(Scope(scope)),
                _ => None,
            };
            let (decision, action, conversation) =
                (Decision::Deny, Some(denial.action.as_str()), denial.conversation.as_ref().map(Scope));
            let (rules, reason) = (rule.as_slice(), Some(&*reason));
            write(exchange, &Record { decision, action, conversation, asked, rules, ban, reason, ..record }).await
        }
    }
}

fn blank<'a>(exchange: &Exchange<'a>, app: &'a App, decision: Decision) -> Record<'a> {
    Record {
        time: exchange.now,
        request_id: exchange.id.as_str(),
        decision,
        authenticator: None,
        caller: None,
        app: app.name(),
        vendor: app.vendor().as_str(),
        action: None,
        client: None,
        conversation: None,
        targets: &[],
        asked: &[],
        granted: &[],
        nonce: None,
        rules: &[],
        ban: None,
        reason: None,
        policy: &exchange.settings.engine.policy.document().hash,
        latency_us: u64::try_from(exchange.began.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}

async fn write(exchange: &Exchange<'_>, record: &Record<'_>) -> Result<(), Failure> {
    let line = record.line().map_err(|error| Failure::internal(error.to_string()))?;
    Ok(exchange.runtime.audit.write(&line).await?)
}
