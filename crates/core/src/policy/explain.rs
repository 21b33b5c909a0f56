//! Explains a decision: for each rule, the conditions that were not met.

use super::access_query::{AccessQuery, ScopeContext};
use super::decision::{Denial, describe_author};
use super::effective_role::DecisionData;
use super::entry_index::{EntryRef, UserEntryKind};
use super::eval_context::EvalContext;
use super::evaluate::{ADDING_ACTIONS, DenyReasonRef, decide_query};
use super::rule::Effect;
use super::rule_match::{UnmetCondition, unmet_conditions};
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
    pub denies: bool,
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
    pub unmet_conditions: Vec<UnmetCondition>,
}

impl RuleExplanation {
    /// Returns whether the rule matches.
    pub fn matches(&self) -> bool {
        self.applies && self.unmet_conditions.is_empty()
    }

    /// Returns why the rule does not match: each failed key of the rule, and what it needs. Empty if the rule matches.
    pub fn failures(&self, action: Action) -> Vec<(&'static str, String)> {
        if !self.applies {
            return vec![("actions", format!("is not about {action}"))];
        }
        self.unmet_conditions.iter().map(|unmet| (unmet.condition.name(), unmet.needed.clone())).collect()
    }
}

impl Policy {
    /// Explains the decision on a request. It first explains each required action, then each requested operation,
    /// separately. [`Policy::decide`] decides the request as a whole.
    pub fn explain(
        &self,
        signing_request: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
        now: Millis,
    ) -> Vec<Explanation> {
        let context = EvalContext::new(self, facts, caller, signing_request, now);
        let needs = signing_request.required_actions.iter().map(|RequiredAction { action, conversation, targets }| {
            let scope = ScopeContext::new(context, conversation.as_ref());
            explain_one(&AccessQuery { scope: &scope, parts: &scope.split(), action: *action, targets }, true)
        });
        let wants = signing_request.requested_grants.iter().flat_map(|RequestedGrant { resource, operations }| {
            operations.iter().map(move |action| {
                let scope = ScopeContext::new(context, Some(resource));
                explain_one(&AccessQuery { scope: &scope, parts: &scope.split(), action, targets: &[] }, false)
            })
        });
        needs.chain(wants).collect()
    }
}

fn explain_one(query: &AccessQuery<'_, '_>, required: bool) -> Explanation {
    let mut allowing = Vec::new();
    let outcome = decide_query(query, &mut allowing);
    let part = outcome.as_ref().err().and_then(DenyReasonRef::denied_part).cloned();
    let policy = query.context().policy;
    let rules = policy.document().rules.iter();
    Explanation {
        action: query.action,
        conversation: query.scope.conversation.cloned(),
        required,
        standings: roles(query),
        considered: entries(query),
        rules: rules.map(|rule| explain_rule(rule, query, part.as_ref())).collect(),
        outcome: match outcome {
            Ok(()) => Ok(allowing.into_iter().map(|rule| policy.rule_id(rule).to_string()).collect()),
            Err(deny_reason) => Err(deny_reason.into_denial(query)),
        },
    }
}

fn explain_rule(rule: &Rule, query: &AccessQuery<'_, '_>, part: Option<&Pattern>) -> RuleExplanation {
    let applies = rule.actions.contains(query.action);
    let misses = if applies { unmet_conditions(rule, query, part) } else { Vec::new() };
    RuleExplanation { id: rule.id.clone(), effect: rule.effect, applies, unmet_conditions: misses }
}

fn roles(query: &AccessQuery<'_, '_>) -> Vec<String> {
    let (context, scope) = (query.context(), query.scope);
    let hierarchy = &context.policy.document().role_hierarchy;
    let (caller, client) = (context.caller, &context.request.client);
    let describe = |role_query| scope.roles_in_scope(role_query).describe(hierarchy);
    let mut lines = Vec::new();
    if !client.is_empty() {
        lines.push(format!("{client} {}", describe(context.client())));
    }
    if !caller.is_client(client) {
        let kind = caller.kind.as_str();
        lines.push(format!("{} (the calling {kind}) {}", caller.subject, describe(context.caller_query())));
    }
    let targets = query.targets.iter();
    lines.extend(targets.map(|target| format!("{target} {}", describe(context.role_query(target, &[])))));
    lines
}

