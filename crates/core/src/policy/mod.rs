//! Decides requests: the result is a [`Permit`] or a denial.
//!
//! This module does no I/O and reads no clock. It gets all data about users and conversations as [`DecisionData`], and
//! the time as an argument.

mod access_query;
mod claims;
mod condition;
mod conversation_facts;
mod decision;
mod effective_role;
mod entry_index;
mod eval_context;
mod evaluate;
mod explain;
mod lint;
mod narrow;
mod partial;
mod parts;
mod rank;
mod rule;
#[cfg(test)]
mod tests;

pub use condition::{Condition, UnmetCondition};
pub use conversation_facts::{ConversationDetails, ConversationFacts};
pub(crate) use decision::describe_scope;
pub use decision::{Denial, DenyReason, NearestRule, OtherClient, Permit, for_operator};
pub use effective_role::DecisionData;
pub use entry_index::{EntryIndex, EntryRef, RoleBinding, RoleGrant, UserEntry, UserEntryKind};
pub(crate) use entry_index::{RowNumber, SortedRows};
pub use evaluate::Denied;
pub use explain::{ConsideredEntry, Explanation, RuleExplanation};
pub use lint::{ConversationNames, LintApp, LintLocation, LintWarning, VendorFeatures, lint};
pub use partial::FactsRelevance;
pub use rank::{Rank, RankUncertainty};
pub use rule::{
    BindingEntry, Block, ClientCondition, ConversationEntry, Effect, EntryAuthor, EntryOrigin, PolicyDocument,
    PolicyEntries, Rule, Sanction, TargetCondition,
};

use crate::model::Action;

/// A policy file, prepared for decisions.
#[derive(Clone, Debug)]
pub struct Policy {
    document: PolicyDocument,
    entry_index: EntryIndex,
    /// For each effect and action, the indexes of the rules about the action, sorted by rule id.
    by_action: [Vec<Vec<usize>>; 2],
}

impl Policy {
    /// Prepares a policy file for decisions.
    pub fn new(document: PolicyDocument) -> Policy {
        let entry_index = EntryIndex::new(&document.entries);
        let by_action = [Effect::Allow, Effect::Deny].map(|effect| rules_by_action(&document.rules, effect));
        Policy { document, entry_index, by_action }
    }

    /// Returns the policy file as it was read.
    pub fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// Returns the index of the policy file's entries about users and conversations.
    pub fn entries(&self) -> &EntryIndex {
        &self.entry_index
    }

    /// Returns the rules that have this effect and are about this action. They are sorted by id, because the order of
    /// the rules in the file must not matter.
    fn rules(&self, effect: Effect, action: Action) -> impl Iterator<Item = &Rule> {
        let of_effect = &self.by_action[effect as usize];
        of_effect.get(action as usize).into_iter().flatten().filter_map(|index| self.document.rules.get(*index))
    }
}

fn rules_by_action(rules: &[Rule], effect: Effect) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rules.len()).filter(|index| rules[*index].effect == effect).collect();
    order.sort_by_key(|index| &rules[*index].id);
    let about =
        |action: &Action| order.iter().copied().filter(|index| rules[*index].actions.contains(*action)).collect();
    Action::ALL.iter().map(about).collect()
}
