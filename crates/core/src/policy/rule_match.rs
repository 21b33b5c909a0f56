//! Whether a rule matches a query: evaluates its conditions. For each condition: its value, and a message if it is not met.
//!
//! A condition is evaluated in one part of the requested pattern: see [`AccessQuery::in_parts`]. Allow and deny rules
//! evaluate conditions differently, and always on the safe side. In an allow rule, every target must meet the
//! condition. In a deny rule, one target is enough. If a condition is about something that the action does not have,
//! the rule does not match.

use super::access_query::AccessQuery;
use super::compiled_rules::{CompiledRule, CompiledRules};
use super::condition::{Condition, Ternary, accepts_any_client, accepts_caller};
use super::effective_role::{EffectiveRole, RoleQuery};
use super::rule::{ClientCondition, Effect, Rule, TargetCondition};
use crate::model::{ActionSet, CallerKind, Pattern, Role, Template};

/// Returns whether a compiled rule matches the query. `rule` is the rule of the policy file that was compiled.
pub(super) fn is_match(
    rules: &CompiledRules,
    compiled: CompiledRule,
    rule: &Rule,
    query: &AccessQuery<'_, '_>,
) -> bool {
    let sets = rules.sets_of(compiled);
    compiled.remaining().all(|condition| match condition {
        Condition::Roles => sets.roles.contains_some(query.scope.client().role),
        Condition::CallerRoles => sets.caller_roles.contains_some(query.scope.caller().role),
        Condition::Kinds => query.scope.kind().is_some_and(|kind| sets.kinds.contains(kind)),
        Condition::Apps
        | Condition::Callers
        | Condition::Services
        | Condition::Authenticators
        | Condition::Client
        | Condition::Claims
        | Condition::MaxMembers
        | Condition::Conversations
        | Condition::Targets => condition.is_met(rule, query),
    })
}

impl Condition {
    /// Evaluates the condition before the facts server is asked. A condition that facts can change is unknown. A
    /// condition that the rule does not have is met.
    fn evaluate_before_facts(self, rule: &Rule, query: &AccessQuery<'_, '_>) -> Ternary {
        if self.depends_on_facts(rule, query) {
            return Ternary::Unknown;
        }
        if self.is_met(rule, query) { Ternary::True } else { Ternary::False }
    }

    /// Returns whether the condition is met, if no further facts come.
    pub(super) fn is_met(self, rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
        match self {
            Condition::Apps => apps(rule, query),
            Condition::Callers => callers(rule, query),
            Condition::Services => services(rule, query),
            Condition::Authenticators => authenticators(rule, query),
            Condition::Client => client(rule, query),
            Condition::Claims => claims(rule, query),
            Condition::MaxMembers => max_members(rule, query),
            Condition::Conversations => conversations(rule, query),
            Condition::Roles => roles(rule, query),
            Condition::CallerRoles => caller_roles(rule, query),
            Condition::Kinds => kinds(rule, query),
            Condition::Targets => targets(rule, query),
        }
    }

    /// Returns whether facts can change the result. The facts server knows only single conversations.
    fn depends_on_facts(self, rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
        let (scope, context) = (query.scope, query.context());
        let is_one = |place: &&Pattern| place.home_conversation().exact().is_some();
        let Some(place) = scope.conversation.filter(is_one) else { return false };
        let is_open = |role: &EffectiveRole| !role.is_from_entries();
        match self {
            Condition::Roles => rule.roles.is_some() && is_open(scope.client()),
            Condition::CallerRoles => {
                let is_user = context.caller.kind == CallerKind::User;
                rule.caller_roles.is_some() && is_user && is_open(scope.caller())
            }
            Condition::Kinds => rule.kinds.is_some() && context.facts.known_kind(place, &context.request.app).is_none(),
            Condition::Targets => {
                let any_target = || query.targets.iter().any(|target| is_open(&scope.target(target)));
                let is_ranked = rule.targets == Some(TargetCondition::Outranked) && !query.targets.is_empty();
                is_ranked && (is_open(scope.client_without_token()) || any_target())
            }
            Condition::Apps
            | Condition::Callers
            | Condition::Services
            | Condition::Authenticators
            | Condition::Client
            | Condition::Claims
            | Condition::MaxMembers
            | Condition::Conversations => false,
        }
    }

