//! The files from which the settings in force were read, by part of the configuration. A reload that cannot use the
//! new files of a part uses these again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::secret::Secret;

/// The part that is the text of the main file.
pub const MAIN_PART: &str = "signer.toml";

/// The part that is the policy file.
pub const POLICY_PART: &str = "policy.toml";

/// The part that is the section of the store.
pub const STORE_PART: &str = "store";

/// The part that is the section of the audit log.
pub const AUDIT_PART: &str = "audit";

/// The parts of a configuration: the two main files, and each section with files of its own. A section has a name such
/// as `apps.NAME`, `authenticators.NAME`, `webhooks.HOST`, `server.tls` or `store`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConfigOrigin(BTreeMap<String, PartOrigin>);

/// The origin of one part.
#[derive(Clone, Default, PartialEq, Eq)]
struct PartOrigin {
    /// The text of the main file that has the section.
    text: Arc<str>,
    /// The files that the section names, and the content of each.
    files: BTreeMap<PathBuf, Secret>,
}

impl ConfigOrigin {
    /// Returns the names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn contains(&self, part: &str) -> bool {
        self.0.contains_key(part)
    }

    /// Returns the content of a file that was read for this part.
    pub(super) fn file(&self, part: &str, path: &Path) -> Option<&Secret> {
        self.0.get(part)?.files.get(path)
    }

    /// Records the content of a file.
    pub(super) fn record_file(&mut self, part: &str, path: &Path, content: &[u8]) {
        let files = &mut self.0.entry(part.to_owned()).or_default().files;
        files.insert(path.to_owned(), Secret::new(content.to_vec()));
    }

    /// Records these parts of the main file. A part in `kept` has the section that it has in `earlier`.
    pub(super) fn record_sections(
        &mut self,
        parts: BTreeSet<String>,
        text: &str,
        kept: &BTreeSet<String>,
        earlier: &ConfigOrigin,
    ) {
        let text: Arc<str> = Arc::from(text);
        for part in parts {
            let section = earlier.0.get(&part).filter(|_| kept.contains(&part)).map(|origin| &origin.text);
            let section = Arc::clone(section.unwrap_or(&text));
            self.0.entry(part).or_default().text = section;
        }
    }

    /// Replaces the section of this part in `table` by the section that the part has here, if both have one.
    pub(super) fn restore_section<'t>(&'t self, part: &str, table: &mut DeTable<'t>) {
        let Some(origin) = self.0.get(part) else { return };
        let mut earlier = DeTable::parse_recoverable(&origin.text).0.into_inner();
        let found = find_section(&mut earlier, part).map(|section| section.get_ref().clone());
        if let (Some(section), Some(place)) = (found, find_section(table, part)) {
            *place.get_mut() = section;
        }
    }
}

impl fmt::Debug for ConfigOrigin {
    /// Shows only the number of parts, because the files hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfigOrigin({})", self.0.len())
    }
}

/// Returns the section of a part, unless several sections have its name.
fn find_section<'t, 'i>(table: &'t mut DeTable<'i>, part: &str) -> Option<&'t mut Spanned<DeValue<'i>>> {
    let Some((list, name)) = part.split_once('.') else { return table.get_mut(part) };
    match table.get_mut(list)?.get_mut() {
        DeValue::Table(sections) => sections.get_mut(name),
        DeValue::Array(sections) => {
            let mut found = sections.iter_mut().filter(|section| has_name(section.get_ref(), name));
            found.next().filter(|_| found.next().is_none())
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            None
        }
    }
}

/// Returns whether this is the authenticator with this name, or a webhook at this host.
fn has_name(section: &DeValue<'_>, name: &str) -> bool {
    let text = |key| section.as_table()?.get(key)?.get_ref().as_str();
    match text("name") {
        Some(own) => own == name,
        None => text("url").and_then(|url| url.parse::<Uri>().ok()).is_some_and(|url| url.host() == Some(name)),
    }
}
