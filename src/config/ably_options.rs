//! The options of `[apps.*]` with `vendor = "ably"` that describe tokens.

use super::reader::{ConfigItem, Section, quoted};
use super::text::warn_of_regular_expression;
use crate::model::{Action, ActionSet, Template, check_identifier};
use crate::vendor::ably::UserClaims;

/// Reads the capability of tokens whose request names no channels. The limits are the same as for a request.
pub(super) fn capability(section: &mut Section<'_>) -> Vec<(Template, ActionSet)> {
    let Some(item) = section.get("capability") else { return Vec::new() };
    let Some(section) = item.section("`capability`".to_owned()) else { return Vec::new() };
    let entries = section.entries();
    if entries.is_empty() {
        let help = "name channels and operations: capability = { \"chat:*\" = [\"subscribe\"] }";
        item.mistake::<()>("must not be empty", help);
    }
    let grants: Vec<_> = entries.iter().filter_map(|item| resource(item).zip(operations(item))).collect();
    if grants.iter().map(|(_, operations)| operations.len()).sum::<usize>() > 100 {
        let help = "name fewer, or use patterns such as \"chat:*\"; \"*\" counts as all 17 operations";
        item.mistake::<()>("has more than 100 pairs of channel and operation", help);
    }
    grants
}

fn resource(item: &ConfigItem<'_>) -> Option<Template> {
    let flaw = match (check_identifier(item.name, 255), Template::parse(item.name)) {
        (Err(flaw), _) => flaw.to_string(),
        (_, Err(flaw)) => flaw,
        _ if item.name.starts_with(':') => "must not start with `:`".to_owned(),
        _ if item.name.starts_with('[') && item.name.ends_with('*') => {
            "must not end with `*`, because it starts with `[`".to_owned()
        }
        (_, Ok(template)) => {
            warn_of_regular_expression(item.file, &item.key, item.name);
            return Some(template);
        }
    };
    let help = "write a channel's name, \"ns:*\" or \"*\", with {client} or {claim:NAME} only as whole segments";
    item.file.mistake(&item.key, format!("the channel {} {flaw}", quoted(item.name)), help);
    None
}

fn operations(item: &ConfigItem<'_>) -> Option<ActionSet> {
    let items = item.list()?;
    if items.iter().any(|item| item.value.as_str() == Some("*")) {
        return match items.len() {
            1 => Some(ActionSet::ABLY),
            _ => {
                item.mistake("has \"*\" together with other operations", "write [\"*\"] alone, or list each operation")
            }
        };
    }
    let words: Vec<_> = ActionSet::ABLY.iter().map(|action| (action.as_str(), action)).collect();
    item.read_unique_list(|item| item.keyword::<Action>(&words)).map(|operations| operations.into_iter().collect())
}

/// Reads the kinds of channels for which tokens get the claims of the user.
pub(super) fn user_claims(section: &mut Section<'_>) -> UserClaims {
    let families = section
        .get("user_claims")
        .and_then(|item| item.read_unique_list(|item| item.keyword(&[("channel", 'c'), ("room", 'r')])));
    let families = families.unwrap_or_default();
    UserClaims { channel: families.contains(&'c'), room: families.contains(&'r') }
}

/// Reads the names of the claims that are copied from the token of the caller into the Ably token.
pub(super) fn forward_claims(section: &mut Section<'_>) -> Vec<String> {
    section.get("forward_claims").and_then(|item| item.read_unique_list(forward_claim)).unwrap_or_default()
}

/// Reads the name of a claim that is copied from the token of the caller into the Ably token.
fn forward_claim(item: &ConfigItem<'_>) -> Option<String> {
    const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
    let name = item.non_empty_text()?;
    let folded = name.to_ascii_lowercase();
    if folded.starts_with("x-ably-") || folded.starts_with("ably.") {
        return item.mistake(format!("can't have {}: Ably uses this claim itself", quoted(name)), "leave it out");
    }
    if REGISTERED.contains(&folded.as_str()) {
        return item
            .mistake(format!("can't have {}: this claim describes the token itself", quoted(name)), "leave it out");
    }
    Some(name.to_owned())
}
