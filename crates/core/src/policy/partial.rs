//! Which conversations another service must be asked about before something can be decided: those in which its answer could make a
//! difference, and no others.
//!
//! Each rule is looked at with all that such an answer could change left open. Where it comes out the same anyway, nobody is asked.

use std::collections::BTreeSet;

use super::Policy;
use super::access_query::{AccessQuery, EvalContext, ScopeContext};
use super::condition::CONDITIONS;
use super::effective_role::{DecisionData, EffectiveRole};
use super::evaluate::{decide_one, standing_in_the_way};
use super::rule::{Effect, Rule, TargetCondition};
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, RequestedGrant, RequiredAction, SigningRequest};

/// What an answer is good for besides the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactsRelevance {
    /// It says whom a conversation shuts out.
    pub shuts_out: bool,
    /// The client's roles are told to others, in what is signed.
    pub user_claims: bool,
}

/// How a question comes out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PartialDecision {
    Denied,
    Allowed,
    Open,
}

impl Policy {
    /// The conversations about which another service must be asked before this can be decided, each once, in order: a room's name for
    /// its channels. None, if it is denied whatever the answers are. `facts` is all that is known so far.
    pub fn unanswered(
        &self,
        ask: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
        bearing: FactsRelevance,
    ) -> BTreeSet<String> {
        let case = EvalContext { policy: self, facts, caller, ask, now };
        let mut open = BTreeSet::new();
        for RequiredAction { action, conversation, targets } in &ask.needs {
            let scene = ScopeContext::new(case, conversation.as_ref());
            let parts = scene.split();
            let question = |targets| AccessQuery { scene: &scene, parts: &parts, action: *action, targets };
            match apart(*action, targets).map(|targets| prospect(&question(targets), bearing)).max() {
                None | Some(PartialDecision::Denied) => return BTreeSet::new(),
                Some(PartialDecision::Allowed) => {}
                Some(PartialDecision::Open) => open.extend(conversation.as_ref().and_then(name)),
            }
        }
        for RequestedGrant { resource, operations } in &ask.wants {
            let scene = ScopeContext::new(case, Some(resource));
            let parts = scene.split();
            let question = |action| AccessQuery { scene: &scene, parts: &parts, action, targets: &[] };
            if operations.iter().any(|action| prospect(&question(action), bearing) == PartialDecision::Open) {
                open.extend(name(resource));
            }
        }
        open
    }
}

/// The targets that are decided about together: all of them, but each by itself where moderators act on them.
fn apart(action: Action, targets: &[String]) -> impl Iterator<Item = &[String]> {
    let together = if action.is_moderation() { 1 } else { targets.len() };
    let none = targets.is_empty().then_some(targets);
    targets.chunks(together.max(1)).chain(none)
}

/// The one conversation that this is or belongs to.
fn name(place: &Pattern) -> Option<String> {
    place.home().exact().map(str::to_owned)
}

/// Whether it is, or belongs to, just one conversation: only such can be asked about.
fn is_one(place: &Pattern) -> bool {
    place.home().exact().is_some()
}

/// How a question comes out, as far as that can be told without asking.
fn prospect(question: &AccessQuery<'_, '_>, bearing: FactsRelevance) -> PartialDecision {
    let caller = question.case().caller;
    if standing_in_the_way(question).is_some_and(|obstacle| obstacle.is_told_to(caller)) {
        return PartialDecision::Denied;
    }
    match in_all_parts(question) {
        PartialDecision::Allowed if bears(question, bearing) => PartialDecision::Open,
        prospect => prospect,
    }
}

/// What the rules say in every part. A pattern that may hold several conversations is never asked about, whatever its parts are.
fn in_all_parts(question: &AccessQuery<'_, '_>) -> PartialDecision {
    if !question.scene.conversation.is_none_or(is_one) {
        let is_allowed = decide_one(question, &mut Vec::new()).is_ok();
        return if is_allowed { PartialDecision::Allowed } else { PartialDecision::Denied };
    }
    let mut parts: Vec<PartialDecision> = question.in_parts().map(|part| by_rules(&part)).collect();
    parts.sort_unstable();
    match (parts.first(), parts.last()) {
        (Some(PartialDecision::Denied), _) => PartialDecision::Denied,
        (_, last) => last.copied().unwrap_or(PartialDecision::Allowed),
    }
}

