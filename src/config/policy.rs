//! `policy.toml`: the roles, and the order in which the other parts are read.

use toml::de::DeValue;

use super::entries;
use super::file::ByteRange;
use super::reader::{ConfigItem, Section, quoted};
use super::rules;
use crate::model::{Role, RoleHierarchy};
use crate::policy::PolicyDocument;

/// The names that the entries of a policy can refer to.
pub(super) struct PolicyNames<'n> {
    /// The roles of the policy.
    pub(super) roles: &'n RoleHierarchy,
    /// The configured apps.
    pub(super) apps: &'n [String],
    /// The configured authenticators.
    pub(super) authenticators: &'n [String],
}

/// The places of all entries of a [`PolicyDocument`] in the file, for each list.
#[derive(Default)]
pub(super) struct EntryLocations {
    pub(super) rules: Vec<ByteRange>,
    pub(super) conversations: Vec<ByteRange>,
    pub(super) bindings: Vec<ByteRange>,
    pub(super) bans: Vec<ByteRange>,
    pub(super) mutes: Vec<ByteRange>,
    pub(super) blocks: Vec<ByteRange>,
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

/// Reads all of the policy except its roles, which are already read.
pub(super) fn read_policy(
    mut root: Section<'_>,
    names: &PolicyNames<'_>,
    hash: String,
) -> (PolicyDocument, EntryLocations) {
    let mut places = EntryLocations::default();
    let default_role = default_role(&mut root, names.roles);
    let rules = rules::rules(&mut root, names, &mut places.rules);
    let entries = entries::entries(&mut root, names, &mut places);
    root.report_unknown_keys();
    (PolicyDocument { role_hierarchy: names.roles.clone(), default_role, rules, entries, hash }, places)
}

fn default_role(root: &mut Section<'_>, ladder: &RoleHierarchy) -> Option<Role> {
    let item = root.get("default_role")?;
    ladder.find(item.known_word("one of this policy's roles", ladder.names())?)
}
