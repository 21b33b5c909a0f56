//! Explains a decision: for each rule, the conditions that were not met.

use super::access_query::{AccessQuery, EvalContext, ScopeContext};
use super::condition::{self, UnmetCondition};
use super::decision::{Denial, at_run_time};
use super::effective_role::DecisionData;
use super::entry_index::UserEntry;
use super::evaluate::{ADDING, DenyReasonRef, decide_one};
use super::rule::{Effect, Sanction};
use super::{Policy, Rule};
use crate::model::{Action, ActionSet, Caller, Millis, Pattern, RequestedGrant, RequiredAction, SigningRequest};

/// The explained decision on one action.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The action.
    pub action: Action,
    /// The conversation or pattern, if the action has one.
    pub conversation: Option<Pattern>,
    /// Whether the whole request depends on this action. Otherwise it is one operation of a capability, and only this
    /// operation depends on it.
    pub required: bool,
    /// The ids of the rules that allow the action (a pattern may need several), or the denial.
    pub outcome: Result<Vec<String>, Box<Denial>>,
    /// The roles of the client, of the caller if it is not the client, and of the targets: one sentence each.
    pub standings: Vec<String>,
    /// The bans, mutes and blocks of these users that are about this conversation or a scope near it.
    pub considered: Vec<ConsideredEntry>,
    /// The result of each rule, in the order of the file. If a part of a pattern caused the denial, the results are
    /// about this part. Otherwise they are about the whole conversation or pattern.
    pub rules: Vec<RuleExplanation>,
}

/// A ban, mute or block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsideredEntry {
    /// Whether the entry denies the action.
    pub counts: bool,
    /// The user and the scope. If the entry does not deny the action, also the reason why not.
    pub sentence: String,
}

/// The result of one rule.
#[derive(Clone, Debug)]
pub struct RuleExplanation {
    /// The id of the rule.
    pub id: String,
    /// The rule's effect.
    pub effect: Effect,
    /// Whether the rule is about this action. If not, its conditions are not evaluated.
    pub applies: bool,
    /// The unmet conditions. If there are none and the rule is about the action, the rule matches.
    pub misses: Vec<UnmetCondition>,
}

impl RuleExplanation {
    /// Returns whether the rule matches.
    pub fn matches(&self) -> bool {
        self.applies && self.misses.is_empty()
    }
}

impl Policy {
    /// Explains the decision on a request. It first explains each required action, then each requested operation,
    /// separately. [`Policy::decide`] decides the request as a whole.
    pub fn explain(
        &self,
        ask: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
    ) -> Vec<Explanation> {
        let case = EvalContext { policy: self, facts, caller, ask, now };
        let needs = ask.needs.iter().map(|RequiredAction { action, conversation, targets }| {
            let scene = ScopeContext::new(case, conversation.as_ref());
            explain_one(&AccessQuery { scene: &scene, parts: &scene.split(), action: *action, targets }, true)
        });
        let wants = ask.wants.iter().flat_map(|RequestedGrant { resource, operations }| {
            operations.iter().map(move |action| {
                let scene = ScopeContext::new(case, Some(resource));
                explain_one(&AccessQuery { scene: &scene, parts: &scene.split(), action, targets: &[] }, false)
            })
        });
        needs.chain(wants).collect()
    }
}

fn explain_one(question: &AccessQuery<'_, '_>, required: bool) -> Explanation {
    let mut allowing = Vec::new();
    let outcome = decide_one(question, &mut allowing);
    let part = outcome.as_ref().err().and_then(DenyReasonRef::part).cloned();
    let rules = question.case().policy.document().rules.iter();
    Explanation {
        action: question.action,
        conversation: question.scene.conversation.cloned(),
        required,
        standings: standings(question),
        considered: considered(question),
        rules: rules.map(|rule| explain_rule(rule, question, part.as_ref())).collect(),
        outcome: match outcome {
            Ok(()) => Ok(allowing.iter().map(|rule| rule.id.clone()).collect()),
            Err(obstacle) => Err(obstacle.denial(question)),
        },
    }
}

fn explain_rule(rule: &Rule, question: &AccessQuery<'_, '_>, part: Option<&Pattern>) -> RuleExplanation {
    let applies = rule.actions.contains(question.action);
    let misses = if applies { condition::misses(rule, question, part) } else { Vec::new() };
    RuleExplanation { id: rule.id.clone(), effect: rule.effect, applies, misses }
}

