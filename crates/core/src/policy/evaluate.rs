//! Decides requests in the documented order: bans, mutes, blocks, unknown conversations, deny rules, allow rules. If
//! nothing matches, the request is denied.

use std::sync::Arc;

use super::Policy;
use super::access_query::{AccessQuery, ScopeContext};
use super::claims::user_claims;
use super::compiled_rules::CompiledRule;
use super::condition::Condition;
use super::decision::{Denial, DenyReason, NearestRule, OtherClient, Permit};
use super::effective_role::DecisionData;
use super::entry_index::{EntryRef, UserEntryKind};
use super::eval_context::EvalContext;
use super::narrow::narrower_grants;
use super::rule::{ClientCondition, Effect, Rule};
use super::rule_match::{self, unmet_conditions};
use crate::model::{
    Action, ActionSet, Caller, CallerKind, Millis, Pattern, RequestedGrant, RequiredAction, SigningRequest,
};

/// The actions that add a user to a conversation. They are denied if the target is banned.
pub(super) const ADDING_ACTIONS: ActionSet = ActionSet::of(&[Action::Create, Action::Invite, Action::UnblockClients]);

impl Policy {
    /// Returns a permit for the request, or the reason for the denial.
    ///
    /// All required actions must be allowed. Each requested operation on each resource is decided separately. If an
    /// operation is not allowed in a whole pattern, it is granted in those narrower patterns that the policy names and
    /// where it is allowed. If operations are requested and none is allowed, the request is denied.
    /// The same input always gives the same result, independent of the order of rules and entries in the file.
    ///
    /// # Errors
    /// Returns the reason for the first required action that is denied. If no requested operation is allowed, returns
    /// the most informative of their reasons.
    pub fn decide(
        &self,
        signing_request: SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
    ) -> Result<Permit, Denied> {
        let context = EvalContext::new(self, facts, caller, &signing_request, now);
        match decide_all(context) {
            Ok(AllowedBy { granted, user_claims, rules }) => {
                Ok(Permit { signing_request, granted, user_claims, rules, is_for_operator: false })
            }
            Err(denial) => Err(Denied { signing_request: Box::new(signing_request), denial }),
        }
    }
}

/// A denied request, with the reason.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The request.
    pub signing_request: Box<SigningRequest>,
    /// The reason for the denial.
    pub denial: Box<Denial>,
}

struct AllowedBy {
    granted: Vec<RequestedGrant>,
    user_claims: Vec<(Pattern, String)>,
    rules: Vec<Arc<str>>,
}

fn decide_all(context: EvalContext<'_>) -> Result<AllowedBy, Box<Denial>> {
    let mut rules = Vec::new();
    for RequiredAction { action, conversation, targets } in &context.request.required_actions {
        let scope = ScopeContext::new(context, conversation.as_ref());
        let query = AccessQuery { scope: &scope, parts: &scope.split(), action: *action, targets };
        decide_query(&query, &mut rules).map_err(|deny_reason| deny_reason.into_denial(&query))?;
    }
    let granted = decide_requested_grants(context, &mut rules)?;
    let user_claims = user_claims(context, &granted);
    Ok(AllowedBy { granted, user_claims, rules: rules.into_iter().map(|rule| context.policy.rule_id(rule)).collect() })
}

/// The decision on each operation in one channel or pattern.
pub(super) struct GrantDecision<'a> {
    pub(super) allowed: ActionSet,
    pub(super) denied: Vec<(Action, DenyReasonRef<'a>)>,
}

/// Decides each operation in this channel or pattern as a whole. Adds the indexes of the rules that allow operations to
/// `rules`.
pub(super) fn decide_grant<'a>(
    context: EvalContext<'a>,
    resource: &Pattern,
    operations: ActionSet,
    rules: &mut Vec<usize>,
) -> GrantDecision<'a> {
    let scope = ScopeContext::new(context, Some(resource));
    let parts = scope.split();
    let mut decision = GrantDecision { allowed: ActionSet::EMPTY, denied: Vec::new() };
    for action in operations.iter() {
        match decide_query(&AccessQuery { scope: &scope, parts: &parts, action, targets: &[] }, rules) {
            Ok(()) => decision.allowed.insert(action),
            Err(deny_reason) => decision.denied.push((action, deny_reason)),
        }
    }
    decision
}