    /// Describes what the condition needs and what it found. Called only if the condition is not met.
    fn describe_miss(self, rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
        match self {
            Condition::Apps => apps_miss(rule, query),
            Condition::Callers => callers_miss(rule, query),
            Condition::Services => services_miss(rule, query),
            Condition::Authenticators => authenticators_miss(rule, query),
            Condition::Client => client_miss(rule, query),
            Condition::Claims => claims_miss(rule, query),
            Condition::MaxMembers => max_members_miss(rule, query),
            Condition::Conversations => conversations_miss(rule, query),
            Condition::Roles => roles_miss(rule, query),
            Condition::CallerRoles => caller_roles_miss(rule, query),
            Condition::Kinds => kinds_miss(rule, query),
            Condition::Targets => targets_miss(rule, query),
        }
    }
}

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetCondition {
    /// The condition.
    pub condition: Condition,
    /// What the condition needs and what it found.
    pub needed: String,
    /// If the condition is met in the pattern as a whole: the part of the pattern where it is not met.
    pub spoiler: Option<Pattern>,
}

/// Evaluates whether a rule matches, before the facts server is asked.
pub(super) fn evaluate_before_facts(rule: &Rule, query: &AccessQuery<'_, '_>) -> Ternary {
    let mut result = Ternary::True;
    for condition in Condition::ALL {
        result = result.min(condition.evaluate_before_facts(rule, query));
        if result == Ternary::False {
            break;
        }
    }
    result
}

/// Returns the conditions that are not met in a part of the requested pattern, or in the whole if `part` is `None`.
pub(super) fn unmet_conditions(
    rule: &Rule,
    query: &AccessQuery<'_, '_>,
    part: Option<&Pattern>,
) -> Vec<UnmetCondition> {
    let here = query.in_part(part);
    let unmet = Condition::ALL.into_iter().filter(|condition| !condition.is_met(rule, &here));
    unmet
        .map(|condition| UnmetCondition {
            condition,
            needed: condition.describe_miss(rule, &here),
            spoiler: part.filter(|_| condition.is_met(rule, query)).cloned(),
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

fn apps(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    given(rule.apps.as_deref(), |apps| apps.iter().any(|app| **app == *query.context().request.app))
}

fn apps_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    format!("needs app {}; this is {}", alternatives(rule.apps.iter().flatten()), query.context().request.app)
}

fn callers(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    accepts_caller(rule, query.context().caller.kind, query.action)
}

fn callers_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let caller = query.context().caller;
    if ActionSet::SERVICES_ONLY.contains(query.action) && caller.kind == CallerKind::User {
        return format!("{} is for services only; {} is a user", query.action, caller.subject);
    }
    let needed = alternatives(rule.callers.iter().flatten().map(|kind| kind.as_str()));
    format!("needs a {needed} as caller; {} is a {}", caller.subject, caller.kind.as_str())
}

fn services(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    let caller = query.context().caller;
    given(rule.services.as_deref(), |services| caller.kind == CallerKind::Service && services.contains(&caller.subject))
}

fn services_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let caller = query.context().caller;
    let needed = alternatives(rule.services.iter().flatten());
    format!("needs service {needed}; the caller is the {} {}", caller.kind.as_str(), caller.subject)
}

fn authenticators(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    let own = &query.context().caller.authenticator;
    given(rule.authenticators.as_deref(), |names| names.iter().any(|name| **name == **own))
}

fn authenticators_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let needed = alternatives(rule.authenticators.iter().flatten());
    format!("needs authenticator {needed}; the caller's authenticator is {}", query.context().caller.authenticator)
}

/// Returns whether the rule allows this combination of caller and client.
///
/// A user needs a role to act for any client. So an allow rule with `client = "any"` and without `caller_roles` never
/// matches a user, even if the configuration check did not reject the rule. If `callers` excludes users, this condition
/// is met, so the message is about `callers`.
fn client(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    let context = query.context();
    match rule.client() {
        ClientCondition::Itself => context.caller.is_client(&context.request.client),
        ClientCondition::Anyone => accepts_any_client(rule, context.caller.kind),
    }
}

