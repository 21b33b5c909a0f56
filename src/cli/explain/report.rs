//! A decision's reasons, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Decided;
use crate::model::{Action, Ask, CallerKind, Pattern};
use crate::policy::{Cause, Considered, Denial, Effect, Explained, Permit, RuleExplained};
use crate::vendor::ably::Capability;

/// All that there is to say.
pub(super) struct Report<'a> {
    pub(super) decided: &'a Decided,
    pub(super) steps: &'a [Explained],
}

impl Report<'_> {
    /// The decision in a sentence, then each thing that was decided: who is what, what stands in the way, each rule.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", sentence(self.decided));
        for step in self.steps {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\n{}", headline(step, self.steps.len() == 1));
            list(&mut text, "who is what", &step.standings);
            let considered: Vec<String> = step.considered.iter().map(considered).collect();
            list(&mut text, "bans, mutes and blocks", &considered);
            rules(&mut text, step);
        }
        text
    }

    /// The same as an object.
    pub(super) fn json(&self) -> Value {
        let Decided { ask, caller, at, outcome } = self.decided;
        let permit = outcome.as_ref().ok();
        let denial = outcome.as_ref().err();
        json!({
            "allowed": permit.is_some(),
            "decision": sentence(self.decided),
            "rules": permit.map(Permit::rules),
            "granted": permit.filter(|_| !ask.wants.is_empty()).map(|permit| Capability::of(permit.granted()).as_str().to_owned()),
            "rule": denial.and_then(|denial| denial.rule()),
            "reason": denial.and_then(|denial| denial.reason()),
            "code": denial.map(|denial| denial.code()),
            "app": &*ask.app,
            "action": ask.action.as_str(),
            "client": ask.client,
            "conversation": ask.conversation.as_ref().map(Pattern::to_string),
            "members": ask.members,
            "caller": { "kind": caller.kind.as_str(), "subject": caller.subject, "authenticator": &*caller.authenticator },
            "at": at.to_string(),
            "steps": self.steps.iter().map(step_json).collect::<Value>(),
        })
    }
}

/// The decision in one sentence.
pub(in crate::cli) fn sentence(Decided { ask, caller, outcome, .. }: &Decided) -> String {
    let actor = match caller.kind {
        CallerKind::User if caller.is(&ask.client) => caller.subject.clone(),
        kind if ask.client.is_empty() => format!("the {} {}", kind.as_str(), caller.subject),
        kind => format!("the {} {}, for {},", kind.as_str(), caller.subject, ask.client),
    };
    match outcome {
        Ok(permit) => format!("allowed: {actor} may {} ({})", deed(ask, Some(permit)), by(permit.rules())),
        Err(denial) => format!("denied: {actor} may not {}: {}", deed(ask, None), why(denial)),
    }
}

/// What is asked, in words that follow "may": "invite carol to 5f3c…".
fn deed(ask: &Ask, permit: Option<&Permit>) -> String {
    let who = ask.members.join(", ");
    let place = ask.conversation.as_ref().map(Pattern::to_string).unwrap_or_default();
    match ask.action {
        Action::Login => format!("log in{}", powers(ask, permit)),
        Action::AppToken => "have an app token".to_owned(),
        Action::Create if who.is_empty() => "create a conversation".to_owned(),
        Action::Create => format!("create a conversation with {who}"),
        Action::Join | Action::Leave => format!("{} {place}", ask.action),
        Action::Invite => format!("invite {who} to {place}"),
        Action::Kick => format!("kick {who} from {place}"),
        Action::History => format!("read the history of {place}"),
        Action::BlockClients => format!("block {who} in {place}"),
        Action::UnblockClients => format!("unblock {who} in {place}"),
        Action::BlockConversation => format!("block {place}"),
        Action::UnblockConversation => format!("unblock {place}"),
        action if who.is_empty() => format!("{action} in {place}"),
        action => format!("{action} {who} in {place}"),
    }
}

/// What a token is good for: what was asked and, where that is less, what was granted.
fn powers(ask: &Ask, permit: Option<&Permit>) -> String {
    if ask.wants.is_empty() {
        return String::new();
    }
    let asked = Capability::of(&ask.wants);
    match permit.map(|permit| Capability::of(permit.granted())) {
        Some(granted) if granted != asked => format!(" with {granted}, but not with all of {asked}"),
        _ => format!(" with {asked}"),
    }
}

fn by(rules: &[String]) -> String {
    match rules {
        [one] => format!("rule {one}"),
        several => format!("rules {}", several.join(", ")),
    }
}

