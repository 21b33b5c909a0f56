//! The rules of a policy, compiled when the policy is loaded.
//!
//! For each app, kind of caller, effect and action there is a list of the rules that can match. A rule is not in the list
//! if one of its conditions can never be met there. The list also says which conditions of the rule remain to be checked:
//! those that depend on more than the app, the kind of caller and the action. Both come from
//! [`Condition::evaluate_for`]. Roles and kinds of conversations are compared as sets of bits.
//!
//! [`Condition::is_met`] checks the same conditions without this preparation. The tests below compare the two.

use std::ops::Range;

use super::access_query::AccessQuery;
use super::condition::{Condition, QueryClass, Ternary};
use super::rule::{Effect, Rule};
use crate::model::{Action, CallerKind, ConversationKind, Role};

/// The compiled rules of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct CompiledRules {
    /// The rules for each app that a rule names, sorted by the name of the app.
    named: Vec<(String, AppRules)>,
    /// The rules for every other app.
    others: AppRules,
    /// The sets of each rule, in the order of the policy file.
    sets: Vec<RuleSets>,
}

/// The compiled rules for one app.
#[derive(Clone, Debug, Default)]
pub(super) struct AppRules {
    /// The lists of all classes of queries, one after the other.
    rules: Vec<CompiledRule>,
    /// The range of each list in `rules`, by [`list_index`].
    lists: Vec<Range<usize>>,
    /// The indexes of the rules for this app that name conversations.
    naming_conversations: Vec<usize>,
    /// Whether a rule for this app has the condition `kinds`.
    has_kinds: bool,
}

/// A rule in a list, which belongs to a class of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompiledRule {
    /// The index of the rule in the policy file.
    index: usize,
    /// The conditions that remain to be checked.
    remaining: ConditionSet,
}

/// The roles and kinds that a rule names, as sets of bits.
#[derive(Clone, Copy, Debug, Default)]
struct RuleSets {
    roles: RoleSet,
    caller_roles: RoleSet,
    kinds: KindSet,
}

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ConditionSet(u16);

/// A set of roles. It has a bit for each value of a [`Role`].
#[derive(Clone, Copy, Debug, Default)]
struct RoleSet([u64; 4]);

/// A set of kinds of conversations.
#[derive(Clone, Copy, Debug, Default)]
struct KindSet(u8);

const KINDS_OF_CALLER: [CallerKind; 2] = [CallerKind::User, CallerKind::Service];
const EFFECTS: [Effect; 2] = [Effect::Allow, Effect::Deny];

/// Returns the index of the list of a class of queries.
fn list_index(effect: Effect, caller: CallerKind, action: Action) -> usize {
    (effect as usize * KINDS_OF_CALLER.len() + caller as usize) * Action::ALL.len() + action as usize
}

