//! A decision with its reasons: as a sentence for people, and as an object for programs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::{Action, Caller, CallerKind, Millis, Pattern, SigningRequest};
use crate::policy::{Denial, DenyReason, Explanation, Permit, RuleExplanation, describe_scope};
use crate::vendor::Capability;

/// A decision with its request, its caller and its time.
#[derive(Debug)]
pub struct DecidedRequest {
    /// The request.
    pub request: SigningRequest,
    /// The caller.
    pub caller: Caller,
    /// The time of the decision.
    pub at: Millis,
    /// The permit, or the denial.
    pub outcome: Result<Permit, Box<Denial>>,
}

impl DecidedRequest {
    /// Returns the decision as a single sentence.
    pub fn sentence(&self) -> String {
        let DecidedRequest { request: signing_request, caller, outcome, .. } = self;
        let actor = match caller.kind {
            CallerKind::User if caller.is_client(&signing_request.client) => caller.subject.clone(),
            kind if signing_request.client.is_empty() => format!("the {} {}", kind.as_str(), caller.subject),
            kind => format!("the {} {}, for {},", kind.as_str(), caller.subject, signing_request.client),
        };
        match outcome {
            Ok(permit) => {
                format!(
                    "allowed: {actor} may {} ({})",
                    describe_request(signing_request, Some(permit)),
                    name_rules(permit.rules())
                )
            }
            Err(denial) => {
                format!(
                    "denied: {actor} may not {}: {}",
                    describe_request(signing_request, None),
                    describe_denial(denial)
                )
            }
        }
    }

    /// Returns the decision as an object, with the `steps` that the policy explained.
    pub fn json(&self, steps: &[Explanation]) -> Value {
        let DecidedRequest { request: signing_request, caller, at, outcome } = self;
        let permit = outcome.as_ref().ok();
        let denial = outcome.as_ref().err();
        json!({
            "allowed": permit.is_some(),
            "decision": self.sentence(),
            "rules": permit.map(|permit| permit.rules().iter().map(|rule| &**rule).collect::<Vec<_>>()),
            "granted": permit.filter(|_| !signing_request.requested_grants.is_empty()).map(|permit| Capability::from_grants(permit.granted()).as_str().to_owned()),
            "rule": denial.and_then(|denial| denial.rule()),
            "reason": denial.and_then(|denial| denial.reason()),
            "code": denial.map(|denial| denial.code()),
            "app": &*signing_request.app,
            "action": signing_request.action.as_str(),
            "client": signing_request.client,
            "conversation": signing_request.conversation.as_ref().map(Pattern::to_string),
            "members": signing_request.members,
            "caller": { "kind": caller.kind.as_str(), "subject": caller.subject, "authenticator": &*caller.authenticator },
            "at": at.to_string(),
            "steps": steps.iter().map(step_json).collect::<Value>(),
        })
    }
}

/// Describes the request in words that follow "may": "invite carol to 5f3c…".
fn describe_request(signing_request: &SigningRequest, permit: Option<&Permit>) -> String {
    let who = signing_request.members.join(", ");
    let place = signing_request.conversation.as_ref().map(Pattern::to_string).unwrap_or_default();
    match signing_request.action {
        Action::Login => format!("log in{}", describe_capability(signing_request, permit)),
        Action::AppToken => "have an app token".to_owned(),
        Action::Create if who.is_empty() => "create a conversation".to_owned(),
        Action::Create => format!("create a conversation with {who}"),
        Action::Join if !signing_request.requested_grants.is_empty() => format!("have a token for {place}"),
        Action::Join | Action::Leave => format!("{} {place}", signing_request.action),
        Action::Invite => format!("invite {who} to {place}"),
        Action::Kick => format!("kick {who} from {place}"),
        Action::History => format!("read the history of {place}"),
        Action::BlockClients => format!("block {who} in {place}"),
        Action::UnblockClients => format!("unblock {who} in {place}"),
        Action::BlockConversation => format!("block {place}"),
        Action::UnblockConversation => format!("unblock {place}"),
        Action::SetRole => format!("change what {who} is in {place}"),
        Action::ManageConversation => format!("manage {place}"),
        Action::ReadModeration => format!("see the moderation entries of {place}"),
        Action::ReadDecisions => format!("see the decisions about {place}"),
        Action::RetryEnforcement => format!("retry enforcements in {place}"),
        Action::Decide => format!("ask for decisions about {place}"),
        action if who.is_empty() => format!("{action} in {place}"),
        action => format!("{action} {who} in {place}"),
    }
}

