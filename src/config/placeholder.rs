//! What `chat-signer init` leaves to be put in.

use toml::de::DeValue;

use super::reader::ConfigItem;

/// What stands in the files of `init` where one's own is due.
pub const CHANGE_ME: &str = "change-me";

/// Warns of a value that still says so.
pub(super) fn warn(item: &ConfigItem<'_>, own: &str) {
    if unchanged(item.value) {
        let message = format!("`{}` still says {CHANGE_ME}", item.name);
        item.file.warning(&item.span, message, format!("put your own in its place: {own}"));
    }
}

fn unchanged(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains(CHANGE_ME),
        DeValue::Array(list) => list.iter().any(|value| unchanged(value.get_ref())),
        _ => false,
    }
}