fn standings(question: &AccessQuery<'_, '_>) -> Vec<String> {
    let (case, scene) = (question.case(), question.scene);
    let ladder = &case.policy.document().ladder;
    let (caller, client) = (case.caller, &case.ask.client);
    let describe = |person| scene.standing(person).describe(ladder);
    let mut lines = Vec::new();
    if !client.is_empty() {
        lines.push(format!("{client} {}", describe(case.client())));
    }
    if !caller.is(client) {
        let kind = caller.kind.as_str();
        lines.push(format!("{} (the calling {kind}) {}", caller.subject, describe(case.calling())));
    }
    let targets = question.targets.iter();
    lines.extend(targets.map(|target| format!("{target} {}", describe(case.person(target, &[])))));
    lines
}

/// Returns the bans, mutes and blocks of the caller, the client and the targets, and whether each denies the action.
fn considered(question: &AccessQuery<'_, '_>) -> Vec<ConsideredEntry> {
    let case = question.case();
    let place = question.scene.conversation;
    let targets = question.targets.iter().map(String::as_str);
    let people = question.scene.actors().map(|actor| (actor, false)).chain(targets.map(|target| (target, true)));
    let entries = people.flat_map(|(name, target)| case.entries(name, place).map(move |entry| (name, target, entry)));
    let mut considered: Vec<ConsideredEntry> = Vec::new();
    for entry in entries.filter_map(|(name, target, entry)| consider(question, name, target, entry)) {
        // For a pattern, the lookup may return an entry more than once.
        if !considered.contains(&entry) {
            considered.push(entry);
        }
    }
    considered.extend(shut_out(question));
    considered
}

/// Returns the client and the targets if the conversation has blocked them.
fn shut_out(question: &AccessQuery<'_, '_>) -> impl Iterator<Item = ConsideredEntry> {
    let client = &question.case().ask.client;
    let told = question.scene.told();
    let parts = std::iter::once((client, Action::Join)).chain(question.targets.iter().map(|one| (one, Action::Invite)));
    let shut_out = parts.filter(move |(user, _)| told.is_some_and(|told| told.shuts_out(user)));
    shut_out.map(|(user, entry)| {
        let counts = question.action == entry;
        let flaw = if counts { String::new() } else { format!("; {}", beside(question.action)) };
        ConsideredEntry { counts, sentence: format!("{user} is blocked there by the facts{flaw}") }
    })
}

fn consider(question: &AccessQuery<'_, '_>, name: &str, target: bool, entry: &UserEntry) -> Option<ConsideredEntry> {
    let action = question.action;
    let (sentence, flaw) = match entry {
        UserEntry::Ban(ban) => {
            let bears = !target || ADDING.contains(action);
            (sanctioned(name, "banned", ban), flaw(question, ban, target, bears))
        }
        UserEntry::Mute(mute) => {
            let bears = !target && ActionSet::SENDING.contains(action);
            (sanctioned(name, "muted", mute), flaw(question, mute, target, bears))
        }
        UserEntry::Block(block) => {
            let here = question.scene.conversation.is_some_and(|place| block.conversation.overlaps(place));
            let bears = target && action == Action::Invite;
            let flaw = if !bears {
                Some(beside(action))
            } else if here {
                None
            } else {
                Some(ELSEWHERE.to_owned())
            };
            let by = at_run_time(&block.origin);
            (format!("{name} does not want to be added to {}{by}", block.conversation), flaw)
        }
        UserEntry::Role(_) => return None,
    };
    let counts = flaw.is_none();
    let sentence = flaw.map_or_else(|| sentence.clone(), |flaw| format!("{sentence}; {flaw}"));
    Some(ConsideredEntry { counts, sentence })
}

const ELSEWHERE: &str = "this is about other conversations";

fn beside(action: Action) -> String {
    format!("this does not affect {action}")
}

/// Returns the reason why a ban or mute does not deny the action, or `None` if it denies the action. `bears` says
/// whether this type of sanction can deny the action for a person in this position (actor or target).
fn flaw(question: &AccessQuery<'_, '_>, sanction: &Sanction, target: bool, bears: bool) -> Option<String> {
    let case = question.case();
    if sanction.until.is_some_and(|until| until <= case.now) {
        return Some("this has ended".to_owned());
    }
    if !bears {
        return Some(beside(question.action));
    }
    if !target && !question.scene.is_meant(&sanction.user, sanction) {
        return Some("this is about a user with this name, not about the service".to_owned());
    }
    (!case.counts(sanction, question.scene.conversation)).then(|| ELSEWHERE.to_owned())
}

fn sanctioned(name: &str, word: &str, Sanction { scope, until, reason, origin, .. }: &Sanction) -> String {
    let place = if *scope == Pattern::Everything { String::new() } else { format!(" in {scope}") };
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{name} is {word}{place}{until}{reason}{}", at_run_time(origin))
}