fn client_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let (caller, client) = (query.context().caller, &query.context().request.client);
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

fn claims(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    rule.claims.iter().all(|(name, value)| query.context().caller.claim(name) == Some(value))
}

fn claims_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let failing = rule.claims.iter().filter(|(name, value)| query.context().caller.claim(name) != Some(value));
    let needed: Vec<_> = failing.map(|(name, value)| format!("{name} = {value}")).collect();
    format!("needs the caller's token to contain {}; it does not", needed.join(" and "))
}

fn max_members(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    // Repeated names count once, so the number of names is at least the number of members.
    rule.max_members.is_none_or(|max| query.count_names() <= max || query.count_members() <= max)
}

fn max_members_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let max = rule.max_members.unwrap_or_default();
    format!("needs at most {max} members; this has {}", query.count_members())
}

/// Returns whether the rule is about the conversation. An allow rule without `conversations` is about everything that
/// `*` covers. So it is not about names that start with `[`, which a rule must name.
fn conversations(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    let (context, place) = (query.context(), query.scope.conversation);
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
                None => context.fill_template(rule.effect, template, place).as_ref().is_some_and(fits),
            }
        })
    })
}

fn conversations_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let sources = rule.conversations.iter().flatten().map(Template::source);
    let needed = alternatives(sources);
    match query.scope.conversation {
        Some(place) if rule.conversations.is_none() => format!("needs `conversations` that name {place}"),
        Some(place) => format!("needs a conversation in {needed}; this is {place}"),
        None => format!("needs a conversation in {needed}; {} has none", query.action),
    }
}

fn roles(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    given(rule.roles.as_deref(), |roles| role_fits(roles, query.scope.client()))
}

fn roles_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let context = query.context();
    role_miss(rule.roles.as_deref(), &context.request.client, context.client(), query)
}

fn caller_roles(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    given(rule.caller_roles.as_deref(), |roles| role_fits(roles, query.scope.caller()))
}

fn caller_roles_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let context = query.context();
    let needed = role_miss(rule.caller_roles.as_deref(), &context.caller.subject, context.caller_query(), query);
    format!("{needed}, as the caller")
}

fn role_fits(roles: &[Role], held: &EffectiveRole) -> bool {
    held.role.is_some_and(|role| roles.contains(&role))
}

fn role_miss(roles: Option<&[Role]>, name: &str, role_query: RoleQuery<'_>, query: &AccessQuery<'_, '_>) -> String {
    let hierarchy = &query.context().policy.document().role_hierarchy;
    let needed = alternatives(roles.iter().copied().flatten().map(|role| hierarchy.name(*role)));
    let place = match query.scope.conversation {
        Some(place) if place.exact().is_none() => format!(" throughout {place}"),
        _ => String::new(),
    };
    if name.is_empty() {
        return format!("needs role {needed}{place}; there is no client");
    }
    format!("needs role {needed}{place}; {name} {}", query.scope.roles_in_scope(role_query).describe(hierarchy))
}

fn kinds(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    given(rule.kinds.as_deref(), |kinds| query.scope.kind().is_some_and(|kind| kinds.contains(&kind)))
}

fn kinds_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let needed = alternatives(rule.kinds.iter().flatten().map(|kind| kind.as_str()));
    match (query.scope.kind(), query.scope.conversation) {
        (Some(kind), Some(place)) => format!("needs kind {needed}; {place} is of kind {kind}"),
        _ => format!("needs kind {needed}; {} has no conversation", query.action),
    }
}

fn targets(rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
    rule.targets.is_none_or(|are| enough(rule.effect, query.targets, |target| target_fits(rule, are, target, query)))
}

fn target_fits(rule: &Rule, are: TargetCondition, target: &str, query: &AccessQuery<'_, '_>) -> bool {
    let client = &query.context().request.client;
    match are {
        TargetCondition::Itself => target == client,
        TargetCondition::Others => target != client,
        TargetCondition::Outranked => target != client && outranks(rule.effect, query, target),
    }
}

