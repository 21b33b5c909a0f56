//! `[[conversations]]`, `[[bindings]]`, `[[bans]]`, `[[mutes]]` and `[[blocks]]` of `policy.toml`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::policy_names::{EntryLocations, PolicyNames};
use super::reader::{ConfigItem, Section, quoted, suggest};
use super::report::ByteRange;
use super::rules::{kind, reason};
use super::text::{identifier, warn_of_regular_expression};
use crate::model::{ConversationKind, Pattern, Role};
use crate::policy::{BindingEntry, Block, ConversationEntry, EntryOrigin, PolicyEntries, Sanction};

/// Reads all entries, and adds the place of each to `places`.
pub(super) fn entries(root: &mut Section<'_>, names: &PolicyNames<'_>, places: &mut EntryLocations) -> PolicyEntries {
    let mut known = HashMap::new();
    PolicyEntries {
        conversations: each(root, "conversations", &mut places.conversations, |entry| {
            conversation(entry, names, &mut known)
        }),
        bindings: each(root, "bindings", &mut places.bindings, |entry| binding(entry, names)),
        bans: each(root, "bans", &mut places.bans, |entry| sanction(entry, names)),
        mutes: each(root, "mutes", &mut places.mutes, |entry| sanction(entry, names)),
        blocks: each(root, "blocks", &mut places.blocks, |entry| block(entry, names)),
    }
}

fn each<'a, T>(
    root: &mut Section<'a>,
    key: &'static str,
    places: &mut Vec<ByteRange>,
    mut read: impl FnMut(&mut Section<'a>) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for mut section in root.sections(key) {
        if let Some(entry) = read(&mut section) {
            entries.push(entry);
            places.push(section.span.clone());
        }
        section.report_unknown_keys();
    }
    entries
}

/// The conversations that have an entry, each with the apps of its entries. `None`: all apps.
pub(super) type KnownConversations<'a> = HashMap<Cow<'a, str>, Vec<Option<Arc<str>>>>;

fn conversation<'a>(
    entry: &mut Section<'a>,
    names: &PolicyNames<'_>,
    known: &mut KnownConversations<'a>,
) -> Option<ConversationEntry> {
    let item = entry.require("id", "write the conversation's id, or the channel's name");
    let id = item.as_ref().and_then(conversation_id);
    let kind = conversation_kind(entry, id);
    let app = app(entry, names);
    let people = people(entry, names);
    let (item, id) = (item?, id?);
    check_unique(&item, Cow::Borrowed(id), app.as_ref(), known);
    Some(ConversationEntry { id: id.to_owned(), app, kind, members: people, line: line(entry) })
}

/// Notes a mistake if the conversation already has an entry for this app or for all apps.
pub(super) fn check_unique<'a>(
    item: &ConfigItem<'_>,
    id: Cow<'a, str>,
    app: Option<&Arc<str>>,
    known: &mut KnownConversations<'a>,
) {
    let is_same = |other: &Option<Arc<str>>| other.is_none() || app.is_none() || other.as_ref() == app;
    if known.get(&id).is_some_and(|before| before.iter().any(is_same)) {
        item.mistake::<()>(format!("names {}, which already has an entry", quoted(&id)), "merge both entries");
    }
    known.entry(id).or_default().push(app.cloned());
}

/// Reads the id of a single conversation.
pub(super) fn conversation_id<'a>(item: &ConfigItem<'a>) -> Option<&'a str> {
    let id = identifier(item, "write the conversation's id, or the channel's name")?;
    let Ok(pattern @ Pattern::Exact(_)) = Pattern::parse(id) else {
        return item.mistake(
            "must name one conversation, without a `*`",
            "for several conversations, write rules or bindings",
        );
    };
    if let Some(room) = pattern.room() {
        let flaw = format!("names a channel of the room {}, which is one conversation", quoted(room));
        return item.mistake(flaw, format!("write {}", quoted(room)));
    }
    warn_of_regular_expression(item.file, &item.span, id);
    Some(id)
}

pub(super) fn conversation_kind(entry: &mut Section<'_>, id: Option<&str>) -> ConversationKind {
    let temporary = id.is_some_and(|id| id.starts_with("_tmp:"));
    let item = entry.get("kind");
    let given = item.as_ref().and_then(kind);
    match (item, given) {
        (Some(item), Some(kind)) if temporary && kind != ConversationKind::Temporary => {
            item.mistake::<()>("must be \"temporary\", as the id starts with `_tmp:`", "leave it out");
            kind
        }
        (_, Some(kind)) => kind,
        (_, None) if temporary => ConversationKind::Temporary,
        (_, None) => ConversationKind::Group,
    }
}