/// Describes the capability of a token: the requested capability and, if less was granted, the granted capability.
fn describe_capability(signing_request: &SigningRequest, permit: Option<&Permit>) -> String {
    if signing_request.requested_grants.is_empty() {
        return String::new();
    }
    let asked = Capability::from_grants(&signing_request.requested_grants);
    match permit.map(|permit| Capability::from_grants(permit.granted())) {
        Some(granted) if granted != asked => format!(" with {granted}, but not with all of {asked}"),
        _ => format!(" with {asked}"),
    }
}

fn name_rules(rules: &[Arc<str>]) -> String {
    match rules {
        [one] => format!("rule {one}"),
        several => format!("rules {}", several.join(", ")),
    }
}

/// Describes why the request is denied, in words that follow "as".
pub fn describe_denial(denial: &Denial) -> String {
    let reason = denial.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match &denial.reason {
        DenyReason::Banned { user, scope, .. } => format!("{user} is banned{}{reason}", describe_scope(scope)),
        DenyReason::Muted { user, scope, .. } => format!("{user} is muted{}{reason}", describe_scope(scope)),
        DenyReason::TargetBanned { user, scope, .. } => {
            format!("{user} is banned{} and cannot be added", describe_scope(scope))
        }
        DenyReason::TargetBlocksConversation { user } => format!("{user} does not want to be added there"),
        DenyReason::BlockedByConversation { user } | DenyReason::TargetBlockedByConversation { user } => {
            format!("{user} is blocked there")
        }
        DenyReason::UnknownConversation => "the facts do not contain this conversation".to_owned(),
        DenyReason::Rule { id, .. } => format!("rule {id} denies {}{reason}", denial.action),
        DenyReason::NoRuleMatched { nearest: Some(nearest) } => {
            format!("no rule allows {}; {} comes nearest{reason}", denial.action, nearest.id)
        }
        DenyReason::NoRuleMatched { nearest: None } => format!("no rule allows {}", denial.action),
    }
}

fn step_json(step: &Explanation) -> Value {
    json!({
        "action": step.action.as_str(),
        "conversation": step.conversation.as_ref().map(Pattern::to_string),
        "required": step.required,
        "allowed": step.outcome.is_ok(),
        "rule": match &step.outcome { Ok(rules) => Some(rules.join(", ")), Err(denial) => denial.rule().map(str::to_owned) },
        "why": step.outcome.as_ref().err().map(|denial| describe_denial(denial)),
        "standings": step.standings,
        "considered": step.considered.iter().map(|entry| json!({ "counts": entry.denies, "sentence": entry.sentence })).collect::<Value>(),
        "rules": step.rules.iter().map(|rule| rule_json(rule, step.action)).collect::<Value>(),
    })
}

fn rule_json(rule: &RuleExplanation, action: Action) -> Value {
    let misses = rule.unmet_conditions.iter().map(|miss| {
        let spoiler = miss.spoiler.as_ref().map(Pattern::to_string);
        json!({ "condition": miss.condition.name(), "needed": miss.needed, "spoiler": spoiler })
    });
    let beside = (!rule.applies)
        .then(|| json!({ "condition": "actions", "needed": format!("is not about {action}"), "spoiler": null }));
    json!({
        "id": rule.id,
        "effect": rule.effect.as_str(),
        "applies": rule.applies,
        "matches": rule.matches(),
        "misses": beside.into_iter().chain(misses).collect::<Value>(),
    })
}
