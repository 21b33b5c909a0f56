//! Partial evaluation: finds the conversations that the facts server must be asked about before a decision. These are
//! only the conversations where its answer could change the decision.
//!
//! Each rule is evaluated with an unknown value for everything that facts could change. If the result is the same in
//! every case, the facts server is not asked.

use std::collections::BTreeSet;

use super::Policy;
use super::access_query::{AccessQuery, EvalContext, ScopeContext};
use super::condition::CONDITIONS;
use super::effective_role::{DecisionData, EffectiveRole};
use super::evaluate::{decide_query, find_denying_entry};
use super::rule::{Effect, Rule, TargetCondition};
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, RequestedGrant, RequiredAction, SigningRequest};

/// The uses of facts besides the evaluation of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactsRelevance {
    /// The facts say which users a conversation has blocked.
    pub shuts_out: bool,
    /// The signed token contains the client's roles.
    pub user_claims: bool,
}

/// The result of a partial evaluation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PartialDecision {
    Denied,
    Allowed,
    Open,
}

impl Policy {
    /// Returns the conversations that the facts server must be asked about before this request can be decided, sorted,
    /// each once. For channels of a room, this is the room's name. Returns no conversations if the request is denied
    /// whatever the facts are. `facts` contains all data that is known so far.
    pub fn unanswered(
        &self,
        ask: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
        bearing: FactsRelevance,
    ) -> BTreeSet<String> {
        let case = EvalContext { policy: self, facts, caller, request: ask, now };
        let mut open = BTreeSet::new();
        for RequiredAction { action, conversation, targets } in &ask.required_actions {
            let scene = ScopeContext::new(case, conversation.as_ref());
            let parts = scene.split();
            let question = |targets| AccessQuery { scope: &scene, parts: &parts, action: *action, targets };
            match apart(*action, targets).map(|targets| prospect(&question(targets), bearing)).max() {
                None | Some(PartialDecision::Denied) => return BTreeSet::new(),
                Some(PartialDecision::Allowed) => {}
                Some(PartialDecision::Open) => open.extend(conversation.as_ref().and_then(name)),
            }
        }
        for RequestedGrant { resource, operations } in &ask.requested_grants {
            let scene = ScopeContext::new(case, Some(resource));
            let parts = scene.split();
            let question = |action| AccessQuery { scope: &scene, parts: &parts, action, targets: &[] };
            if operations.iter().any(|action| prospect(&question(action), bearing) == PartialDecision::Open) {
                open.extend(name(resource));
            }
        }
        open
    }
}

/// Divides the targets into groups that are decided together: a moderation action decides each target separately, other
/// actions decide all targets together.
fn apart(action: Action, targets: &[String]) -> impl Iterator<Item = &[String]> {
    let together = if action.is_moderation() { 1 } else { targets.len() };
    let none = targets.is_empty().then_some(targets);
    targets.chunks(together.max(1)).chain(none)
}

/// Returns the name of the one conversation that `place` is or belongs to.
fn name(place: &Pattern) -> Option<String> {
    place.home_conversation().exact().map(str::to_owned)
}

/// Returns whether `place` is or belongs to exactly one conversation. The facts server knows only single conversations.
fn is_one(place: &Pattern) -> bool {
    place.home_conversation().exact().is_some()
}

/// Evaluates a query without further facts.
fn prospect(question: &AccessQuery<'_, '_>, bearing: FactsRelevance) -> PartialDecision {
    let caller = question.context().caller;
    if find_denying_entry(question).is_some_and(|obstacle| obstacle.may_be_disclosed_to(caller)) {
        return PartialDecision::Denied;
    }
    match in_all_parts(question) {
        PartialDecision::Allowed if bears(question, bearing) => PartialDecision::Open,
        prospect => prospect,
    }
}

/// Evaluates the rules in every part. The facts server is never asked about a pattern that may contain several
/// conversations, even if some of its parts are single conversations.
fn in_all_parts(question: &AccessQuery<'_, '_>) -> PartialDecision {
    if !question.scope.conversation.is_none_or(is_one) {
        let is_allowed = decide_query(question, &mut Vec::new()).is_ok();
        return if is_allowed { PartialDecision::Allowed } else { PartialDecision::Denied };
    }
    let mut parts: Vec<PartialDecision> = question.in_parts().map(|part| by_rules(&part)).collect();
    parts.sort_unstable();
    match (parts.first(), parts.last()) {
        (Some(PartialDecision::Denied), _) => PartialDecision::Denied,
        (_, last) => last.copied().unwrap_or(PartialDecision::Allowed),
    }
}