/// Reads the owner, the managers and the members, each with the role of that name.
fn people(entry: &mut Section<'_>, names: &PolicyNames<'_>) -> Vec<(String, Option<Role>)> {
    let mut people = Vec::new();
    if let Some(item) = entry.get("owner") {
        let role = role_named(&item, "owner", names);
        people.extend(user(&item).map(|user| (user, role)));
    }
    for (key, word) in [("managers", "manager"), ("members", "member")] {
        let Some(item) = entry.get(key) else { continue };
        let role = role_named(&item, word, names);
        people.extend(item.read_unique_list(user).unwrap_or_default().into_iter().map(|user| (user, role)));
    }
    people
}

/// Returns the role named `word`. Warns if the policy has no such role.
fn role_named(item: &ConfigItem<'_>, word: &str, names: &PolicyNames<'_>) -> Option<Role> {
    let role = names.roles.find(word);
    if role.is_none() && !names.roles.names().is_empty() {
        let message = format!("`{}` gives no role, as the policy has no role \"{word}\"", item.name);
        item.file.warning(&item.key, message, format!("add \"{word}\" to `roles`, or give roles by [[bindings]]"));
    }
    role
}

fn binding(entry: &mut Section<'_>, names: &PolicyNames<'_>) -> Option<BindingEntry> {
    let user = required_user(entry);
    let scope = entry.require("conversation", "write a conversation's id, \"ns:*\", or \"*\" for everywhere");
    let scope = scope.and_then(|item| pattern(&item));
    let app = app(entry, names);
    let role = entry.require("role", "write one of the policy's roles")?;
    let word = role.non_empty_text()?;
    let rank = names.roles.find(word);
    if rank.is_none() && !names.roles.names().is_empty() {
        let message = format!("`role` gives nothing, as the policy has no role {}", quoted(word));
        role.file.warning(&role.span, message, suggest(word, names.roles.names()));
    }
    Some(BindingEntry { user: user?, scope: scope?, app, role: rank, line: line(entry) })
}

pub(super) fn sanction(entry: &mut Section<'_>, names: &PolicyNames<'_>) -> Option<Sanction> {
    let user = required_user(entry);
    let scope = match entry.get("conversation") {
        Some(item) => pattern(&item),
        None => Some(Pattern::Everything),
    };
    let app = app(entry, names);
    let until = entry.get("until").and_then(|item| item.time());
    let reason = entry.get("reason").and_then(|item| reason(&item));
    Some(Sanction { user: user?, scope: scope?, app, until, reason, origin: EntryOrigin::File { line: line(entry) } })
}

pub(super) fn block(entry: &mut Section<'_>, names: &PolicyNames<'_>) -> Option<Block> {
    let user = required_user(entry);
    let conversation = entry.require("conversation", "write the conversation that the user must not be added to");
    let conversation = conversation.and_then(|item| pattern(&item));
    let app = app(entry, names);
    Some(Block { user: user?, conversation: conversation?, app, origin: EntryOrigin::File { line: line(entry) } })
}

/// Returns the line where an entry begins, counted from 1.
fn line(entry: &Section<'_>) -> usize {
    entry.file.line_of(&entry.span)
}

pub(super) fn required_user(entry: &mut Section<'_>) -> Option<String> {
    entry.require("user", "write the id of the user: user = \"tom\"").and_then(|item| user(&item))
}

pub(super) fn user(item: &ConfigItem<'_>) -> Option<String> {
    match identifier(item, "write the id of one user at the vendor")? {
        "*" => item.mistake("can't be everyone", "write a rule for everyone, or an entry for each user"),
        id => Some(id.to_owned()),
    }
}

fn app(entry: &mut Section<'_>, names: &PolicyNames<'_>) -> Option<Arc<str>> {
    entry.get("app")?.known_word("a configured app", names.apps).map(Arc::from)
}

pub(super) fn pattern(item: &ConfigItem<'_>) -> Option<Pattern> {
    const HELP: &str = "write a name, \"ns:*\", or \"*\" for everywhere";
    let text = identifier(item, HELP)?;
    match Pattern::parse(text) {
        Ok(pattern) => {
            warn_of_regular_expression(item.file, &item.span, text);
            Some(pattern)
        }
        Err(flaw) => item.mistake(flaw.to_string(), HELP),
    }
}
