//! The rules of a policy, compiled when the policy is loaded.
//!
//! For each app, kind of caller, effect and action there is a list of the rules that can match. A rule is not in the list
//! if one of its conditions can never be met there. The list also says which conditions of the rule remain to be checked:
//! those that depend on more than the app, the kind of caller and the action. Both come from
//! [`Condition::evaluate_for`]. Roles and kinds of conversations are compared as sets of bits.
//!
//! `Condition::is_met` checks the same conditions without this preparation. A test compares the two.

use std::ops::Range;

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
pub(super) struct RuleSets {
    pub(super) roles: RoleSet,
    pub(super) caller_roles: RoleSet,
    pub(super) kinds: KindSet,
}

/// A set of conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ConditionSet(u16);

/// A set of roles. It has a bit for each value of a [`Role`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoleSet([u64; 4]);

/// A set of kinds of conversations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindSet(u8);

pub(super) const KINDS_OF_CALLER: [CallerKind; 2] = [CallerKind::User, CallerKind::Service];
pub(super) const EFFECTS: [Effect; 2] = [Effect::Allow, Effect::Deny];

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

    /// Returns the roles and kinds that a rule names.
    pub(super) fn sets_of(&self, compiled: CompiledRule) -> RuleSets {
        self.sets.get(compiled.index).copied().unwrap_or_default()
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

    /// Returns the conditions that remain to be checked, the cheapest first.
    pub(super) fn remaining(self) -> impl Iterator<Item = Condition> {
        self.remaining.iter()
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

    pub(super) fn contains_some(self, role: Option<Role>) -> bool {
        role.is_some_and(|Role(rank)| self.0[usize::from(rank / 64)] >> (rank % 64) & 1 == 1)
    }
}

impl KindSet {
    fn insert(&mut self, kind: ConversationKind) {
        self.0 |= 1 << kind as u8;
    }

    pub(super) fn contains(self, kind: ConversationKind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
