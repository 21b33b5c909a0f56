//! The users who have entries, and all entries of one user.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};

use super::authenticated::{AuthenticatedRequest, FactsByApp};
use super::fields::{RequestFields, check_user};
use super::read::{self, ReadRequest};
use super::{enforcements, file_entries};
use crate::crypto::base64url;
use crate::model::{Action, CallerKind, Pattern, SigningRequest};
use crate::moderation::{
    CommandAuthorizer, CommandKind, EntryKind, EntryRecord, ModerationCommand, ModerationEntry, ModerationIndex,
};
use crate::policy::{EntryAuthor, EntryOrigin, EntryRef, RoleGrant, Sanction, UserEntryKind};
use crate::server::http::error::ApiError;
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;

/// The tables that a search for users reads.
const TABLES: [EntryKind; 4] = [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks];

/// How many users are read before the lock is released, and how often that is done for one page. A page can be shorter
/// than requested.
const USERS_PER_LOCK: usize = 256;
const MAX_BATCHES: usize = 64;

/// The maximum number of questions for facts in an answer about a user.
const MAX_FACTS_QUESTIONS: usize = 12;

/// The maximum number of entries of each kind in the answer about a user.
const MAX_ENTRIES: usize = 200;

/// A user in a search: the number of entries of each kind.
#[derive(Serialize)]
struct UserSummary {
    user: String,
    bans: usize,
    mutes: usize,
    roles: usize,
    blocks: usize,
    banned_everywhere: bool,
}

/// An entry of a user.
#[derive(Serialize)]
struct UserEntryRecord {
    #[serde(flatten)]
    record: EntryRecord,
    /// Whether the user that the caller acts as made the entry.
    own: bool,
    /// Whether the caller can lift the ban or mute. Missing if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_lift: Option<Value>,
    /// Whether the caller can remove the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_take: Option<Value>,
}

/// Answers a search for users by the beginning of their names.
pub(super) async fn answer_search(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["prefix", "conversation", "app", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place)?;
    let (prefix, limit, after) = (fields.prefix()?, fields.limit()?, fields.after(read::parse_name_cursor)?);
    reader.authorize(visit).await?;
    let version = visit.exchange.runtime.moderation.head().version;
    let mut from = Some(after.map_or_else(|| prefix.to_owned(), |after| format!("{after}\0")));
    let mut users = Vec::new();
    for _ in 0..MAX_BATCHES {
        let Some(start) = from.as_deref().filter(|_| users.len() < limit) else { break };
        from = add_batch(visit, &reader, prefix, start, limit, &mut users);
        tokio::task::yield_now().await;
    }
    let next = from.map(|from| base64url(from.trim_end_matches('\0').as_bytes()));
    Ok(read::page(version, "users", &users, next))
}

/// Adds the next users. Returns where to continue, or `None` at the end.
fn add_batch(
    visit: &AuthenticatedRequest<'_>,
    reader: &ReadRequest,
    prefix: &str,
    from: &str,
    limit: usize,
    users: &mut Vec<UserSummary>,
) -> Option<String> {
    let index = visit.exchange.runtime.moderation.read_any_age();
    let document = visit.exchange.settings().engine.policy.document();
    let filed = TABLES.into_iter().flat_map(|table| file_entries::file_entries(document, table));
    let filed = filed.map(|entry| entry.name().to_owned()).filter(|name| name.starts_with(prefix) && **name >= *from);
    let known = TABLES.into_iter().flat_map(|table| index.users(table, from).take(USERS_PER_LOCK));
    let known = known.filter(|name| name.starts_with(prefix)).map(ToString::to_string);
    let names: BTreeSet<String> = filed.chain(known).collect();
    let mut last = None;
    for name in names.into_iter().take(USERS_PER_LOCK) {
        users.extend(summary(visit, reader, &index, &name));
        last = Some(format!("{name}\0"));
        if users.len() == limit {
            break;
        }
    }
    last
}

