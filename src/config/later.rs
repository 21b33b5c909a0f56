//! What is read and checked in full, but can't be used yet.

use super::file::{File, Span};
use super::reader::{Item, Section};
use super::secret::Vault;

/// Notes that something is understood but can't be had yet.
pub(super) fn refuse(file: &File<'_>, place: &Span, what: &str) {
    file.mistake(place, format!("{what} is not supported yet"), "leave it out for now");
}

/// `[[webhooks]]`.
pub(super) fn sections(root: &mut Section<'_>, vault: &mut Vault) {
    for mut section in root.sections("webhooks") {
        section.need("url", "write where to: url = \"https://…\"").and_then(|item| url(&item));
        secret(&mut section, "secret", true, vault);
        refuse(section.file, &section.span, &section.title);
        section.finish();
    }
}

/// `[apps.*.enforcement]`.
pub(super) fn enforcement(app: &mut Section<'_>) {
    let Some(mut section) = app.section("enforcement") else { return };
    section.get("enabled").and_then(|item| item.boolean());
    section.get("url").and_then(|item| url(&item));
    refuse(section.file, &section.span, &section.title);
    section.finish();
}

fn secret(section: &mut Section<'_>, key: &'static str, needed: bool, vault: &mut Vault) {
    let help = format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
    let item = if needed { section.need(key, &help) } else { section.get(key) };
    item.and_then(|item| vault.secrets(&item));
}

/// A claim's name: a literal one, or a JSON pointer.
pub(super) fn claim_name(item: &Item<'_>) -> Option<String> {
    let text = item.filled()?;
    let escapes = text.match_indices('~').all(|(at, _)| text[at + 1..].starts_with(['0', '1']));
    if text.starts_with('/') && !escapes {
        return item.refuse("is no JSON pointer", "write ~0 for `~` and ~1 for `/` inside a name");
    }
    Some(text.to_owned())
}

/// An `http` or `https` address. One with a password in it isn't shown.
pub(super) fn url(item: &Item<'_>) -> Option<http::Uri> {
    const HELP: &str = "write https://, a host and a path";
    let text = item.filled()?;
    if text.contains('@') {
        item.file.hide_if_guarded(&item.span);
        item.file.mistake(&item.key, format!("`{}` must not hold a user or password", item.name), HELP);
        return None;
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    let web = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    web.or_else(|| item.refuse("is no http or https address", HELP))
}
