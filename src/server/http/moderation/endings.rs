//! The bans and mutes that end next.

use hyper::Request;
use hyper::body::Incoming;
use serde_json::json;

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, parse_time};
use super::read::{self, ReadRequest};
use crate::model::Millis;
use crate::moderation::{EntryKind, EntryRecord};
use crate::server::http::error::ApiError;
use crate::server::http::response_body::HttpResponse;

/// The maximum number of entries that are read for one answer.
const MAX_READ: usize = 16 * 1024;

/// Answers a request for the bans and mutes that were made at run time, sorted by their end.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["before", "conversation", "app", "limit", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place)?;
    let before = params.before.as_deref().map_or(Ok(Millis::LAST), |text| parse_time("before", text))?;
    let limit = fields.limit()?;
    reader.authorize(visit).await?;
    let moderation = &visit.exchange.runtime.moderation;
    let version = moderation.head().version;
    let index = moderation.read_any_age();
    let ending = index.ended(before, MAX_READ);
    let found = ending.iter().filter_map(|key| index.find(key));
    let here = found.filter(|entry| reader.includes_entry(entry, visit.exchange.now)).take(limit);
    let entries: Vec<_> = here
        .map(|entry| {
            let mut record = json!(EntryRecord::from(&entry).for_list());
            record["kind"] = if entry.table() == EntryKind::Bans { "ban" } else { "mute" }.into();
            record
        })
        .collect();
    Ok(read::page(version, "entries", &entries, None))
}