/// Returns whether the target's role is weaker than the client's. Roles from tokens do not count.
///
/// If a target's role is not in the policy's list, its rank is unknown. So in an allow rule, nobody outranks this
/// target. In a deny rule, the target counts as a user without a role. The same applies to the remembered owner of a
/// conversation that was forgotten.
fn outranks(effect: Effect, query: &AccessQuery<'_, '_>, target: &str) -> bool {
    let held = query.scope.target(target);
    let is_protected = || effect == Effect::Allow && query.scope.is_protected(target, &held);
    held.role < query.scope.client_without_token().role && !is_protected()
}

fn targets_miss(rule: &Rule, query: &AccessQuery<'_, '_>) -> String {
    let Some(are) = rule.targets else {
        return String::new();
    };
    let failing = query.targets.iter().find(|target| !target_fits(rule, are, target, query));
    let client = &query.context().request.client;
    match (failing, are) {
        (None, _) => format!("needs targets; {} here has none", query.action),
        (Some(target), TargetCondition::Itself) => {
            format!("needs only the client itself as target; {target} is not {client}")
        }
        (Some(target), TargetCondition::Others) => format!("needs others as targets; {target} is the client"),
        (Some(_), TargetCondition::Outranked) if client.is_empty() => {
            "needs targets that the client outranks; there is no client".to_owned()
        }
        (Some(target), TargetCondition::Outranked) => {
            let (context, hierarchy) = (query.context(), &query.context().policy.document().role_hierarchy);
            let describe = |name| query.scope.roles_in_scope(context.role_query(name, &[])).describe(hierarchy);
            format!(
                "needs targets that the client outranks; {target} {}, {client} {} (a token's roles do not count for this)",
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use serde_json::{Map, json};

    use super::super::access_query::ScopeContext;
    use super::super::compiled_rules::{EFFECTS, KINDS_OF_CALLER};
    use super::super::effective_role::DecisionData;
    use super::super::eval_context::EvalContext;
    use super::super::{BindingEntry, ConversationEntry, Policy, PolicyDocument, PolicyEntries};
    use super::*;
    use crate::model::{Action, Caller, ConversationKind, Millis, RequiredAction, SigningRequest, Vendor};

    const ACTIONS: [Action; 5] = [Action::Invite, Action::Create, Action::Publish, Action::AppToken, Action::SetRole];
    const NAMES: [&str; 3] = ["tom", "mary", "bot"];

    /// Returns the condition in half of the cases.
    fn perhaps<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = Option<Vec<T>>> + use<T> {
        prop::option::of(subsequence(values.to_vec(), 0..=values.len()))
    }

    fn names(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    fn about_callers() -> impl Strategy<Value = Rule> {
        let parts = (
            select(EFFECTS.to_vec()),
            subsequence(ACTIONS.to_vec(), 0..=ACTIONS.len()),
            perhaps(&KINDS_OF_CALLER),
            perhaps(&names(&["bot", "tom"])),
            perhaps(&names(&["idp", "other"])),
            perhaps(&names(&["chat", "talk"])),
            prop::option::of(select(vec![ClientCondition::Itself, ClientCondition::Anyone])),
            any::<bool>(),
        );
        parts.prop_map(|(effect, actions, callers, services, authenticators, apps, client, is_paying)| Rule {
            callers,
            services,
            authenticators,
            apps,
            client,
            claims: is_paying.then(|| ("paying".to_owned(), json!(true))).into_iter().collect(),
            ..Rule::new("rule", effect, ActionSet::of(&actions))
        })
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let roles: Vec<Role> = [0, 1, 2, 63, 64, 255].map(Role).to_vec();
        let targets = vec![TargetCondition::Itself, TargetCondition::Others, TargetCondition::Outranked];
        let parts = (
            about_callers(),
            perhaps(&roles),
            perhaps(&roles),
            perhaps(&ConversationKind::ALL),
            perhaps(&names(&["room", "chat:*", "{client}"])),
            prop::option::of(0..3_usize),
            prop::option::of(select(targets)),
        );
        parts.prop_map(|(rule, roles, caller_roles, kinds, conversations, max_members, targets)| {
            let templates = |texts: Vec<String>| texts.iter().filter_map(|text| Template::parse(text).ok()).collect();
            let conversations = conversations.map(templates);
            Rule { roles, caller_roles, targets, kinds, conversations, max_members, ..rule }
        })
    }

    fn entries() -> impl Strategy<Value = PolicyEntries> {
        let bound =
            (select(NAMES.to_vec()), select(vec!["room", "*", "chat:*"]), select(vec![0_u8, 1, 2, 63, 64, 255]));
        let kind = prop::option::of(select(ConversationKind::ALL.to_vec()));
        (prop::collection::vec(bound, 0..4), kind).prop_map(|(bound, kind)| {
            let bindings = bound.into_iter().filter_map(|(user, scope, role)| {
                let (user, scope) = (user.to_owned(), Pattern::parse(scope).ok()?);
                Some(BindingEntry { user, scope, app: None, role: Some(Role(role)), line: 1 })
            });
            let conversations = kind.map(|kind| ConversationEntry {
                id: "room".to_owned(),
                app: None,
                kind,
                members: Vec::new(),
                line: 1,
            });
            PolicyEntries {
                bindings: bindings.collect(),
                conversations: conversations.into_iter().collect(),
                ..PolicyEntries::default()
            }
        })
    }

    fn caller() -> impl Strategy<Value = Caller> {
        let parts =
            (select(KINDS_OF_CALLER.to_vec()), select(NAMES.to_vec()), select(vec!["idp", "third"]), any::<bool>());
        parts.prop_map(|(kind, subject, authenticator, is_paying)| Caller {
            kind,
            subject: subject.to_owned(),
            authenticator: authenticator.into(),
            claims: Map::from_iter([("paying".to_owned(), json!(is_paying))]),
            bindings: vec![(Pattern::Exact("room".to_owned()), Role(1))],
        })
    }

    fn signing_request() -> impl Strategy<Value = SigningRequest> {
        let parts = (
            select(vec!["chat", "talk", "third"]),
            select(ACTIONS.to_vec()),
            select(vec!["tom", "mary", ""]),
            prop::option::of(select(vec!["room", "chat:*", "tom", "*", "[q]room"])),
            subsequence(NAMES.to_vec(), 0..3),
        );
        parts.prop_map(|(app, action, client, conversation, targets)| {
            let conversation = conversation.and_then(|text| Pattern::parse(text).ok());
            let targets = names(&targets);
            SigningRequest {
                app: app.into(),
                vendor: Vendor::LeanCloud,
                action,
                client: client.to_owned(),
                conversation: conversation.clone(),
                members: targets.clone(),
                required_actions: vec![RequiredAction { action, conversation, targets }],
                requested_grants: Vec::new(),
                left_out: Vec::new(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn compiled_rules_match_as_their_conditions_do(
            rules in prop::collection::vec(rule(), 1..4),
            entries in entries(),
            caller in caller(),
            request in signing_request(),
        ) {
            let hierarchy = crate::model::RoleHierarchy::new((0..64).map(|rank| format!("role-{rank}")));
            let policy = Policy::new(PolicyDocument {
                role_hierarchy: hierarchy,
                default_role: Some(Role(0)),
                rules: rules.clone(),
                entries,
                ..PolicyDocument::default()
            });
            let facts = DecisionData::file_only(policy.entries());
            let context = EvalContext::new(&policy, facts, &caller, &request, Millis(1));
            let scope = ScopeContext::new(context, request.conversation.as_ref());
            let action = request.action;
            let query = AccessQuery { scope: &scope, parts: &[], action, targets: &request.members };
            for effect in EFFECTS {
                let list: Vec<_> = context.rules(effect, action).collect();
                let matching: Vec<usize> = list
                    .iter()
                    .filter(|(compiled, rule)| is_match(&policy.compiled, *compiled, rule, &query))
                    .map(|(compiled, _)| compiled.index())
                    .collect();
                let is_plain_match = |rule: &Rule| {
                    rule.effect == effect
                        && rule.actions.contains(action)
                        && Condition::ALL.into_iter().all(|condition| condition.is_met(rule, &query))
                };
                let expected: Vec<usize> = (0..rules.len()).filter(|index| is_plain_match(&rules[*index])).collect();
                prop_assert_eq!(matching, expected);
            }
        }
    }
}