/// Evaluates the rules. Deny rules are evaluated before allow rules.
fn by_rules(question: &AccessQuery<'_, '_>) -> PartialDecision {
    let policy = question.context().policy;
    let denied = policy.rules(Effect::Deny, question.action).map(|rule| chance(rule, question)).max();
    let allowed = policy.rules(Effect::Allow, question.action).map(|rule| chance(rule, question)).max();
    match (denied.unwrap_or(Ternary::None), allowed.unwrap_or(Ternary::None)) {
        (Ternary::Sure, _) | (_, Ternary::None) => PartialDecision::Denied,
        (Ternary::None, Ternary::Sure) => PartialDecision::Allowed,
        _ => PartialDecision::Open,
    }
}

/// Whether a rule matches: never, perhaps or surely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ternary {
    None,
    Some,
    Sure,
}

/// Evaluates whether a rule matches, if every condition that facts could change is unknown.
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

/// Returns whether facts could change the result of this condition.
fn is_open(condition: &str, rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let (scene, case) = (question.scope, question.context());
    let Some(place) = scene.conversation.filter(|place| is_one(place)) else { return false };
    let is_user = case.caller.kind == CallerKind::User;
    let open = |role: &EffectiveRole| !role.is_from_entries();
    match condition {
        "roles" => rule.roles.is_some() && open(scene.client()),
        "caller_roles" => rule.caller_roles.is_some() && is_user && open(scene.caller()),
        "kinds" => rule.kinds.is_some() && case.facts.known_kind(place, &case.request.app).is_none(),
        "targets" => {
            let any = || question.targets.iter().any(|target| open(&scene.target(target)));
            let ranked = rule.targets == Some(TargetCondition::Outranked) && !question.targets.is_empty();
            ranked && (open(scene.client_without_token()) || any())
        }
        _ => false,
    }
}

/// Returns whether facts matter even if the rules allow the query.
fn bears(question: &AccessQuery<'_, '_>, bearing: FactsRelevance) -> bool {
    if !question.scope.conversation.is_some_and(is_one) {
        return false;
    }
    let enters = matches!(question.action, Action::Join | Action::Invite);
    let is_told = question.action.is_ably_operation() && is_client_open(question);
    bearing.shuts_out && enters || bearing.user_claims && is_told || ranks(question)
}

/// Returns whether facts could change the client's role in the place or in its room. A token contains both roles.
fn is_client_open(question: &AccessQuery<'_, '_>) -> bool {
    let case = question.context();
    let at_home = |place: &Pattern| case.facts.role(case.client(), &place.home_conversation());
    !question.scope.client().is_from_entries()
        || question.scope.conversation.is_some_and(|place| !at_home(place).is_from_entries())
}

/// Returns whether facts could change the ranks that the limits on moderators compare, whatever the rules say. This
/// includes the ranks of the authors of lifted bans and mutes. For a service that acts as itself, only the role that
/// would be removed matters.
fn ranks(question: &AccessQuery<'_, '_>) -> bool {
    let (scene, client) = (question.scope, &question.context().request.client);
    let open = |user: &str| !scene.target(user).is_from_entries();
    let of_targets = || question.targets.iter().any(|target| open(target));
    let of_authors = || authors(question).into_iter().any(open);
    match question.action {
        Action::ReadModeration => false,
        Action::SetRole if client.is_empty() => of_targets(),
        action => action.is_moderation() && !client.is_empty() && (open(client) || of_targets() || of_authors()),
    }
}

fn authors<'a>(question: &AccessQuery<'_, 'a>) -> BTreeSet<&'a str> {
    let (case, conversation) = (question.context(), question.scope.conversation.cloned());
    case.facts.sanction_authors(
        &case.request.app,
        &RequiredAction { action: question.action, conversation, targets: question.targets.to_vec() },
    )
}
