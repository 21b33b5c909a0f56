//! Placeholders in the files that `chat-signer init` writes.

use toml::de::DeValue;

use super::reader::ConfigItem;

/// The placeholder for a value of the user.
pub const CHANGE_ME: &str = "change-me";

/// Warns if a value still has the placeholder. `own` describes the value to write.
pub(super) fn warn_if_unchanged(item: &ConfigItem<'_>, own: &str) {
    if unchanged(item.value) {
        let message = format!("`{}` still says {CHANGE_ME}", item.name);
        item.file.warning(&item.span, message, format!("replace it with {own}"));
    }
}

fn unchanged(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains(CHANGE_ME),
        DeValue::Array(list) => list.iter().any(|value| unchanged(value.get_ref())),
        _ => false,
    }
}
