//! The reasons behind a decision: every rule, and which condition of each did not hold.

use super::condition::{self, Miss};
use super::decide::decide_one;
use super::permit::Denial;
use super::question::{Case, Question, Scene};
use super::rule::Effect;
use super::standing::Facts;
use super::{Policy, Rule};
use crate::model::{Action, Ask, Caller, Grant, Millis, Need, Pattern};

/// One thing that was asked for, decided and explained.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The action.
    pub action: Action,
    /// Where.
    pub conversation: Option<Pattern>,
    /// Whether all depends on it (a need) or only this operation (a part of a capability).
    pub required: bool,
    /// The rule that allows it, or why it is denied.
    pub outcome: Result<String, Box<Denial>>,
    /// Who is what here, a sentence each: the client, the caller if it is another, the targets.
    pub standings: Vec<String>,
    /// What each rule had to say: those about this action, in the file's order.
    pub rules: Vec<RuleExplained>,
}

/// What one rule had to say.
#[derive(Clone, Debug)]
pub struct RuleExplained {
    /// Its id.
    pub id: String,
    /// What it does where it matches.
    pub effect: Effect,
    /// Whether it is about this action at all. If not, its conditions are not looked at.
    pub applies: bool,
    /// The conditions that did not hold. None at all: the rule matches.
    pub misses: Vec<Miss>,
}

impl RuleExplained {
    /// Whether the rule matches.
    pub fn matches(&self) -> bool {
        self.applies && self.misses.is_empty()
    }
}

impl Policy {
    /// Explains the decision on an ask: each need, then each operation wanted, by itself. The outcome of the whole is
    /// [`Policy::decide`]'s.
    pub fn explain(&self, ask: &Ask, caller: &Caller, facts: Facts<'_>, now: Millis) -> Vec<Explained> {
        let case = Case { policy: self, facts, caller, ask, now };
        let needs = ask.needs.iter().map(|Need { action, conversation, targets }| {
            let scene = Scene::new(case, conversation.as_ref());
            explain_one(&Question { scene: &scene, action: *action, targets }, true)
        });
        let wants = ask.wants.iter().flat_map(|Grant { resource, operations }| {
            operations.iter().map(move |action| {
                let scene = Scene::new(case, Some(resource));
                explain_one(&Question { scene: &scene, action, targets: &[] }, false)
            })
        });
        needs.chain(wants).collect()
    }
}

fn explain_one(question: &Question<'_, '_>, required: bool) -> Explained {
    let outcome = decide_one(question);
    let rules = question.case().policy.document().rules.iter();
    Explained {
        action: question.action,
        conversation: question.scene.conversation.cloned(),
        required,
        outcome: outcome.map(|rule| rule.id.clone()).map_err(|obstacle| obstacle.denial(question)),
        standings: standings(question),
        rules: rules.map(|rule| explain_rule(rule, question)).collect(),
    }
}

fn explain_rule(rule: &Rule, question: &Question<'_, '_>) -> RuleExplained {
    let applies = rule.actions.contains(question.action);
    let misses = if applies { condition::misses(rule, question) } else { Vec::new() };
    RuleExplained { id: rule.id.clone(), effect: rule.effect, applies, misses }
}

fn standings(question: &Question<'_, '_>) -> Vec<String> {
    let case = question.case();
    let ladder = &case.policy.document().ladder;
    let (caller, client) = (case.caller, &case.ask.client);
    let mut lines = Vec::new();
    if !client.is_empty() {
        lines.push(format!("{client} {}", question.scene.client().describe(ladder)));
    }
    if !caller.is(client) {
        let kind = caller.kind.as_str();
        lines.push(format!("{} (the calling {kind}) {}", caller.subject, question.scene.caller().describe(ladder)));
    }
    let targets = question.targets.iter();
    lines.extend(targets.map(|target| format!("{target} {}", question.scene.target(target).describe(ladder))));
    lines
}
