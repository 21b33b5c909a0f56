//! Lists of entries, page by page: first those of the policy file, then those that were made at run time. Also the
//! entries of one conversation.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::json;

use super::authenticated::AuthenticatedRequest;
use super::fields::{self, RequestFields, invalid_field};
use super::file_entries;
use super::read::{self, ReadRequest};
use crate::crypto::{base64url, base64url_decode};
use crate::model::{Millis, Pattern};
use crate::moderation::api::ListPage;
use crate::moderation::{EntryKey, EntryKind, EntryRecord, ModerationEntry, ModerationReplica};
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::vendor::InvalidRequest;

/// How many users are read before the lock is released, and how many for one page. A page can be shorter than
/// requested.
const USERS_PER_LOCK: usize = 256;
const MAX_USERS_PER_PAGE: usize = 16 * 1024;

/// The maximum number of entries that are counted for a conversation.
const MAX_COUNT: usize = 1000;

/// One page of entries.
type EntryPage = ListPage<EntryRecord>;

/// The cursor at which a list of entries continues. To callers it is an opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EntryCursor {
    /// At the entry of the policy file with this number.
    File(usize),
    /// At the first entry of this user or, if there is none, of the next user.
    User(String),
    /// After this entry.
    After(EntryKey),
}

/// The filter of a list.
struct EntryFilter<'a> {
    table: EntryKind,
    user: Option<&'a str>,
    /// If set, only entries whose scope is within this place.
    scope: Option<&'a Pattern>,
    /// If set, only entries that apply to this app.
    app: Option<&'a Arc<str>>,
    /// The current time: entries that have ended are left out.
    now: Millis,
    limit: usize,
}

/// Answers a request for a list of entries.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    table: EntryKind,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["user", "conversation", "app", "limit", "after", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place.clone())?;
    let (user, app, now) = (fields.user()?, reader.app.as_ref(), visit.exchange.now);
    let wanted = EntryFilter { table, user, scope: place.as_ref(), app, now, limit: fields.limit()? };
    let after = fields.after(EntryCursor::decode)?;
    reader.authorize(visit).await?;
    let page = wanted.page(visit, after.unwrap_or(EntryCursor::File(0))).await;
    Ok(render::json(&page))
}

/// Answers a request for the entries of a conversation: those of the policy file and those made at run time, for one
/// app or for all.
pub(super) async fn answer_conversation(
    visit: &AuthenticatedRequest<'_>,
    id: &str,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["app", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let reader = ReadRequest::new(visit, fields, Some(fields::parse_conversation(id)?))?;
    let id = reader.scope.prefix();
    reader.authorize(visit).await?;
    let document = visit.exchange.settings().engine.policy.document();
    let filed = file_entries::file_entries(document, EntryKind::Conversations).filter(|record| record.name() == id);
    let known: Vec<ModerationEntry> = visit
        .exchange
        .runtime
        .moderation
        .read_any_age()
        .conversations_of(id)
        .cloned()
        .map(ModerationEntry::Conversation)
        .collect();
    let app = reader.app.as_ref();
    let here = |record: &ModerationEntry| app.is_none_or(|app| record.is_for_app(app));
    let entries: Vec<_> = filed.chain(known).filter(here).map(|record| listed(&record)).collect();
    if entries.is_empty() {
        return Err(ApiError::with_same_message(ErrorCode::NotFound, "There is no entry for this conversation."));
    }
    let mut body = json!({ "entries": entries });
    for (name, table) in [("bans", EntryKind::Bans), ("mutes", EntryKind::Mutes), ("roles", EntryKind::Roles)] {
        let scope = Some(&reader.scope);
        let (app, now) = (reader.app.as_ref(), visit.exchange.now);
        let all = EntryFilter { table, user: None, scope, app, now, limit: MAX_COUNT };
        let page = all.page(visit, EntryCursor::File(0)).await;
        body["counts"][name] = page.entries.len().into();
        if page.next.is_some() {
            body["counts"]["more"] = true.into();
        }
    }
    Ok(render::json(&body))
}

fn listed(record: &ModerationEntry) -> EntryRecord {
    EntryRecord::from(record).for_list()
}

impl EntryCursor {
    /// Reads a text that [`encode`](Self::encode) returned.
    fn decode(text: &str) -> Result<EntryCursor, InvalidRequest> {
        let unknown = || invalid_field("after", "must be the `next` of a page of the same list");
        let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unknown)?;
        let (kind, rest) = decoded.split_once(':').ok_or_else(unknown)?;
        let cursor = match kind {
            "file" => rest.parse().ok().map(EntryCursor::File),
            "user" => Some(EntryCursor::User(rest.to_owned())),
            "after" => EntryKey::parse(rest).map(EntryCursor::After),
            _ => None,
        };
        cursor.ok_or_else(unknown)
    }

    /// Returns the cursor as a text that needs no encoding in a query.
    fn encode(&self) -> String {
        let text = match self {
            EntryCursor::File(number) => format!("file:{number}"),
            EntryCursor::User(user) => format!("user:{user}"),
            EntryCursor::After(key) => format!("after:{key}"),
        };
        base64url(text.as_bytes())
    }
}

