//! The queries to a facts server and the meaning of its answers. The module `upstream` sends the queries.

mod backend;
mod leancloud;
mod provider;

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::{Map, Value};

use crate::model::json;
use crate::policy::ConversationFacts;
pub use backend::parse_details;
use leancloud::LeanCloudProgress;
pub use provider::{FactsProtocol, FactsProvider, FactsQuery};

/// A query in progress. It knows the next request until the last answer has arrived.
pub struct FactsExchange<'a> {
    query: &'a FactsQuery,
    progress: Option<LeanCloudProgress>,
}

impl FactsQuery {
    /// Starts the query.
    pub fn begin(&self) -> FactsExchange<'_> {
        let progress = match self.source.protocol {
            FactsProtocol::Http => None,
            FactsProtocol::LeanCloud { .. } => Some(LeanCloudProgress::new(&self.conversation)),
        };
        FactsExchange { query: self, progress }
    }
}

impl FactsExchange<'_> {
    /// Returns the facts that are known without a request, if nothing else has to be asked.
    pub fn known(&self) -> Option<ConversationFacts> {
        self.progress.as_ref()?.known(self.query)
    }

    /// Returns the next request.
    ///
    /// # Errors
    /// Returns an error if a configured id or key cannot be sent.
    pub fn request(&self) -> Result<Request<Vec<u8>>, String> {
        let mut request = match (&self.progress, &self.query.source.protocol) {
            (Some(progress), FactsProtocol::LeanCloud { app_id, master_key }) => {
                progress.request(self.query, app_id, master_key)?
            }
            _ => backend::request(self.query),
        };
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// Reads the answer to the last request. Returns `None` if there is more to ask.
    ///
    /// # Errors
    /// Returns the reason why the answer cannot be used, in words for the log.
    pub fn read(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<ConversationFacts>, String> {
        let inquiry = self.query;
        let told = match &mut self.progress {
            Some(progress) => progress.read(inquiry, &parse_object(status, headers, body)?)?,
            None if status == StatusCode::NOT_FOUND => Some(ConversationFacts::missing(inquiry.conversation.clone())),
            None => Some(backend::parse_answer(inquiry, &parse_object(status, headers, body)?)?),
        };
        Ok(told.map(|told| told.about(Arc::clone(&inquiry.users))))
    }
}

/// Returns the JSON object of a successful answer.
fn parse_object(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, String> {
    if status.is_redirection() {
        return Err(format!("it redirects ({status}), which is not followed"));
    }
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err("its content type is not application/json".to_owned());
    }
    json::parse_document(body).map_err(|error| format!("it is not a JSON object: {error}"))
}
