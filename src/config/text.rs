//! Strings with a certain format.

use std::net::IpAddr;

use toml::de::DeValue;

use super::file::ConfigFile;
use super::reader::{ConfigItem, quoted};
use super::report::ByteRange;
use crate::authn::host_name;
use crate::model::check_identifier;

/// The placeholder for a value of the user, in the files that `chat-signer init` writes.
pub const CHANGE_ME: &str = "change-me";

/// Reads an id of at most 255 bytes.
pub(super) fn identifier<'a>(item: &ConfigItem<'a>, help: &str) -> Option<&'a str> {
    let id = item.text()?;
    match check_identifier(id, 255) {
        Ok(()) => Some(id),
        Err(flaw) => item.mistake(flaw.to_string(), help),
    }
}

/// Reads the id that a caller has in rules and logs. `whose` names the callers with this id, for the message.
pub(super) fn caller_id(item: &ConfigItem<'_>, whose: &str) -> Option<String> {
    let help = format!("write the id of {whose}, as rules and logs show it");
    match identifier(item, &help)? {
        "*" => item.mistake("can't be \"*\"", help),
        id => Some(id.to_owned()),
    }
}

/// Reads the name of a claim: a literal name, or a JSON pointer.
pub(super) fn claim_name(item: &ConfigItem<'_>) -> Option<String> {
    check_claim_name(item, item.non_empty_text()?)
}

/// Checks the name of a claim.
pub(super) fn check_claim_name(item: &ConfigItem<'_>, text: &str) -> Option<String> {
    let escapes = text.match_indices('~').all(|(at, _)| text[at + 1..].starts_with(['0', '1']));
    if text.starts_with('/') && !escapes {
        return item.mistake("is not a JSON pointer", "write ~0 for `~` and ~1 for `/` inside a name");
    }
    Some(text.to_owned())
}

/// Reads an `http` or `https` address. If it contains a password, no message shows it.
pub(super) fn url(item: &ConfigItem<'_>) -> Option<http::Uri> {
    url_in(item, item.non_empty_text()?)
}

/// Reads the address in this text, which belongs to the item.
pub(super) fn url_in(item: &ConfigItem<'_>, text: &str) -> Option<http::Uri> {
    const HELP: &str = "write https://, a host and a path";
    if text.contains('@') {
        item.file.hide_if_guarded(&item.span);
        item.file.mistake(&item.key, format!("`{}` must not have a user or password", item.name), HELP);
        return None;
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    let web = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    web.or_else(|| item.mistake("is not an http or https address", HELP))
}

/// Warns of a pattern that looks like a regular expression, because it names only conversations with exactly this text.
pub(super) fn warn_of_regular_expression(file: &ConfigFile<'_>, span: &ByteRange, pattern: &str) {
    const MARKS: [&str; 8] = [".+", "\\d", "\\w", "\\s", "(?", "[0-9", "[a-z", "[A-Z"];
    let is_anchored = pattern.starts_with('^') || pattern.ends_with('$');
    if is_anchored || MARKS.iter().any(|mark| pattern.contains(mark)) {
        let message =
            format!("{} looks like a regular expression, but it is compared character by character", quoted(pattern));
        file.warning(
            span,
            message,
            "write one name, \"ns:*\" for all names that begin with `ns:`, or \"*\" for everything",
        );
    }
}

/// Reads a list of host names and IP addresses, without ports.
pub(super) fn hosts(item: &ConfigItem<'_>) -> Option<Vec<String>> {
    item.read_unique_list(host)
}

/// Reads a host name or an IP address, without a port.
pub(super) fn host(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    let address = host_name(text).parse::<IpAddr>().or_else(|_| text.parse()).ok();
    let is_bare = text == host_name(text) || text.starts_with('[') && text.ends_with(']');
    match address {
        Some(address) if is_bare || text.parse::<IpAddr>().is_ok() => Some(address.to_string()),
        None if is_dns_name(text) => Some(text.to_owned()),
        _ => item.mistake(
            format!("has {}, which is not a host name in small letters", quoted(text)),
            "write each name in full, without scheme, port or `*`: \"chat.example.com\"",
        ),
    }
}

/// Returns whether this is a DNS name in lowercase letters.
pub(super) fn is_dns_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(legal))
}

/// Warns if a value still has the placeholder. `own` describes the value to write.
pub(super) fn warn_if_unchanged(item: &ConfigItem<'_>, own: &str) {
    if is_unchanged(item.value) {
        let message = format!("`{}` still says {CHANGE_ME}", item.name);
        item.file.warning(&item.span, message, format!("replace it with {own}"));
    }
}

fn is_unchanged(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains(CHANGE_ME),
        DeValue::Array(list) => list.iter().any(|value| is_unchanged(value.get_ref())),
        _ => false,
    }
}