/// Returns the summary of a user who has an entry in the place of the request.
fn summary(
    visit: &AuthenticatedRequest<'_>,
    reader: &ReadRequest,
    index: &ModerationIndex,
    user: &str,
) -> Option<UserSummary> {
    let entries = file_entries::entries_of_user(&visit.exchange.settings().engine.policy, index, user);
    let here: Vec<_> = entries.iter().filter(|entry| reader.includes_entry(entry, visit.exchange.now)).collect();
    let count = |table| here.iter().filter(|entry| entry.table() == table).count();
    let is_ban_everywhere = |entry: &&ModerationEntry| {
        entry.table() == EntryKind::Bans && entry.scope() == Some(&Pattern::Everything) && entry.app().is_none()
    };
    (!here.is_empty()).then(|| UserSummary {
        user: user.to_owned(),
        bans: count(EntryKind::Bans),
        mutes: count(EntryKind::Mutes),
        roles: count(EntryKind::Roles),
        blocks: count(EntryKind::Blocks),
        banned_everywhere: here.iter().copied().any(|entry| is_ban_everywhere(&entry)),
    })
}

/// Answers a request for the entries of a user: in one place, or everywhere.
pub(super) async fn answer_user(
    visit: &AuthenticatedRequest<'_>,
    id: &str,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["conversation", "app", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let user = check_user("id", id)?;
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place.clone())?;
    reader.authorize(visit).await?;
    let version = visit.exchange.runtime.moderation.head().version;
    let jobs = enforcements::jobs_of_user(visit, user, &reader).await;
    let read_entries = || {
        let index = visit.exchange.runtime.moderation.read_any_age();
        file_entries::entries_of_user(&visit.exchange.settings().engine.policy, &index, user)
    };
    let limits = LiftLimits::read(visit, &reader, &read_entries()).await;
    let entries = read_entries();
    let index = visit.exchange.runtime.moderation.read_any_age();
    let here: Vec<_> = entries.iter().filter(|entry| reader.includes_entry(entry, visit.exchange.now)).collect();
    let mut has_more = false;
    let mut list = |table| {
        let entries: Vec<_> = here.iter().filter(|entry| entry.table() == table).collect();
        has_more |= entries.len() > MAX_ENTRIES;
        entries.into_iter().take(MAX_ENTRIES).map(|entry| limits.record(&index, entry)).collect::<Vec<_>>()
    };
    let [bans, mutes, roles, blocks] = TABLES.map(&mut list);
    let mut body = json!({
        "user": user, "version": version, "bans": bans, "mutes": mutes, "roles": roles, "blocks": blocks,
        "owns": owned(&index, user, &reader),
    });
    if let Some(jobs) = jobs {
        body["jobs"] = json!(jobs);
    }
    if has_more {
        body["more"] = true.into();
    }
    if let Some(place) = place.filter(|place| *place != Pattern::Everything) {
        let wider = |table| !wider_sanctions(visit, &index, table, user, &place, reader.app.as_ref()).is_empty();
        body["wider"] = json!({ "banned": wider(EntryKind::Bans), "muted": wider(EntryKind::Mutes) });
    }
    Ok(render::json(&body))
}

/// Returns the conversations that the user owns by entries that were made at run time.
fn owned(index: &ModerationIndex, user: &str, reader: &ReadRequest) -> Vec<String> {
    let is_owned = |entry: &EntryRef<'_>| {
        entry.is_listed()
            && matches!(entry.grant(), Some(RoleGrant::RoleName(_)))
            && reader.scope.covers(entry.scope())
            && reader.app.as_ref().is_none_or(|app| entry.is_for_app(app))
    };
    let owned = index.entries().all_about(user).filter(is_owned);
    owned.take(MAX_ENTRIES).map(|entry| entry.scope().to_string()).collect()
}

/// Returns the bans or mutes of a user that apply in a place, but have another scope.
pub(super) fn wider_sanctions(
    visit: &AuthenticatedRequest<'_>,
    index: &ModerationIndex,
    table: EntryKind,
    user: &str,
    place: &Pattern,
    app: Option<&Arc<str>>,
) -> Vec<Sanction> {
    let policy = &visit.exchange.settings().engine.policy;
    let all = [policy.entries(), index.entries()].into_iter().flat_map(|entries| entries.all_about(user));
    let kind = if table == EntryKind::Bans { UserEntryKind::Ban } else { UserEntryKind::Mute };
    let of_kind = all.filter(|entry| entry.kind() == kind).filter_map(|entry| entry.to_entry().into_sanction());
    let applies = |sanction: &Sanction| {
        let scope = sanction.scope.home_conversation();
        *scope != *place
            && place.affected_patterns().iter().any(|part| scope.applies_to_all(part))
            && sanction.is_in_force(visit.exchange.now)
            && app.zip(sanction.app.as_ref()).is_none_or(|(asked, own)| asked == own)
    };
    of_kind.filter(applies).collect()
}