/// Returns the grants in canonical order: sorted by the text of the channel or pattern, each once, and none without
/// operations.
fn in_canonical_order(mut granted: Vec<RequestedGrant>) -> Vec<RequestedGrant> {
    granted.retain(|grant| !grant.operations.is_empty());
    // Usually they are in order already.
    granted.sort_by(|one, other| one.resource.cmp_text(&other.resource));
    granted.dedup_by(|next, known| {
        let is_same = next.resource.cmp_text(&known.resource).is_eq();
        if is_same {
            known.operations = known.operations.union(next.operations);
        }
        is_same
    });
    granted
}

/// Returns the allowed operations. A pattern that is not allowed as a whole is narrowed. If no operation is allowed,
/// returns the most informative reason; among equally informative reasons, the first.
fn decide_requested_grants(
    context: EvalContext<'_>,
    rules: &mut Vec<usize>,
) -> Result<Vec<RequestedGrant>, Box<Denial>> {
    let mut granted = Vec::with_capacity(context.request.requested_grants.len());
    let mut refused = Vec::new();
    for requested in &context.request.requested_grants {
        let RequestedGrant { resource, operations } = requested;
        let GrantDecision { allowed, denied } = decide_grant(context, resource, *operations, rules);
        granted.push(RequestedGrant { resource: resource.clone(), operations: allowed });
        let open = denied.iter().map(|(action, _)| *action).collect();
        let decide = |pattern: &Pattern, operations| decide_grant(context, pattern, operations, rules).allowed;
        granted.extend(narrower_grants(context, requested, open, decide));
        refused.extend(denied.into_iter().map(|(action, deny_reason)| (resource, action, deny_reason)));
    }
    let granted = in_canonical_order(granted);
    let telling = refused.into_iter().rev().max_by_key(|(.., deny_reason)| deny_reason.informativeness());
    match telling {
        Some((resource, action, deny_reason)) if granted.is_empty() => {
            let scope = ScopeContext::new(context, Some(resource));
            Err(deny_reason.into_denial(&AccessQuery { scope: &scope, parts: &scope.split(), action, targets: &[] }))
        }
        _ => Ok(granted),
    }
}

fn add_rule(rules: &mut Vec<usize>, rule: usize) {
    if !rules.contains(&rule) {
        rules.push(rule);
    }
}

