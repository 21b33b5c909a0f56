//! Decides requests: the result is a [`Permit`] or a denial.
//!
//! This module does no I/O and reads no clock. It gets all data about users and conversations as [`DecisionData`], and
//! the time as an argument.

mod access_query;
mod claims;
mod compiled_rules;
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
mod rule_match;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use compiled_rules::CompiledRules;
pub use condition::Condition;
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
pub use rule_match::UnmetCondition;

/// A policy file, prepared for decisions.
#[derive(Clone, Debug)]
pub struct Policy {
    document: PolicyDocument,
    entry_index: EntryIndex,
    /// The rules, prepared for decisions.
    compiled: CompiledRules,
    /// The ids of the rules, in the order of the file, for the results of decisions.
    rule_ids: Vec<Arc<str>>,
}

impl Policy {
    /// Prepares a policy file for decisions.
    pub fn new(document: PolicyDocument) -> Policy {
        let entry_index = EntryIndex::new(&document.entries);
        let compiled = CompiledRules::new(&document.rules);
        let rule_ids = document.rules.iter().map(|rule| Arc::from(rule.id.as_str())).collect();
        Policy { document, entry_index, compiled, rule_ids }
    }

    /// Returns the policy file as it was read.
    pub fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// Returns the id of the rule with this index in the file.
    fn rule_id(&self, index: usize) -> Arc<str> {
        self.rule_ids.get(index).cloned().unwrap_or_default()
    }

    /// Returns the index of the policy file's entries about users and conversations.
    pub fn entries(&self) -> &EntryIndex {
        &self.entry_index
    }
}