/// What limits the caller in lifting the entries of a user.
struct LiftLimits<'a> {
    visit: &'a AuthenticatedRequest<'a>,
    client: &'a str,
    /// The facts that the decisions depend on, by place and action. `None`: no decision depends on facts.
    facts: Option<HashMap<(Pattern, Action), FactsByApp>>,
}

impl<'a> LiftLimits<'a> {
    /// Asks for the facts about the places of these entries, up to a maximum.
    async fn read(
        visit: &'a AuthenticatedRequest<'a>,
        reader: &'a ReadRequest,
        entries: &[ModerationEntry],
    ) -> LiftLimits<'a> {
        let mut limits = LiftLimits { visit, client: reader.client(), facts: None };
        if visit.exchange.settings().engine.facts.is_none() {
            return limits;
        }
        let mut known = HashMap::new();
        for entry in entries.iter().filter(|entry| reader.includes_entry(entry, visit.exchange.now)) {
            let Some(command) = limits.removal(entry) else { continue };
            let question = (command.scope.clone(), command.kind.action());
            if known.len() == MAX_FACTS_QUESTIONS || known.contains_key(&question) {
                continue;
            }
            let apps = visit.apps(reader.app.as_ref()).into_iter();
            let requests: Vec<SigningRequest> = apps.map(|app| command.policy_request(app)).collect();
            let Ok(facts) = visit.fetch_facts_unrecorded(&requests).await else { break };
            known.insert(question, facts);
        }
        limits.facts = Some(known);
        limits
    }

    /// Returns the record of an entry, with what the caller may do with it.
    fn record(&self, index: &ModerationIndex, entry: &ModerationEntry) -> UserEntryRecord {
        let own = is_own(entry.origin(), self.visit, self.client);
        let may = self.may_remove(index, entry, own);
        let (may_take, may_lift) = if entry.table() == EntryKind::Roles { (may, None) } else { (None, may) };
        UserEntryRecord { record: EntryRecord::from(entry).for_list(), own, may_lift, may_take }
    }

    fn may_remove(&self, index: &ModerationIndex, entry: &ModerationEntry, own: bool) -> Option<Value> {
        let mut command = self.removal(entry)?;
        if let Some(line) = entry.origin().line() {
            return Some(json!({ "allowed": false, "code": "file", "line": line }));
        }
        let exchange = self.visit.exchange;
        let empty = FactsByApp::new();
        let facts = match &self.facts {
            None => &empty,
            Some(known) => known.get(&(command.scope.clone(), command.kind.action()))?,
        };
        command.own_only = own && entry.sanction().is_some();
        let authorizer = CommandAuthorizer {
            engine: &exchange.settings().engine,
            caller: &self.visit.caller,
            facts,
            now: exchange.now,
        };
        let outcome = authorizer.authorize(index, &command);
        Some(match outcome.failed.first() {
            None => json!({ "allowed": true }),
            Some(failed) => {
                json!({ "allowed": false, "code": failed.reason.code(), "reason": failed.reason.public_message() })
            }
        })
    }

    /// Returns the command that removes an entry. Blocks and conversations have none here.
    fn removal(&self, entry: &ModerationEntry) -> Option<ModerationCommand> {
        let kind = match entry {
            ModerationEntry::Ban(_) => CommandKind::LiftBan,
            ModerationEntry::Mute(_) => CommandKind::LiftMute,
            ModerationEntry::Role(role) => CommandKind::RemoveRole(role.role.as_deref()?.to_owned()),
            ModerationEntry::Block(_) | ModerationEntry::Conversation(_) => return None,
        };
        let (users, client) = (vec![entry.name().to_owned()], self.client.to_owned());
        let (scope, app) = (entry.scope()?.clone(), entry.app().cloned());
        Some(ModerationCommand { kind, users, scope, app, client, own_only: false })
    }
}

/// Returns whether the user that the caller acts as, or the service itself, made the entry.
pub(super) fn is_own(origin: &EntryOrigin, visit: &AuthenticatedRequest<'_>, client: &str) -> bool {
    let (kind, subject) =
        if client.is_empty() { (visit.caller.kind, &*visit.caller.subject) } else { (CallerKind::User, client) };
    origin.author().is_some_and(|by: &EntryAuthor| by.kind == kind && by.subject == subject)
}
