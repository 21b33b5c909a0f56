//! The conditions that a rule can have. For each condition: whether it is met, and a message if it is not.
//!
//! A condition is evaluated in one part of the requested pattern: see [`AccessQuery::in_parts`]. Allow and deny rules
//! evaluate conditions differently, and always on the safe side. In an allow rule, every target must meet the
//! condition. In a deny rule, one target is enough. If a condition is about something that the action does not have,
//! the rule does not match.

use super::access_query::AccessQuery;
use super::effective_role::{EffectiveRole, RoleQuery};
use super::rule::{ClientCondition, Effect, Rule, TargetCondition};
use crate::model::{Action, CallerKind, Pattern, Role, Template};

/// A condition: one key of a rule.
pub(super) struct Condition {
    /// The key in the policy file.
    pub(super) name: &'static str,
    holds: fn(&Rule, &AccessQuery<'_, '_>) -> bool,
    /// Describes what the condition needs and what it found. Called only if the condition is not met.
    miss: fn(&Rule, &AccessQuery<'_, '_>) -> String,
}

impl Condition {
    /// Returns whether the condition is met. A condition that the rule does not have is met.
    pub(super) fn holds(&self, rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
        (self.holds)(rule, question)
    }
}

/// All conditions, the cheapest first.
pub(super) const CONDITIONS: [Condition; 12] = [
    Condition { name: "apps", holds: apps, miss: apps_miss },
    Condition { name: "callers", holds: callers, miss: callers_miss },
    Condition { name: "services", holds: services, miss: services_miss },
    Condition { name: "authenticators", holds: authenticators, miss: authenticators_miss },
    Condition { name: "client", holds: client, miss: client_miss },
    Condition { name: "claims", holds: claims, miss: claims_miss },
    Condition { name: "max_members", holds: max_members, miss: max_members_miss },
    Condition { name: "conversations", holds: conversations, miss: conversations_miss },
    Condition { name: "roles", holds: roles, miss: roles_miss },
    Condition { name: "caller_roles", holds: caller_roles, miss: caller_roles_miss },
    Condition { name: "kinds", holds: kinds, miss: kinds_miss },
    Condition { name: "targets", holds: targets, miss: targets_miss },
];

/// The conditions that say which callers and apps a rule is for, independent of the requested action.
pub(super) const FOR_WHOM: [&str; 5] = ["apps", "callers", "services", "authenticators", "client"];

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetCondition {
    /// The key in the policy file.
    pub condition: &'static str,
    /// What the condition needs and what it found.
    pub needed: String,
    /// If the condition is met in the pattern as a whole: the part of the pattern where it is not met.
    pub spoiler: Option<Pattern>,
}

/// Returns whether all conditions of the rule are met.
pub(super) fn all_hold(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    CONDITIONS.iter().all(|condition| condition.holds(rule, question))
}

/// Returns the conditions that are not met in a part of the requested pattern, or in the whole if `part` is `None`.
pub(super) fn misses(rule: &Rule, question: &AccessQuery<'_, '_>, part: Option<&Pattern>) -> Vec<UnmetCondition> {
    let here = question.in_part(part);
    let failing = CONDITIONS.iter().filter(|condition| !condition.holds(rule, &here));
    failing
        .map(|condition| UnmetCondition {
            condition: condition.name,
            needed: (condition.miss)(rule, &here),
            spoiler: part.filter(|_| condition.holds(rule, question)).cloned(),
        })
        .collect()
}

/// Returns whether a condition is met. A condition that the rule does not have is met.
fn given<T: ?Sized>(condition: Option<&T>, test: impl FnOnce(&T) -> bool) -> bool {
    condition.is_none_or(test)
}

/// For an allow rule, at least one item must exist and all must fit. For a deny rule, one fitting item is enough.
fn enough<T>(effect: Effect, found: impl IntoIterator<Item = T>, fits: impl FnMut(T) -> bool) -> bool {
    let mut found = found.into_iter().peekable();
    match effect {
        Effect::Allow => found.peek().is_some() && found.all(fits),
        Effect::Deny => found.any(fits),
    }
}

fn apps(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    given(rule.apps.as_deref(), |apps| apps.iter().any(|app| **app == *question.context().request.app))
}

fn apps_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    format!("needs app {}; this is {}", alternatives(rule.apps.iter().flatten()), question.context().request.app)
}