impl CompiledRules {
    /// Compiles the rules. They are evaluated in the order of their ids, because the order of the rules in the file must
    /// not matter.
    pub(super) fn new(rules: &[Rule]) -> CompiledRules {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|index| &rules[*index].id);
        let mut names: Vec<&String> = rules.iter().flat_map(|rule| rule.apps.iter().flatten()).collect();
        names.sort_unstable();
        names.dedup();
        let compile = |app: Option<&str>| AppRules::new(rules, &order, app);
        CompiledRules {
            named: names.into_iter().map(|name| (name.clone(), compile(Some(name)))).collect(),
            others: compile(None),
            sets: rules.iter().map(RuleSets::new).collect(),
        }
    }

    /// Returns the rules for this app.
    pub(super) fn for_app(&self, app: &str) -> &AppRules {
        let place = self.named.binary_search_by(|(name, _)| name.as_str().cmp(app));
        place.ok().and_then(|place| self.named.get(place)).map_or(&self.others, |(_, rules)| rules)
    }

    /// Returns whether the rule matches the query. `rule` is the rule of the policy file that was compiled.
    pub(super) fn is_match(&self, compiled: CompiledRule, rule: &Rule, query: &AccessQuery<'_, '_>) -> bool {
        let sets = self.sets.get(compiled.index).copied().unwrap_or_default();
        compiled.remaining.iter().all(|condition| match condition {
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
}

impl AppRules {
    fn new(rules: &[Rule], order: &[usize], app: Option<&str>) -> AppRules {
        let is_for_app = |rule: &Rule| app.map_or(rule.apps.is_none(), |app| rule.is_for_app(app));
        let naming = |index: &usize| rules[*index].conversations.is_some() && is_for_app(&rules[*index]);
        let mut compiled = AppRules {
            naming_conversations: (0..rules.len()).filter(naming).collect(),
            has_kinds: rules.iter().any(|rule| rule.kinds.is_some() && is_for_app(rule)),
            ..AppRules::default()
        };
        for effect in EFFECTS {
            for caller in KINDS_OF_CALLER {
                for action in Action::ALL.iter().copied() {
                    let class = QueryClass { app, caller, action };
                    let about = order.iter().map(|index| (*index, &rules[*index]));
                    let about = about.filter(|(_, rule)| rule.effect == effect && rule.actions.contains(action));
                    let start = compiled.rules.len();
                    compiled.rules.extend(about.filter_map(|(index, rule)| CompiledRule::new(index, rule, &class)));
                    compiled.lists.push(start..compiled.rules.len());
                }
            }
        }
        compiled
    }

    /// Returns the indexes of the rules for this app that name conversations.
    pub(super) fn naming_conversations(&self) -> &[usize] {
        &self.naming_conversations
    }

    /// Returns whether a rule for this app has the condition `kinds`.
    pub(super) fn has_kinds(&self) -> bool {
        self.has_kinds
    }

    /// Returns the rules that can match a query of this class, in the order in which they are evaluated.
    pub(super) fn list(&self, effect: Effect, caller: CallerKind, action: Action) -> &[CompiledRule] {
        let list = self.lists.get(list_index(effect, caller, action)).cloned().unwrap_or_default();
        self.rules.get(list).unwrap_or_default()
    }
}

impl CompiledRule {
    /// Returns `None` if the rule never matches a query of this class.
    fn new(index: usize, rule: &Rule, class: &QueryClass<'_>) -> Option<CompiledRule> {
        let mut remaining = ConditionSet::default();
        for condition in Condition::ALL {
            match condition.evaluate_for(rule, class) {
                Ternary::True => {}
                Ternary::Unknown => remaining.insert(condition),
                Ternary::False => return None,
            }
        }
        Some(CompiledRule { index, remaining })
    }

    /// Returns the index of the rule in the policy file.
    pub(super) fn index(self) -> usize {
        self.index
    }
}

impl RuleSets {
    fn new(rule: &Rule) -> RuleSets {
        let mut sets = RuleSets::default();
        rule.roles.iter().flatten().for_each(|role| sets.roles.insert(*role));
        rule.caller_roles.iter().flatten().for_each(|role| sets.caller_roles.insert(*role));
        rule.kinds.iter().flatten().for_each(|kind| sets.kinds.insert(*kind));
        sets
    }
}

impl ConditionSet {
    fn insert(&mut self, condition: Condition) {
        self.0 |= 1 << condition as u16;
    }

    /// Returns the conditions, the cheapest first.
    fn iter(self) -> impl Iterator<Item = Condition> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = Condition::ALL.get(rest.trailing_zeros() as usize).copied()?;
            rest &= rest - 1;
            Some(next)
        })
    }
}

impl RoleSet {
    fn insert(&mut self, Role(rank): Role) {
        self.0[usize::from(rank / 64)] |= 1 << (rank % 64);
    }

    fn contains_some(self, role: Option<Role>) -> bool {
        role.is_some_and(|Role(rank)| self.0[usize::from(rank / 64)] >> (rank % 64) & 1 == 1)
    }
}

impl KindSet {
    fn insert(&mut self, kind: ConversationKind) {
        self.0 |= 1 << kind as u8;
    }

    fn contains(self, kind: ConversationKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use serde_json::{Map, json};

    use super::super::access_query::ScopeContext;
    use super::super::effective_role::DecisionData;
    use super::super::eval_context::EvalContext;
    use super::super::{
        BindingEntry, ClientCondition, ConversationEntry, Policy, PolicyDocument, PolicyEntries, TargetCondition,
    };
    use super::*;
    use crate::model::{ActionSet, Caller, Millis, Pattern, RequiredAction, SigningRequest, Template, Vendor};

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
                    .filter(|(compiled, rule)| policy.compiled.is_match(*compiled, rule, &query))
                    .map(|(compiled, _)| compiled.index())
                    .collect();
                let is_match = |rule: &Rule| {
                    rule.effect == effect
                        && rule.actions.contains(action)
                        && Condition::ALL.into_iter().all(|condition| condition.is_met(rule, &query))
                };
                let expected: Vec<usize> = (0..rules.len()).filter(|index| is_match(&rules[*index])).collect();
                prop_assert_eq!(matching, expected);
            }
        }
    }

    #[test]
    fn each_condition_has_the_place_of_its_bit() {
        for (place, condition) in Condition::ALL.into_iter().enumerate() {
            assert_eq!(condition as usize, place);
        }
        for (place, action) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, place);
        }
    }
}
