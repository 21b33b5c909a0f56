//! The conversations that have an entry, and the users who have a role in one of them.

use std::collections::BTreeSet;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::authenticated::AuthenticatedRequest;
use super::fields::{self, RequestFields};
use super::file_entries;
use super::read::{self, ReadRequest};
use super::users::wider_sanctions;
use crate::crypto::base64url;
use crate::moderation::{EntryKind, EntryRecord, ModerationEntry, ModerationIndex, RegisteredConversation};
use crate::server::http::error::ApiError;
use crate::server::http::response_body::HttpResponse;

/// How many users are read before the lock is released, and how often that is done for one page. A page can be shorter
/// than requested.
const USERS_PER_LOCK: usize = 256;
const MAX_BATCHES: usize = 64;

/// Answers a request for conversations by the beginning of their ids. It needs the permission to read everything.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["prefix", "app", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let (prefix, limit, after) = (fields.prefix()?, fields.limit()?, fields.after(read::parse_name_cursor)?);
    let reader = ReadRequest::new(visit, fields, None)?;
    reader.authorize(visit).await?;
    let moderation = &visit.exchange.runtime.moderation;
    let version = moderation.head().version;
    let is_here = |entry: &ModerationEntry| {
        entry.name().starts_with(prefix)
            && after.as_deref().is_none_or(|after| entry.name() > after)
            && reader.app.as_ref().is_none_or(|app| entry.is_for_app(app))
    };
    let document = visit.exchange.settings().engine.policy.document();
    let mut entries: Vec<_> =
        file_entries::file_entries(document, EntryKind::Conversations).filter(|entry| is_here(entry)).collect();
    let index = moderation.read_any_age();
    let from = after.as_deref().filter(|after| *after > prefix).unwrap_or(prefix);
    let known = index.conversations_from(from).take_while(|entry| entry.id.starts_with(prefix) || *entry.id < *prefix);
    // One more than the page, so that it is known whether there is another page.
    entries.extend(known.cloned().map(ModerationEntry::Conversation).filter(|entry| is_here(entry)).take(limit + 1));
    entries.sort_by(|one, other| one.name().cmp(other.name()));
    // The entries of one conversation, for several apps, are on the same page.
    let last = entries.get(limit - 1).filter(|_| entries.len() > limit).map(|entry| entry.name().to_owned());
    entries.retain(|entry| last.as_deref().is_none_or(|last| entry.name() <= last));
    let records: Vec<_> = entries.iter().map(|entry| EntryRecord::from(entry).for_list()).collect();
    let next = last.map(|last| base64url(last.as_bytes()));
    Ok(read::page(version, "conversations", &records, next))
}

/// Answers a request for the users who have a role in a conversation by an entry, with their bans and mutes there.
pub(super) async fn answer_people(
    visit: &AuthenticatedRequest<'_>,
    id: &str,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["app", "role", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let reader = ReadRequest::new(visit, fields, Some(fields::parse_conversation(id)?))?;
    let role = params.role.is_some().then(|| fields.role()).transpose()?;
    let (limit, after) = (fields.limit()?, fields.after(read::parse_name_cursor)?);
    reader.authorize(visit).await?;
    let version = visit.exchange.runtime.moderation.head().version;
    let mut from = Some(after.map_or_else(String::new, |after| format!("{after}\0")));
    let mut people = Vec::new();
    for _ in 0..MAX_BATCHES {
        let Some(start) = from.as_deref().filter(|_| people.len() < limit) else { break };
        from = add_batch(visit, &reader, role.as_deref(), start, limit, &mut people);
        tokio::task::yield_now().await;
    }
    let next = from.map(|from| base64url(from.trim_end_matches('\0').as_bytes()));
    Ok(read::page(version, "people", &people, next))
}

/// Adds the next people. Returns where to continue, or `None` at the end.
fn add_batch(
    visit: &AuthenticatedRequest<'_>,
    reader: &ReadRequest,
    role: Option<&str>,
    from: &str,
    limit: usize,
    people: &mut Vec<Value>,
) -> Option<String> {
    let index = visit.exchange.runtime.moderation.read_any_age();
    let document = visit.exchange.settings().engine.policy.document();
    let filed =
        file_entries::file_entries(document, EntryKind::Roles).filter(|entry| entry.scope() == Some(&reader.scope));
    let filed = filed.map(|entry| entry.name().to_owned()).filter(|name| **name >= *from);
    let owners = index.conversations_of(reader.scope.prefix()).filter(|entry| !entry.forgotten);
    let owners = owners.filter_map(|entry| entry.owner.clone()).filter(|name| **name >= *from);
    let known = index.users(EntryKind::Roles, from).take(USERS_PER_LOCK).map(ToString::to_string);
    let names: BTreeSet<String> = filed.chain(owners).chain(known).collect();
    let mut last = None;
    for name in names.into_iter().take(USERS_PER_LOCK) {
        people.extend(
            person(visit, reader, &index, &name).filter(|person| role.is_none_or(|role| person["role"] == role)),
        );
        last = Some(format!("{name}\0"));
        if people.len() == limit {
            break;
        }
    }
    last
}

/// Returns a user with a role in exactly this conversation.
fn person(
    visit: &AuthenticatedRequest<'_>,
    reader: &ReadRequest,
    index: &ModerationIndex,
    user: &str,
) -> Option<Value> {
    let entries = file_entries::entries_of_user(&visit.exchange.settings().engine.policy, index, user);
    let here: Vec<_> = entries.iter().filter(|entry| reader.includes_entry(entry, visit.exchange.now)).collect();
    let is_owner = |entry: &RegisteredConversation| {
        !entry.forgotten
            && entry.owner.as_deref() == Some(user)
            && reader.app.as_ref().is_none_or(|app| entry.app.as_ref().is_none_or(|own| own == app))
    };
    let role = here.iter().find_map(|entry| match entry {
        ModerationEntry::Role(role) => Some((role.role.as_deref(), EntryRecord::from(*entry))),
        _ => None,
    });
    let mut person = match role {
        Some((Some(role), record)) => {
            json!({ "user": user, "role": role, "source": record.source, "line": record.line })
        }
        None if index.conversations_of(reader.scope.prefix()).any(is_owner) => {
            json!({ "user": user, "role": "owner", "source": "moderation" })
        }
        Some((None, _)) | None => return None,
    };
    for (name, table) in [("banned", EntryKind::Bans), ("muted", EntryKind::Mutes)] {
        // Several authors can have an entry: the latest end counts, and none is later than all.
        let ends = here.iter().filter(|entry| entry.table() == table).map(|entry| entry.until());
        let end = ends.max_by_key(|end| end.map_or(u64::MAX, |end| end.0));
        if let Some(end) = end {
            person[name] = json!({ "until": end.map(|end| end.to_string()) });
        }
    }
    let is_wider = |table| !wider_sanctions(visit, index, table, user, &reader.scope, reader.app.as_ref()).is_empty();
    person["wider"] = (is_wider(EntryKind::Bans) || is_wider(EntryKind::Mutes)).into();
    Some(person)
}
