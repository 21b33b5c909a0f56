//! The entries of one conversation.

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::authenticated::AuthenticatedRequest;
use super::entry;
use super::fields::{self, RequestFields};
use super::read::{self, ReadRequest};
use crate::moderation::{EntryKind, ModerationEntry};
use crate::server::http::{ApiError, ErrorCode, HttpResponse, render};

/// Answers a request for the entries of a conversation: those of the policy file and those made at run time, for one
/// app or for all.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    id: &str,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["app", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings };
    let reader = ReadRequest::new(visit, fields, Some(fields::parse_conversation(id)?))?;
    let id = reader.scope.prefix();
    reader.authorize(visit).await?;
    let document = visit.exchange.settings.engine.policy.document();
    let filed = entry::file_entries(document, EntryKind::Conversations).filter(|record| record.name() == id);
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
    let here = |record: &ModerationEntry| app.is_none_or(|app| record.app().is_none_or(|own| own == app));
    let entries: Vec<Map<String, Value>> =
        filed.chain(known).filter(here).map(|record| conversation_json(&record)).collect();
    if entries.is_empty() {
        return Err(ApiError::with_same_message(ErrorCode::NotFound, "There is no entry for this conversation."));
    }
    Ok(render::success("application/json", json!({ "entries": entries }).to_string()))
}

fn conversation_json(record: &ModerationEntry) -> Map<String, Value> {
    let mut entry = entry::entry_json(record);
    if matches!(record, ModerationEntry::Conversation(conversation) if conversation.forgotten) {
        entry.insert("forgotten".to_owned(), json!(true));
    }
    entry
}