/// Returns whether the rule is for this kind of caller. An app token gives access to the whole app, so no rule gives it
/// to a user.
fn callers(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let kind = question.context().caller.kind;
    let may_have = rule.effect == Effect::Deny || question.action != Action::AppToken || kind == CallerKind::Service;
    may_have && given(rule.callers.as_deref(), |callers| callers.contains(&kind))
}

fn callers_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let caller = question.context().caller;
    if question.action == Action::AppToken {
        return format!("only services may get an app token; {} is a {}", caller.subject, caller.kind.as_str());
    }
    let needed = alternatives(rule.callers.iter().flatten().map(|kind| kind.as_str()));
    format!("needs a {needed} as caller; {} is a {}", caller.subject, caller.kind.as_str())
}

fn services(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let caller = question.context().caller;
    given(rule.services.as_deref(), |services| caller.kind == CallerKind::Service && services.contains(&caller.subject))
}

fn services_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let caller = question.context().caller;
    let needed = alternatives(rule.services.iter().flatten());
    format!("needs service {needed}; the caller is the {} {}", caller.kind.as_str(), caller.subject)
}

fn authenticators(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let own = &question.context().caller.authenticator;
    given(rule.authenticators.as_deref(), |names| names.iter().any(|name| **name == **own))
}

fn authenticators_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let needed = alternatives(rule.authenticators.iter().flatten());
    format!("needs authenticator {needed}; the caller's authenticator is {}", question.context().caller.authenticator)
}

/// Returns whether the rule allows this combination of caller and client.
///
/// A user needs a role to act for any client. So an allow rule with `client = "any"` and without `caller_roles` never
/// matches a user, even if the configuration check did not reject the rule. If `callers` excludes users, this condition
/// is met, so the message is about `callers`.
fn client(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let case = question.context();
    match rule.client() {
        ClientCondition::Itself => case.caller.is_client(&case.request.client),
        ClientCondition::Anyone => {
            let keeps_users_out = rule.callers.as_deref().is_some_and(|callers| !callers.contains(&CallerKind::User));
            let is_service = case.caller.kind == CallerKind::Service;
            rule.effect == Effect::Deny || is_service || rule.caller_roles.is_some() || keeps_users_out
        }
    }
}

fn client_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let (caller, client) = (question.context().caller, &question.context().request.client);
    match (rule.client(), caller.kind) {
        (ClientCondition::Anyone, _) => {
            "lets a user act for any client only with `caller_roles`, which the rule does not have".to_owned()
        }
        (ClientCondition::Itself, CallerKind::User) => {
            format!("needs the caller to be the client; the caller is {}, the client {client}", caller.subject)
        }
        (ClientCondition::Itself, CallerKind::Service) => {
            format!("needs the caller to be the client; the service {} is never the client", caller.subject)
        }
    }
}

fn claims(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    rule.claims.iter().all(|(name, value)| question.context().caller.claim(name) == Some(value))
}

fn claims_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let failing = rule.claims.iter().filter(|(name, value)| question.context().caller.claim(name) != Some(value));
    let needed: Vec<_> = failing.map(|(name, value)| format!("{name} = {value}")).collect();
    format!("needs the caller's token to contain {}; it does not", needed.join(" and "))
}

fn max_members(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    rule.max_members.is_none_or(|max| question.count_members() <= max)
}

fn max_members_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let max = rule.max_members.unwrap_or_default();
    format!("needs at most {max} members; this has {}", question.count_members())
}

/// Returns whether the rule is about the conversation. An allow rule without `conversations` is about everything that
/// `*` covers. So it is not about names that start with `[`, which a rule must name.
fn conversations(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    let (case, place) = (question.context(), question.scope.conversation);
    let Some(templates) = rule.conversations.as_deref() else {
        return rule.effect == Effect::Deny || place.is_none_or(|place| Pattern::Everything.covers(place));
    };
    place.is_some_and(|place| {
        templates.iter().any(|template| {
            let fits = |pattern: &Pattern| match rule.effect {
                Effect::Allow => pattern.covers(place),
                Effect::Deny => pattern.applies_to_all(place),
            };
            match template.fixed() {
                Some(pattern) => fits(pattern),
                None => case.fill_template(rule.effect, template, place).as_ref().is_some_and(fits),
            }
        })
    })
}

fn conversations_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let sources = rule.conversations.iter().flatten().map(Template::source);
    let needed = alternatives(sources);
    match question.scope.conversation {
        Some(place) if rule.conversations.is_none() => format!("needs `conversations` that name {place}"),
        Some(place) => format!("needs a conversation in {needed}; this is {place}"),
        None => format!("needs a conversation in {needed}; {} has none", question.action),
    }
}