fn why(denial: &Denial) -> String {
    let reason = denial.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    match &denial.cause {
        Cause::Banned { user, .. } => format!("{user} is banned{reason}"),
        Cause::Muted { user, .. } => format!("{user} is muted{reason}"),
        Cause::TargetBanned { user, .. } => format!("{user}, whom it adds, is banned"),
        Cause::TargetBlocks { user } => format!("{user} does not want to be added there"),
        Cause::ShutOut { user } | Cause::TargetShutOut { user } => format!("{user} is blocked there"),
        Cause::UnknownConversation => "the facts know no such conversation".to_owned(),
        Cause::Rule { id, .. } => format!("rule {id} denies it{reason}"),
        Cause::NothingMatched { nearest: Some(nearest) } => {
            format!("no rule allows {}; {} comes nearest{reason}", denial.action, nearest.id)
        }
        Cause::NothingMatched { nearest: None } => format!("no rule allows {}", denial.action),
    }
}

/// What was decided, and why where the decision on the whole has not said it.
fn headline(step: &Explained, alone: bool) -> String {
    let place = step.conversation.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    match &step.outcome {
        Ok(_) if alone => format!("✓ {}{place}", step.action),
        Err(_) if alone => format!("✗ {}{place}", step.action),
        Ok(rule) => format!("✓ {}{place}: allowed by {rule}", step.action),
        Err(denial) => format!("✗ {}{place}: denied, as {}", step.action, why(denial)),
    }
}

fn considered(Considered { counts, sentence }: &Considered) -> String {
    format!("{} {sentence}", if *counts { '✗' } else { '·' })
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "  {title}");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
}

/// The rules about the action, in the file's order, and then the names of the others.
fn rules(text: &mut String, step: &Explained) {
    let (about, others): (Vec<_>, Vec<_>) = step.rules.iter().partition(|rule| rule.applies);
    let width = about.iter().map(|rule| rule.id.chars().count()).max().unwrap_or_default();
    let conditions = about.iter().flat_map(|rule| &rule.misses).map(|miss| miss.condition.len());
    let column = conditions.max().unwrap_or_default();
    let lines: Vec<String> = about.iter().flat_map(|rule| rule_lines(rule, width, column)).collect();
    list(text, &format!("rules about {}", step.action), &lines);
    if about.is_empty() {
        let _ = writeln!(text, "  no rule is about {}", step.action);
    }
    if !others.is_empty() {
        let ids: Vec<&str> = others.iter().map(|rule| rule.id.as_str()).collect();
        let _ = writeln!(text, "  not about {}: {}", step.action, ids.join(", "));
    }
}

/// A line for each condition that did not hold, or one that says that all did.
fn rule_lines(rule: &RuleExplained, width: usize, column: usize) -> Vec<String> {
    let effect = rule.effect.as_str();
    if rule.matches() {
        let mark = if rule.effect == Effect::Allow { '✓' } else { '✗' };
        return vec![format!("{mark} {effect:<5} {:<width$}  matches", rule.id)];
    }
    let first = std::iter::once(format!("· {effect:<5} {:<width$}", rule.id));
    let heads = first.chain(std::iter::repeat(" ".repeat(width + 8)));
    let misses = rule.misses.iter().map(|miss| {
        let spoiler = miss.spoiler.as_ref().map(|spoiler| format!("; {spoiler} spoils it")).unwrap_or_default();
        format!("{:<column$}  {}{spoiler}", miss.condition, miss.needed)
    });
    heads.zip(misses).map(|(head, miss)| format!("{head}  {miss}")).collect()
}

fn step_json(step: &Explained) -> Value {
    json!({
        "action": step.action.as_str(),
        "conversation": step.conversation.as_ref().map(Pattern::to_string),
        "required": step.required,
        "allowed": step.outcome.is_ok(),
        "rule": match &step.outcome { Ok(rule) => Some(rule.as_str()), Err(denial) => denial.rule() },
        "why": step.outcome.as_ref().err().map(|denial| why(denial)),
        "standings": step.standings,
        "considered": step.considered.iter().map(|entry| json!({ "counts": entry.counts, "sentence": entry.sentence })).collect::<Value>(),
        "rules": step.rules.iter().map(|rule| rule_json(rule, step.action)).collect::<Value>(),
    })
}

fn rule_json(rule: &RuleExplained, action: Action) -> Value {
    let misses = rule.misses.iter().map(|miss| {
        let spoiler = miss.spoiler.as_ref().map(Pattern::to_string);
        json!({ "condition": miss.condition, "needed": miss.needed, "spoiler": spoiler })
    });
    let beside = (!rule.applies)
        .then(|| json!({ "condition": "actions", "needed": format!("is not about {action}"), "spoiler": null }));
    json!({
        "id": rule.id,
        "effect": rule.effect.as_str(),
        "matches": rule.matches(),
        "misses": beside.into_iter().chain(misses).collect::<Value>(),
    })
}
