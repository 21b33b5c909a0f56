//! The reasons behind a decision: every rule, and which condition of each did not hold.

use super::access_query::{AccessQuery, EvalContext, ScopeContext};
use super::condition::{self, UnmetCondition};
use super::decision::{Denial, at_run_time};
use super::effective_role::DecisionData;
use super::entry_index::UserEntry;
use super::evaluate::{ADDING, DenyReasonRef, decide_one};
use super::rule::{Effect, Sanction};
use super::{Policy, Rule};
use crate::model::{Action, ActionSet, Caller, Millis, Pattern, RequestedGrant, RequiredAction, SigningRequest};

/// One thing that was asked for, decided and explained.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The action.
    pub action: Action,
    /// Where.
    pub conversation: Option<Pattern>,
    /// Whether all depends on it (a need) or only this operation (a part of a capability).
    pub required: bool,
    /// The rules that allow it, of which a pattern may need several; or why it is denied.
    pub outcome: Result<Vec<String>, Box<Denial>>,
    /// Who is what here, a sentence each: the client, the caller if it is another, the targets.
    pub standings: Vec<String>,
    /// The bans, mutes and blocks of those involved that are about this place or near it.
    pub considered: Vec<ConsideredEntry>,
    /// What each rule had to say, in the file's order: about the part of a pattern for which it is denied, else about the whole.
    pub rules: Vec<RuleExplanation>,
}

/// A ban, mute or block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsideredEntry {
    /// Whether it stands in the way.
    pub counts: bool,
    /// Whose it is and where; if it does not stand in the way, why not.
    pub sentence: String,
}

/// What one rule had to say.
#[derive(Clone, Debug)]
pub struct RuleExplanation {
    /// Its id.
    pub id: String,
    /// What it does where it matches.
    pub effect: Effect,
    /// Whether it is about this action at all. If not, its conditions are not looked at.
    pub applies: bool,
    /// The conditions that did not hold. None at all: the rule matches.
    pub misses: Vec<UnmetCondition>,
}

impl RuleExplanation {
    /// Whether the rule matches.
    pub fn matches(&self) -> bool {
        self.applies && self.misses.is_empty()
    }
}

impl Policy {
    /// Explains the decision on an ask: each need, then each operation wanted, by itself. The outcome of the whole is
    /// [`Policy::decide`]'s.
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

/// The bans, mutes and blocks of the caller, the client and the targets, each with whether it counts.
fn considered(question: &AccessQuery<'_, '_>) -> Vec<ConsideredEntry> {
    let case = question.case();
    let place = question.scene.conversation;
    let targets = question.targets.iter().map(String::as_str);
    let people = question.scene.actors().map(|actor| (actor, false)).chain(targets.map(|target| (target, true)));
    let entries = people.flat_map(|(name, target)| case.entries(name, place).map(move |entry| (name, target, entry)));
    let mut considered: Vec<ConsideredEntry> = Vec::new();
    for entry in entries.filter_map(|(name, target, entry)| consider(question, name, target, entry)) {
        // Looking near a pattern may find an entry more than once.
        if !considered.contains(&entry) {
            considered.push(entry);
        }
    }
    considered.extend(shut_out(question));
    considered
}

/// Those whom the conversation shuts out, of the client and the targets.
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

const ELSEWHERE: &str = "that is elsewhere";

fn beside(action: Action) -> String {
    format!("that does not bear on {action}")
}

/// Why a ban or mute does not stand in the way, if it does not. `bears`: its sort bears on the action and the person's part in it.
fn flaw(question: &AccessQuery<'_, '_>, sanction: &Sanction, target: bool, bears: bool) -> Option<String> {
    let case = question.case();
    if sanction.until.is_some_and(|until| until <= case.now) {
        return Some("that is over".to_owned());
    }
    if !bears {
        return Some(beside(question.action));
    }
    if !target && !question.scene.is_meant(&sanction.user, sanction) {
        return Some("that is about a user of this name, not the service".to_owned());
    }
    (!case.counts(sanction, question.scene.conversation)).then(|| ELSEWHERE.to_owned())
}

fn sanctioned(name: &str, word: &str, Sanction { scope, until, reason, origin, .. }: &Sanction) -> String {
    let place = if *scope == Pattern::Everything { String::new() } else { format!(" in {scope}") };
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{name} is {word}{place}{until}{reason}{}", at_run_time(origin))
}