fn roles(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    given(rule.roles.as_deref(), |roles| role_fits(roles, question.scope.client()))
}

fn roles_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let case = question.context();
    role_miss(rule.roles.as_deref(), &case.request.client, case.client(), question)
}

fn caller_roles(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    given(rule.caller_roles.as_deref(), |roles| role_fits(roles, question.scope.caller()))
}

fn caller_roles_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let case = question.context();
    let needed = role_miss(rule.caller_roles.as_deref(), &case.caller.subject, case.caller_query(), question);
    format!("{needed}, as the caller")
}

fn role_fits(roles: &[Role], held: &EffectiveRole) -> bool {
    held.role.is_some_and(|role| roles.contains(&role))
}

fn role_miss(roles: Option<&[Role]>, name: &str, person: RoleQuery<'_>, question: &AccessQuery<'_, '_>) -> String {
    let ladder = &question.context().policy.document().role_hierarchy;
    let needed = alternatives(roles.iter().copied().flatten().map(|role| ladder.name(*role)));
    let place = match question.scope.conversation {
        Some(place) if place.exact().is_none() => format!(" throughout {place}"),
        _ => String::new(),
    };
    if name.is_empty() {
        return format!("needs role {needed}{place}; there is no client");
    }
    format!("needs role {needed}{place}; {name} {}", question.scope.roles_in_scope(person).describe(ladder))
}

fn kinds(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    given(rule.kinds.as_deref(), |kinds| question.scope.kind().is_some_and(|kind| kinds.contains(&kind)))
}

fn kinds_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let needed = alternatives(rule.kinds.iter().flatten().map(|kind| kind.as_str()));
    match (question.scope.kind(), question.scope.conversation) {
        (Some(kind), Some(place)) => format!("needs kind {needed}; {place} is of kind {kind}"),
        _ => format!("needs kind {needed}; {} has no conversation", question.action),
    }
}

fn targets(rule: &Rule, question: &AccessQuery<'_, '_>) -> bool {
    rule.targets
        .is_none_or(|are| enough(rule.effect, question.targets, |target| target_fits(rule, are, target, question)))
}

fn target_fits(rule: &Rule, are: TargetCondition, target: &str, question: &AccessQuery<'_, '_>) -> bool {
    let client = &question.context().request.client;
    match are {
        TargetCondition::Itself => target == client,
        TargetCondition::Others => target != client,
        TargetCondition::Outranked => target != client && outranks(rule.effect, question, target),
    }
}

/// Returns whether the target's role is weaker than the client's. Roles from tokens do not count.
///
/// If a target's role is not in the policy's list, its rank is unknown. So in an allow rule, nobody outranks this
/// target. In a deny rule, the target counts as a user without a role. The same applies to the remembered owner of a
/// conversation that was forgotten.
fn outranks(effect: Effect, question: &AccessQuery<'_, '_>, target: &str) -> bool {
    let held = question.scope.target(target);
    let is_protected = || effect == Effect::Allow && question.scope.is_protected(target, &held);
    held.role < question.scope.client_without_token().role && !is_protected()
}

fn targets_miss(rule: &Rule, question: &AccessQuery<'_, '_>) -> String {
    let Some(are) = rule.targets else {
        return String::new();
    };
    let failing = question.targets.iter().find(|target| !target_fits(rule, are, target, question));
    let client = &question.context().request.client;
    match (failing, are) {
        (None, _) => format!("needs targets; {} here has none", question.action),
        (Some(target), TargetCondition::Itself) => {
            format!("needs only the client itself as target; {target} is not {client}")
        }
        (Some(target), TargetCondition::Others) => format!("needs others as targets; {target} is the client"),
        (Some(_), TargetCondition::Outranked) if client.is_empty() => {
            "needs targets whom the client outranks; there is no client".to_owned()
        }
        (Some(target), TargetCondition::Outranked) => {
            let (case, ladder) = (question.context(), &question.context().policy.document().role_hierarchy);
            let describe = |name| question.scope.roles_in_scope(case.role_query(name, &[])).describe(ladder);
            format!(
                "needs targets whom the client outranks; {target} {}, {client} {} (a token's roles do not count for this)",
                describe(target),
                describe(client)
            )
        }
    }
}

/// Returns "a", "a or b", or "a, b or c".
pub(super) fn alternatives(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
