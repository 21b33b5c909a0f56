//! The keys of all apps, for `verify`: it tries the common mistakes of other signers with them. An app itself only has
//! keyed hash states, so this module reads the keys again.

use std::path::Path;

use toml::de::DeTable;

use super::file::ConfigFile;
use super::reader::Section;
use super::secret::SecretResolver;
use super::source_files::FileReader;
use crate::secret::Secret;

/// Reads the keys of each app, by the name of the app. [`load`](super::load) must have found no mistake in the
/// configuration.
pub fn read_app_keys(path: &Path) -> Vec<(String, Vec<Secret>)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file = ConfigFile::new(path.display().to_string(), &text, true);
    let (table, _) = DeTable::parse_recoverable(&text);
    let mut vault = SecretResolver::new(path.parent().unwrap_or(Path::new("")), FileReader::default());
    let apps = Section::root(&file, table.get_ref()).section("apps");
    let entries = apps.as_ref().map(Section::entries).unwrap_or_default();
    let keys = entries.into_iter().filter_map(|item| {
        let mut app = item.section(String::new())?;
        let key = ["master_key", "secret_key", "key"].into_iter().find_map(|name| app.get(name))?;
        Some((item.name.to_owned(), vault.secrets(&key)?))
    });
    keys.collect()
}
