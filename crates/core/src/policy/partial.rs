//! Partial evaluation: finds the conversations that the facts server must be asked about before a decision. These are
//! only the conversations where its answer could change the decision.
//!
//! Each rule is evaluated with an unknown value for everything that facts could change. If the result is the same in
//! every case, the facts server is not asked.

use std::collections::BTreeSet;

use super::Policy;
use super::access_query::{AccessQuery, ScopeContext};
use super::condition::Ternary;
use super::effective_role::DecisionData;
use super::eval_context::EvalContext;
use super::evaluate::{decide_query, find_denying_entry};
use super::narrow::narrower_patterns;
use super::rule::Effect;
use super::rule_match::evaluate_before_facts;
use crate::model::{Action, ActionSet, Caller, Millis, Pattern, RequiredAction, SigningRequest};

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
        request: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
        relevance: FactsRelevance,
    ) -> BTreeSet<String> {
        let context = EvalContext::new(self, facts, caller, request, now);
        let mut open = BTreeSet::new();
        for RequiredAction { action, conversation, targets } in &request.required_actions {
            let scope = ScopeContext::new(context, conversation.as_ref());
            let parts = scope.split();
            let query = |targets| AccessQuery { scope: &scope, parts: &parts, action: *action, targets };
            let groups = targets_decided_together(*action, targets);
            match groups.map(|targets| evaluate_partially(&query(targets), relevance)).max() {
                None | Some(PartialDecision::Denied) => return BTreeSet::new(),
                Some(PartialDecision::Allowed) => {}
                Some(PartialDecision::Open) => open.extend(conversation.as_ref().and_then(name)),
            }
        }
        for requested in &request.requested_grants {
            let operations = requested.operations;
            open.extend(open_conversation(context, &requested.resource, operations, relevance));
            // A pattern may be narrowed to single conversations, which the facts server knows.
            let narrower = narrower_patterns(context, requested);
            open.extend(narrower.iter().filter_map(|one| open_conversation(context, one, operations, relevance)));
        }
        open
    }
}

/// Returns the conversation of this channel if facts can change the decision on one of the operations.
fn open_conversation(
    context: EvalContext<'_>,
    resource: &Pattern,
    operations: ActionSet,
    relevance: FactsRelevance,
) -> Option<String> {
    let scope = ScopeContext::new(context, Some(resource));
    let parts = scope.split();
    let query = |action| AccessQuery { scope: &scope, parts: &parts, action, targets: &[] };
    let is_open = |action| evaluate_partially(&query(action), relevance) == PartialDecision::Open;
    if operations.iter().any(is_open) { name(resource) } else { None }
}

/// Divides the targets into groups that are decided together: a moderation action decides each target separately, other
/// actions decide all targets together.
fn targets_decided_together(action: Action, targets: &[String]) -> impl Iterator<Item = &[String]> {
    let together = if action.is_moderation() { 1 } else { targets.len() };
    let none = targets.is_empty().then_some(targets);
    targets.chunks(together.max(1)).chain(none)
}

/// Returns the name of the one conversation that `place` is or belongs to.
fn name(place: &Pattern) -> Option<String> {
    place.home_conversation().exact().map(str::to_owned)
}

/// Returns whether `place` is or belongs to exactly one conversation. The facts server knows only single conversations.
fn is_single_conversation(place: &Pattern) -> bool {
    place.home_conversation().exact().is_some()
}

/// Evaluates a query without further facts.
fn evaluate_partially(query: &AccessQuery<'_, '_>, relevance: FactsRelevance) -> PartialDecision {
    let caller = query.context().caller;
    if find_denying_entry(query).is_some_and(|deny_reason| deny_reason.may_be_disclosed_to(caller)) {
        return PartialDecision::Denied;
    }
    match evaluate_parts(query) {
        PartialDecision::Allowed if facts_matter(query, relevance) => PartialDecision::Open,
        decision => decision,
    }
}

/// Evaluates the rules in every part. The facts server is never asked about a pattern that may contain several
/// conversations, even if some of its parts are single conversations.
fn evaluate_parts(query: &AccessQuery<'_, '_>) -> PartialDecision {
    if !query.scope.conversation.is_none_or(is_single_conversation) {
        let is_allowed = decide_query(query, &mut Vec::new()).is_ok();
        return if is_allowed { PartialDecision::Allowed } else { PartialDecision::Denied };
    }
    let mut parts: Vec<PartialDecision> = query.in_parts().map(|part| evaluate_rules(&part)).collect();
    parts.sort_unstable();
    match (parts.first(), parts.last()) {
        (Some(PartialDecision::Denied), _) => PartialDecision::Denied,
        (_, last) => last.copied().unwrap_or(PartialDecision::Allowed),
    }
}

/// Evaluates the rules. Deny rules are evaluated before allow rules.
fn evaluate_rules(query: &AccessQuery<'_, '_>) -> PartialDecision {
    let strongest = |effect| {
        let rules = query.context().rules(effect, query.action);
        let values = rules.map(|(_, rule)| evaluate_before_facts(rule, query));
        values.max().unwrap_or(Ternary::False)
    };
    match (strongest(Effect::Deny), strongest(Effect::Allow)) {
        (Ternary::True, _) | (_, Ternary::False) => PartialDecision::Denied,
        (Ternary::False, Ternary::True) => PartialDecision::Allowed,
        (Ternary::Unknown, _) | (Ternary::False, Ternary::Unknown) => PartialDecision::Open,
    }
}

/// Returns whether facts matter even if the rules allow the query.
fn facts_matter(query: &AccessQuery<'_, '_>, relevance: FactsRelevance) -> bool {
    if !query.scope.conversation.is_some_and(is_single_conversation) {
        return false;
    }
    let enters = matches!(query.action, Action::Join | Action::Invite);
    let is_told = query.action.is_channel_operation() && is_client_open(query);
    relevance.shuts_out && enters || relevance.user_claims && is_told || facts_change_ranks(query)
}

/// Returns whether facts could change the client's role in the place or in its room. A token contains both roles.
fn is_client_open(query: &AccessQuery<'_, '_>) -> bool {
    let context = query.context();
    let at_home = |place: &Pattern| context.facts.role(context.client(), &place.home_conversation());
    !query.scope.client().is_from_entries()
        || query.scope.conversation.is_some_and(|place| !at_home(place).is_from_entries())
}

/// Returns whether facts could change the ranks that the limits on moderators compare, whatever the rules say. This
/// includes the ranks of the authors of lifted bans and mutes. For a service that acts as itself, only the role that
/// would be removed matters.
fn facts_change_ranks(query: &AccessQuery<'_, '_>) -> bool {
    let (scope, client) = (query.scope, &query.context().request.client);
    let open = |user: &str| !scope.target(user).is_from_entries();
    let of_targets = || query.targets.iter().any(|target| open(target));
    let of_authors = || authors(query).into_iter().any(open);
    match query.action {
        Action::ReadModeration | Action::ReadDecisions | Action::RetryEnforcement | Action::Decide => false,
        Action::SetRole if client.is_empty() => of_targets(),
        action => action.is_moderation() && !client.is_empty() && (open(client) || of_targets() || of_authors()),
    }
}

fn authors<'a>(query: &AccessQuery<'_, 'a>) -> BTreeSet<&'a str> {
    let (context, conversation) = (query.context(), query.scope.conversation.cloned());
    context.facts.sanction_authors(
        &context.request.app,
        &RequiredAction { action: query.action, conversation, targets: query.targets.to_vec() },
    )
}
