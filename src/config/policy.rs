//! `[policy]` of `signer.toml`, and the file that it names: `policy.toml`.

use std::path::{Path, PathBuf};

use super::origin::POLICY_PART;
use super::policy_names::{EntryLocations, PolicyNames};
use super::reader::Section;
use super::report::ByteRange;
use super::source_files::{FileReader, describe_read_error};
use super::{entries, rules};
use crate::model::{Role, RoleHierarchy};
use crate::policy::{LintApp, PolicyDocument, lint};
use crate::{clock, crypto};

/// Reads the policy file. Returns its name and text.
pub(super) fn read_policy_file(root: &mut Section<'_>, dir: &Path, disk: &FileReader) -> Option<(String, String)> {
    let (path, place) = policy_file(root, dir)?;
    let name = path.display().to_string();
    let _part = root.file.enter(POLICY_PART);
    root.file.note_reference(place.clone());
    let flaw = match disk.read(POLICY_PART, &path).map(String::from_utf8) {
        Ok(Ok(text)) => return Some((name, text)),
        Ok(Err(_)) => "which is not UTF-8".to_owned(),
        Err(error) => describe_read_error(&error),
    };
    let help = "write the path of a policy file: [policy] with file = \"policy.toml\", relative to this file";
    root.file.mistake(&place, format!("the policy is {name}, {flaw}"), help);
    None
}

/// Returns the path of the policy file, and the place in the file that names it. Returns `None` if that has a mistake.
fn policy_file(root: &mut Section<'_>, dir: &Path) -> Option<(PathBuf, ByteRange)> {
    let default = dir.join("policy.toml");
    if !root.contains_key("policy") {
        return Some((default, root.span.clone()));
    }
    let mut section = root.section("policy")?;
    let place = section.span.clone();
    let item = section.get("file");
    section.report_unknown_keys();
    match item {
        Some(item) => Some((dir.join(item.non_empty_text()?), item.span.clone())),
        None => Some((default, place)),
    }
}

/// Reads the policy. If it has no mistake and all vendors are known, also warns of rules and entries that are probably
/// unintended.
pub(super) fn document(root: Section<'_>, names: &PolicyNames<'_>, apps: &[LintApp], text: &str) -> PolicyDocument {
    let file = root.file;
    let hash = crypto::hex(&crypto::sha256(text.as_bytes()));
    let (document, places) = read_policy(root, names, hash);
    if !file.has_mistakes() && !apps.is_empty() && apps.len() == names.apps.len() {
        for warning in lint(&document, apps, clock::now()) {
            file.warning(&places.find(warning.location), warning.message, "");
        }
    }
    document
}

/// Reads all of the policy except its roles, which are already read.
fn read_policy(mut root: Section<'_>, names: &PolicyNames<'_>, hash: String) -> (PolicyDocument, EntryLocations) {
    let mut places = EntryLocations::default();
    let default_role = default_role(&mut root, names.roles);
    let rules = rules::rules(&mut root, names, &mut places.rules);
    let entries = entries::entries(&mut root, names, &mut places);
    root.report_unknown_keys();
    (PolicyDocument { role_hierarchy: names.roles.clone(), default_role, rules, entries, hash }, places)
}

fn default_role(root: &mut Section<'_>, role_hierarchy: &RoleHierarchy) -> Option<Role> {
    let item = root.get("default_role")?;
    role_hierarchy.find(item.known_word("one of this policy's roles", role_hierarchy.names())?)
}
