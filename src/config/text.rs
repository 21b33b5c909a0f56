//! Strings with a certain format.

use super::reader::ConfigItem;

/// Reads the name of a claim: a literal name, or a JSON pointer.
pub(super) fn claim_name(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    let escapes = text.match_indices('~').all(|(at, _)| text[at + 1..].starts_with(['0', '1']));
    if text.starts_with('/') && !escapes {
        return item.mistake("is not a JSON pointer", "write ~0 for `~` and ~1 for `/` inside a name");
    }
    Some(text.to_owned())
}

/// Reads an `http` or `https` address. If it contains a password, no message shows it.
pub(super) fn url(item: &ConfigItem<'_>) -> Option<http::Uri> {
    const HELP: &str = "write https://, a host and a path";
    let text = item.non_empty_text()?;
    if text.contains('@') {
        item.file.hide_if_guarded(&item.span);
        item.file.mistake(&item.key, format!("`{}` must not have a user or password", item.name), HELP);
        return None;
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    let web = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    web.or_else(|| item.mistake("is not an http or https address", HELP))
}