/// What the rules say: one that denies before one that allows.
fn by_rules(question: &AccessQuery<'_, '_>) -> PartialDecision {
    let policy = question.case().policy;
    let denied = policy.rules(Effect::Deny, question.action).map(|rule| chance(rule, question)).max();
    let allowed = policy.rules(Effect::Allow, question.action).map(|rule| chance(rule, question)).max();
    match (denied.unwrap_or(Ternary::None), allowed.unwrap_or(Ternary::None)) {
        (Ternary::Sure, _) | (_, Ternary::None) => PartialDecision::Denied,
        (Ternary::None, Ternary::Sure) => PartialDecision::Allowed,
        _ => PartialDecision::Open,
    }
}

/// Whether a rule matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ternary {
    None,
    Some,
    Sure,
}

/// Whether a rule matches, with every condition that an answer could change left open.
fn chance(rule: &Rule, question: &AccessQuery<'_, '_>) -> Ternary {
    let mut chance = Ternary::Sure;
    for condition in &CONDITIONS {
        if is_open(condition.name, rule, question) {
            chance = Ternary::Some;
        } else if !condition.holds(rule, question) {
            return Ternary::None;
        }
    }
    chance
}

/// Whether an answer could change if this condition holds.
fn is_open(condition: &str, rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let (scene, case) = (question.scene, question.case());
    let Some(place) = scene.conversation.filter(|place| is_one(place)) else { return false };
    let is_user = case.caller.kind == CallerKind::User;
    let open = |role: &EffectiveRole| !role.is_filed();
    match condition {
        "roles" => rule.roles.is_some() && open(scene.client()),
        "caller_roles" => rule.caller_roles.is_some() && is_user && open(scene.caller()),
        "kinds" => rule.kinds.is_some() && case.facts.known_kind(place, &case.ask.app).is_none(),
        "targets" => {
            let any = || question.targets.iter().any(|target| open(&scene.target(target)));
            let ranked = rule.targets == Some(TargetCondition::Outranked) && !question.targets.is_empty();
            ranked && (open(scene.untokened_client()) || any())
        }
        _ => false,
    }
}

/// Whether an answer has a bearing on what the rules allow.
fn bears(question: &AccessQuery<'_, '_>, bearing: FactsRelevance) -> bool {
    if !question.scene.conversation.is_some_and(is_one) {
        return false;
    }
    let enters = matches!(question.action, Action::Join | Action::Invite);
    let is_told = question.action.is_ably_operation() && is_client_open(question);
    bearing.shuts_out && enters || bearing.user_claims && is_told || ranks(question)
}

/// Whether an answer could change the client's role in the place, or in the room that it belongs to: a token tells of both.
fn is_client_open(question: &AccessQuery<'_, '_>) -> bool {
    let case = question.case();
    let at_home = |place: &Pattern| case.facts.role(case.client(), &place.home());
    !question.scene.client().is_filed() || question.scene.conversation.is_some_and(|place| !at_home(place).is_filed())
}

/// Whether an answer could change what people are to each other, whose bans are lifted among them, which moderators are held to whatever the rules say. Services, who
/// act as themselves, are held to what role there is to take.
fn ranks(question: &AccessQuery<'_, '_>) -> bool {
    let (scene, client) = (question.scene, &question.case().ask.client);
    let open = |user: &str| !scene.target(user).is_filed();
    let of_targets = || question.targets.iter().any(|target| open(target));
    let of_authors = || authors(question).into_iter().any(open);
    match question.action {
        Action::ReadModeration => false,
        Action::SetRole if client.is_empty() => of_targets(),
        action => action.is_moderation() && !client.is_empty() && (open(client) || of_targets() || of_authors()),
    }
}

fn authors<'a>(question: &AccessQuery<'_, 'a>) -> BTreeSet<&'a str> {
    let (case, conversation) = (question.case(), question.scene.conversation.cloned());
    case.facts.authors(
        &case.ask.app,
        &RequiredAction { action: question.action, conversation, targets: question.targets.to_vec() },
    )
}