impl EntryFilter<'_> {
    async fn page(&self, visit: &AuthenticatedRequest<'_>, from: EntryCursor) -> EntryPage {
        let mut page = EntryPage::default();
        let from = match from {
            EntryCursor::File(number) => {
                self.add_file_entries(visit, number, &mut page);
                EntryCursor::User(String::new())
            }
            other => other,
        };
        if page.next.is_none() {
            self.add_runtime_entries(&visit.exchange.runtime.moderation, from, &mut page).await;
        }
        page
    }

    /// Adds the entries of the policy file, beginning with entry number `from`.
    fn add_file_entries(&self, visit: &AuthenticatedRequest<'_>, from: usize, page: &mut EntryPage) {
        let document = visit.exchange.settings().engine.policy.document();
        for (number, record) in file_entries::file_entries(document, self.table).enumerate().skip(from) {
            if page.entries.len() == self.limit {
                page.next = Some(EntryCursor::File(number).encode());
                return;
            }
            if self.user.is_none_or(|user| user == record.name()) && self.includes(&record) {
                page.entries.push(listed(&record));
            }
        }
    }

    /// Adds the entries that were made at run time. The index is locked only for short times, so that changes do not
    /// wait for lists.
    async fn add_runtime_entries(&self, moderation: &ModerationReplica, from: EntryCursor, page: &mut EntryPage) {
        let mut from = Some(from);
        for _ in 0..MAX_USERS_PER_PAGE / USERS_PER_LOCK {
            let Some(cursor) = &from else { break };
            if page.entries.len() == self.limit {
                break;
            }
            from = self.add_batch(moderation, cursor, page);
            tokio::task::yield_now().await;
        }
        page.next = from.map(|cursor| cursor.encode());
    }

    /// Adds the entries of some users. Returns where to continue, or `None` at the end of the list.
    fn add_batch(
        &self,
        moderation: &ModerationReplica,
        from: &EntryCursor,
        page: &mut EntryPage,
    ) -> Option<EntryCursor> {
        let (first, after) = match from {
            EntryCursor::File(_) => ("", None),
            EntryCursor::User(user) => (user.as_str(), None),
            EntryCursor::After(key) => (key.name.as_str(), Some(key)),
        };
        let index = moderation.read_any_age();
        if let Some(user) = self.user {
            let of_user = index.entries_of_user(self.table, user);
            return self.add(of_user.iter().filter(|record| after.is_none_or(|after| record.key() > *after)), page);
        }
        let mut people = index.users(self.table, first);
        for user in people.by_ref().take(USERS_PER_LOCK) {
            let of_user = index.entries_of_user(self.table, user);
            let left = of_user.iter().filter(|record| after.is_none_or(|after| record.key() > *after));
            if let Some(cursor) = self.add(left, page) {
                return Some(cursor);
            }
        }
        people.next().map(|user| EntryCursor::User(user.to_string()))
    }

    /// Adds entries until the page is full. Returns the cursor after the last added entry if the page is full.
    fn add<'r>(&self, records: impl Iterator<Item = &'r ModerationEntry>, page: &mut EntryPage) -> Option<EntryCursor> {
        for record in records.filter(|record| self.includes(record)) {
            page.entries.push(listed(record));
            if page.entries.len() == self.limit {
                return Some(EntryCursor::After(record.key()));
            }
        }
        None
    }

    fn includes(&self, record: &ModerationEntry) -> bool {
        let here = |place: &Pattern| record.scope().is_some_and(|scope| place.covers(&scope.home_conversation()));
        self.scope.is_none_or(here) && self.app.is_none_or(|app| record.is_for_app(app)) && record.is_in_force(self.now)
    }
}