/// A deny reason that borrows its data. It is cheap to make. The details are computed only if the reason is reported.
pub(super) enum DenyReasonRef<'a> {
    Banned(EntryRef<'a>),
    TargetBanned(EntryRef<'a>),
    Muted(EntryRef<'a>),
    TargetBlocks(String),
    ShutOut(&'a str),
    TargetShutOut(String),
    /// The part of the requested pattern that is unknown, or `None` for the whole.
    UnknownConversation(Option<Pattern>),
    Rule(&'a Rule, Option<Pattern>),
    NothingMatched(Option<Pattern>),
}

impl DenyReasonRef<'_> {
    /// Returns how informative the reason is. A greater number is preferred.
    fn informativeness(&self) -> u8 {
        match self {
            DenyReasonRef::Banned(_) | DenyReasonRef::ShutOut(_) => 5,
            DenyReasonRef::Rule(..) => 4,
            DenyReasonRef::Muted(_) | DenyReasonRef::UnknownConversation(_) => 3,
            DenyReasonRef::TargetBanned(_) | DenyReasonRef::TargetBlocks(_) | DenyReasonRef::TargetShutOut(_) => 2,
            DenyReasonRef::NothingMatched(_) => 1,
        }
    }

    /// Returns whether the caller may always get this reason: a service gets every reason, and a user gets the reasons
    /// about itself.
    pub(super) fn may_be_disclosed_to(&self, caller: &Caller) -> bool {
        let is_own = match self {
            DenyReasonRef::Banned(sanction) | DenyReasonRef::Muted(sanction) => sanction.user() == caller.subject,
            DenyReasonRef::ShutOut(user) => *user == caller.subject,
            _ => false,
        };
        caller.kind == CallerKind::Service || is_own
    }

    /// Returns the part of the requested pattern that the reason is about, or `None` if it is about the whole.
    pub(super) fn denied_part(&self) -> Option<&Pattern> {
        match self {
            DenyReasonRef::UnknownConversation(part)
            | DenyReasonRef::Rule(_, part)
            | DenyReasonRef::NothingMatched(part) => part.as_ref(),
            DenyReasonRef::Banned(_)
            | DenyReasonRef::TargetBanned(_)
            | DenyReasonRef::Muted(_)
            | DenyReasonRef::TargetBlocks(_)
            | DenyReasonRef::ShutOut(_)
            | DenyReasonRef::TargetShutOut(_) => None,
        }
    }

    /// Makes the denial for the query that has this reason.
    pub(super) fn into_denial(self, query: &AccessQuery<'_, '_>) -> Box<Denial> {
        let copy = |entry: EntryRef<'_>| {
            (entry.user().to_owned(), entry.scope().clone(), entry.reason().map(str::to_owned), entry.origin())
        };
        let cause = match self {
            DenyReasonRef::Banned(ban) => {
                let (user, scope, reason, origin) = copy(ban);
                DenyReason::Banned { user, scope, until: ban.until(), reason, origin }
            }
            DenyReasonRef::TargetBanned(ban) => {
                let (user, scope, reason, origin) = copy(ban);
                DenyReason::TargetBanned { user, scope, reason, origin }
            }
            DenyReasonRef::Muted(mute) => {
                let (user, scope, reason, origin) = copy(mute);
                DenyReason::Muted { user, scope, reason, origin }
            }
            DenyReasonRef::TargetBlocks(user) => DenyReason::TargetBlocksConversation { user },
            DenyReasonRef::ShutOut(user) => DenyReason::BlockedByConversation { user: user.to_owned() },
            DenyReasonRef::TargetShutOut(user) => DenyReason::TargetBlockedByConversation { user },
            DenyReasonRef::UnknownConversation(part) => {
                let conversation = part.or_else(|| query.scope.conversation.cloned());
                return Box::new(Denial {
                    reason: DenyReason::UnknownConversation,
                    action: query.action,
                    conversation,
                });
            }
            DenyReasonRef::Rule(rule, part) => {
                let spoiler = part.filter(|part| names_part(query.context(), rule, part)).map(|part| part.to_string());
                DenyReason::Rule { id: rule.id.clone(), reason: rule.reason.clone(), spoiler }
            }
            DenyReasonRef::NothingMatched(part) => {
                DenyReason::NoRuleMatched { nearest: nearest_rule(query, part.as_ref()) }
            }
        };
        Box::new(Denial { reason: cause, action: query.action, conversation: query.scope.conversation.cloned() })
    }
}

/// Returns whether the rule names the part. If not, the part is only an example of what a placeholder without a value
/// matches.
fn names_part(context: &EvalContext<'_>, rule: &Rule, part: &Pattern) -> bool {
    let names =
        |template| context.fill_template(Effect::Allow, template, part).is_some_and(|named| named.applies_to_all(part));
    rule.conversations.as_deref().is_none_or(|templates| templates.iter().any(names))
}

/// Decides one query. Adds the indexes of the rules that allow it to `rules`, or returns the reason for the denial.
///
/// A user gets a reason about another user only if nothing else denies the query. So a user who could not act for
/// another user anyway learns nothing about that user.
pub(super) fn decide_query<'a>(query: &AccessQuery<'_, 'a>, rules: &mut Vec<usize>) -> Result<(), DenyReasonRef<'a>> {
    let caller = query.context().caller;
    match find_denying_entry(query) {
        Some(deny_reason) if deny_reason.may_be_disclosed_to(caller) => Err(deny_reason),
        Some(deny_reason) => decide_by_rules(query, &mut Vec::new()).and(Err(deny_reason)),
        None => decide_by_rules(query, rules),
    }
}

/// Decides a query by the rules, in every part. Deny rules are evaluated before allow rules. Rules never allow a part
/// whose conversation does not exist.
fn decide_by_rules<'a>(query: &AccessQuery<'_, 'a>, rules: &mut Vec<usize>) -> Result<(), DenyReasonRef<'a>> {
    let policy = query.context().policy;
    let is_unknown = |part: &AccessQuery<'_, '_>| part.scope.facts().is_some_and(|told| !told.exists());
    if let Some(part) = query.in_parts().find(is_unknown) {
        return Err(DenyReasonRef::UnknownConversation(part_if_not_whole(query, &part)));
    }
    let is_match = |(compiled, rule): (CompiledRule, &Rule), part: &AccessQuery<'_, '_>| {
        rule_match::is_match(&policy.compiled, compiled, rule, part)
    };
    for (compiled, rule) in query.context().rules(Effect::Deny, query.action) {
        if let Some(part) = query.in_parts().find(|part| is_match((compiled, rule), part)) {
            return Err(DenyReasonRef::Rule(rule, part_if_not_whole(query, &part)));
        }
    }
    let noted = rules.len();
    for part in query.in_parts() {
        let mut allowing = query.context().rules(Effect::Allow, query.action);
        let Some((compiled, _)) = allowing.find(|rule| is_match(*rule, &part)) else {
            rules.truncate(noted);
            return Err(DenyReasonRef::NothingMatched(part_if_not_whole(query, &part)));
        };
        add_rule(rules, compiled.index());
    }
    Ok(())
}

/// Returns the part, or `None` if the part is the whole pattern.
fn part_if_not_whole(query: &AccessQuery<'_, '_>, part: &AccessQuery<'_, '_>) -> Option<Pattern> {
    part.scope.conversation.filter(|place| Some(*place) != query.scope.conversation).cloned()
}

/// Returns the reason if an entry denies the query. Rules cannot override this. The order is: bans, mutes, blocks by
/// the conversation, blocks by a target.
pub(super) fn find_denying_entry<'a>(query: &AccessQuery<'_, 'a>) -> Option<DenyReasonRef<'a>> {
    let context = query.context();
    if let Some(ban) = query.scope.ban() {
        return Some(DenyReasonRef::Banned(ban));
    }
    let targets = find_target_entries(query);
    if let Some(ban) = targets.ban {
        return Some(DenyReasonRef::TargetBanned(ban));
    }
    if ActionSet::SENDING.contains(query.action)
        && let Some(mute) = query.scope.find_mute()
    {
        return Some(DenyReasonRef::Muted(mute));
    }
    let told = query.scope.facts();
    let client = &context.request.client;
    if query.action == Action::Join && told.is_some_and(|told| told.has_blocked(client)) {
        return Some(DenyReasonRef::ShutOut(client));
    }
    if query.action != Action::Invite {
        return None;
    }
    if let Some(target) = query.targets.iter().find(|target| told.is_some_and(|told| told.has_blocked(target))) {
        return Some(DenyReasonRef::TargetShutOut(target.clone()));
    }
    targets.block.map(|target| DenyReasonRef::TargetBlocks(target.to_owned()))
}

/// The entries that deny adding the targets.
#[derive(Default)]
struct TargetEntries<'q, 'a> {
    /// The ban on the first target that is banned.
    ban: Option<EntryRef<'a>>,
    /// The first target that has blocked the conversation.
    block: Option<&'q str>,
}

/// Finds the entries about the targets of an action that adds them. Each target is looked up once.
fn find_target_entries<'q, 'a>(query: &AccessQuery<'q, 'a>) -> TargetEntries<'q, 'a> {
    let (context, place) = (query.context(), query.scope.conversation);
    let mut found = TargetEntries::default();
    let blocks = |block: EntryRef<'_>| place.is_some_and(|place| block.scope().overlaps(place));
    for target in query.targets.iter().filter(|_| ADDING_ACTIONS.contains(query.action)) {
        let near = context.near_entries(target, place);
        found.ban = context.strictest(near.of_kind(UserEntryKind::Ban), place);
        if found.ban.is_some() {
            return found;
        }
        if found.block.is_none() && near.of_kind(UserEntryKind::Block).any(blocks) {
            found.block = Some(target);
        }
    }
    found
}

/// Returns the allow rule that was closest to a match: first by its `Condition::distance`, so that a rule about
/// another conversation does not hide the reason of a rule about this one. Among equally distant rules, the rule with
/// the fewest unmet conditions wins, then the first by id.
fn nearest_rule(query: &AccessQuery<'_, '_>, part: Option<&Pattern>) -> Option<NearestRule> {
    let rules = query.context().policy.document().rules.iter();
    let about = rules.filter(|rule| rule.effect == Effect::Allow && rule.actions.contains(query.action));
    let near = about.map(|rule| (rule, unmet_conditions(rule, query, part)));
    let (rule, misses) = near.min_by_key(|(rule, misses)| {
        let distance = misses.iter().map(|miss| miss.condition.distance()).max();
        (distance, misses.len(), rule.id.as_str())
    })?;
    let EvalContext { caller, request, .. } = query.context();
    let is_for_itself = rule.client() == ClientCondition::Itself;
    let has_other_client = is_for_itself && misses.iter().any(|miss| miss.condition == Condition::Client);
    Some(NearestRule {
        id: rule.id.clone(),
        reason: rule.reason.clone(),
        spoiler: part.map(ToString::to_string),
        other_client: has_other_client
            .then(|| OtherClient { caller: caller.subject.clone(), client: request.client.clone() }),
        unmet_conditions: misses.into_iter().map(|miss| miss.needed).collect(),
    })
}