/// Returns the bans, mutes and blocks of the caller, the client and the targets, and whether each denies the action.
fn entries(query: &AccessQuery<'_, '_>) -> Vec<ConsideredEntry> {
    let context = query.context();
    let place = query.scope.conversation;
    let targets = query.targets.iter().map(String::as_str);
    let people = query.scope.actors().map(|actor| (actor, false)).chain(targets.map(|target| (target, true)));
    let entries =
        people.flat_map(|(name, target)| context.entries_about(name, place).map(move |entry| (name, target, entry)));
    let mut considered: Vec<ConsideredEntry> = Vec::new();
    for entry in entries.filter_map(|(name, target, entry)| explain_entry(query, name, target, entry)) {
        // For a pattern, the lookup may return an entry more than once.
        if !considered.contains(&entry) {
            considered.push(entry);
        }
    }
    considered.extend(blocked_by_conversation(query));
    considered
}

/// Returns the client and the targets if the conversation has blocked them.
fn blocked_by_conversation(query: &AccessQuery<'_, '_>) -> impl Iterator<Item = ConsideredEntry> {
    let client = &query.context().request.client;
    let told = query.scope.facts();
    let parts = std::iter::once((client, Action::Join)).chain(query.targets.iter().map(|one| (one, Action::Invite)));
    let shut_out = parts.filter(move |(user, _)| told.is_some_and(|told| told.has_blocked(user)));
    shut_out.map(|(user, entry)| {
        let counts = query.action == entry;
        let flaw = if counts { String::new() } else { format!("; {}", not_affected(query.action)) };
        ConsideredEntry { denies: counts, sentence: format!("{user} is blocked there by the facts{flaw}") }
    })
}

fn explain_entry(
    query: &AccessQuery<'_, '_>,
    name: &str,
    target: bool,
    entry: EntryRef<'_>,
) -> Option<ConsideredEntry> {
    let action = query.action;
    let (sentence, flaw) = match entry.kind() {
        UserEntryKind::Ban => {
            let can_deny = !target || ADDING_ACTIONS.contains(action);
            (describe_sanction(name, "banned", entry), why_not_effective(query, entry, target, can_deny))
        }
        UserEntryKind::Mute => {
            let bears = !target && ActionSet::SENDING.contains(action);
            (describe_sanction(name, "muted", entry), why_not_effective(query, entry, target, bears))
        }
        UserEntryKind::Block => {
            let here = query.scope.conversation.is_some_and(|place| entry.scope().overlaps(place));
            let bears = target && action == Action::Invite;
            let flaw = if !bears {
                Some(not_affected(action))
            } else if here {
                None
            } else {
                Some(OTHER_CONVERSATION.to_owned())
            };
            let by = describe_author(&entry.origin());
            (format!("{name} does not want to be added to {}{by}", entry.scope()), flaw)
        }
        UserEntryKind::Role => return None,
    };
    let counts = flaw.is_none();
    let sentence = flaw.map_or_else(|| sentence.clone(), |flaw| format!("{sentence}; {flaw}"));
    Some(ConsideredEntry { denies: counts, sentence })
}

const OTHER_CONVERSATION: &str = "this is about other conversations";

fn not_affected(action: Action) -> String {
    format!("this does not affect {action}")
}

/// Returns the reason why a ban or mute does not deny the action, or `None` if it denies the action. `bears` says
/// whether this type of sanction can deny the action for a person in this position (actor or target).
fn why_not_effective(query: &AccessQuery<'_, '_>, sanction: EntryRef<'_>, target: bool, bears: bool) -> Option<String> {
    let context = query.context();
    if !sanction.is_in_force(context.now) {
        return Some("this has ended".to_owned());
    }
    if !bears {
        return Some(not_affected(query.action));
    }
    if !target && !query.scope.applies_to_actor(sanction.user(), sanction) {
        return Some("this is about a user with this name, not about the service".to_owned());
    }
    (!context.is_in_force(sanction, query.scope.conversation)).then(|| OTHER_CONVERSATION.to_owned())
}

fn describe_sanction(name: &str, word: &str, sanction: EntryRef<'_>) -> String {
    let scope = sanction.scope();
    let place = if *scope == Pattern::Everything { String::new() } else { format!(" in {scope}") };
    let until = sanction.until().map(|until| format!(" until {until}")).unwrap_or_default();
    let reason = sanction.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{name} is {word}{place}{until}{reason}{}", describe_author(&sanction.origin()))
}
