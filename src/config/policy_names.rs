//! The names that the parts of `policy.toml` refer to, and the places of its entries.

use toml::de::DeValue;

use super::reader::{ConfigItem, Section, quoted};
use super::report::ByteRange;
use crate::model::RoleHierarchy;
use crate::policy::LintLocation;

/// The names that the entries of a policy can refer to.
pub(super) struct PolicyNames<'n> {
    /// The roles of the policy.
    pub(super) roles: &'n RoleHierarchy,
    /// The configured apps.
    pub(super) apps: &'n [String],
    /// The configured authenticators.
    pub(super) authenticators: &'n [String],
}

/// The places of all entries of a [`PolicyDocument`](crate::policy::PolicyDocument) in the file, for each list.
#[derive(Default)]
pub(super) struct EntryLocations {
    pub(super) rules: Vec<ByteRange>,
    pub(super) conversations: Vec<ByteRange>,
    pub(super) bindings: Vec<ByteRange>,
    pub(super) bans: Vec<ByteRange>,
    pub(super) mutes: Vec<ByteRange>,
    pub(super) blocks: Vec<ByteRange>,
}

impl EntryLocations {
    /// Returns the place of the entry that a finding is about.
    pub(super) fn find(&self, about: LintLocation) -> ByteRange {
        let (list, index) = match about {
            LintLocation::Policy => return 0..0,
            LintLocation::Rule(index) => (&self.rules, index),
            LintLocation::Conversation(index) => (&self.conversations, index),
            LintLocation::Binding(index) => (&self.bindings, index),
            LintLocation::Ban(index) => (&self.bans, index),
            LintLocation::Mute(index) => (&self.mutes, index),
            LintLocation::Block(index) => (&self.blocks, index),
        };
        list.get(index).cloned().unwrap_or_default()
    }
}

/// Reads the roles of the policy, weakest first.
pub(super) fn read_roles(root: &mut Section<'_>) -> RoleHierarchy {
    const HELP: &str = "list the roles, weakest first: roles = [\"member\", \"owner\"]";
    let Some(item) = root.require("roles", HELP) else { return RoleHierarchy::default() };
    let words = item.read_unique_list(|item| {
        let word = item.non_empty_text()?;
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !word.chars().all(legal) {
            return item
                .mistake(format!("can't have a role {}", quoted(word)), "use small letters, digits, `_` and `-`");
        }
        Some(word.to_owned())
    });
    if words.as_ref().is_some_and(|words| words.len() > RoleHierarchy::MAX) {
        item.mistake::<()>("lists too many roles", format!("list at most {}", RoleHierarchy::MAX));
    }
    RoleHierarchy::new(words.unwrap_or_else(|| all_words(&item)))
}

/// Returns all strings of a list with a mistake, so the rest of the policy is not reported for that mistake.
fn all_words(list: &ConfigItem<'_>) -> Vec<String> {
    let DeValue::Array(array) = list.value else { return Vec::new() };
    array.iter().filter_map(|word| word.get_ref().as_str()).map(str::to_owned).collect()
}
