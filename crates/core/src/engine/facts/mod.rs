//! The queries to a facts server and the meaning of its answers. The module `upstream` sends the queries.

mod details;
mod leancloud;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use crate::authn::Endpoint;
use crate::crypto;
use crate::model::{Caller, CallerKind, RoleHierarchy, SigningRequest, Vendor, json};
use crate::policy::{ConversationFacts, DecisionData, FactsRelevance};
use crate::secret::Secret;
pub use details::parse_details;
use leancloud::LeanCloudProgress;

/// How many authors of bans and mutes a query names, if the request lifts their bans or mutes. A place can have any
/// number of them.
const MAX_AUTHORS: usize = 100;

/// A facts server: another service that knows the conversations.
#[derive(Debug)]
pub struct FactsProvider {
    /// The server's endpoint.
    pub endpoint: Endpoint,
    /// The protocol of the server.
    pub protocol: FactsProtocol,
    /// The apps with conversations that the server knows. `None` means all apps.
    pub apps: Option<Vec<String>>,
    /// The roles of the policy.
    pub hierarchy: RoleHierarchy,
    /// How long an answer is valid.
    pub ttl: Duration,
}

/// The protocol of a facts server: the form of requests and answers.
#[derive(Debug)]
pub enum FactsProtocol {
    /// The app's own backend. It gets a `POST` request for each conversation.
    Http,
    /// LeanCloud's REST API. The endpoint is the API address of the app, without a path.
    LeanCloud {
        /// The app's id.
        app_id: String,
        /// The app's master key.
        master_key: Secret,
    },
}

impl FactsProtocol {
    /// Returns the protocol's name in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            FactsProtocol::Http => "http",
            FactsProtocol::LeanCloud { .. } => "leancloud",
        }
    }
}

/// A query about a conversation.
#[derive(Clone)]
pub struct FactsQuery {
    /// The server to ask.
    pub source: Arc<FactsProvider>,
    app: Arc<str>,
    vendor: Vendor,
    conversation: String,
    /// The users, sorted and without duplicates.
    users: Arc<[String]>,
}

/// A query in progress. It knows the next request until the last answer has arrived.
pub struct FactsExchange<'a> {
    query: &'a FactsQuery,
    progress: Option<LeanCloudProgress>,
}

impl FactsProvider {
    /// Returns the queries about these conversations of a request, for all users that the request concerns.
    pub(super) fn queries(
        self: &Arc<Self>,
        conversations: impl IntoIterator<Item = String>,
        ask: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
    ) -> Vec<FactsQuery> {
        let users: Arc<[String]> = concerned_users(ask, caller, facts).into();
        let inquiry = |conversation| FactsQuery {
            source: Arc::clone(self),
            app: ask.app.clone(),
            vendor: ask.vendor,
            conversation,
            users: Arc::clone(&users),
        };
        conversations.into_iter().map(inquiry).collect()
    }

    /// Returns whether the server knows the conversations of this app.
    pub fn serves(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// Returns which parts of a decision depend on the server's answers, in addition to the rules.
    pub(super) fn relevance(&self, user_claims: bool) -> FactsRelevance {
        FactsRelevance { shuts_out: matches!(self.protocol, FactsProtocol::LeanCloud { .. }), user_claims }
    }
}

/// Returns the users that a request concerns: the caller (unless it is a service), the client, the members, and the
/// authors of the bans and mutes that the request lifts. The number of authors is limited. The result is sorted and
/// without duplicates.
fn concerned_users(ask: &SigningRequest, caller: &Caller, facts: DecisionData<'_>) -> Vec<String> {
    let caller = (caller.kind == CallerKind::User).then_some(&caller.subject);
    // `*` is Ably's name for any identity. It is not the name of a user.
    let client = Some(&ask.client).filter(|client| !client.is_empty() && *client != "*");
    let authors: BTreeSet<&str> =
        ask.required_actions.iter().flat_map(|need| facts.sanction_authors(&ask.app, need)).collect();
    let authors = authors.into_iter().take(MAX_AUTHORS).map(str::to_owned);
    let mut users: Vec<String> = caller.into_iter().chain(client).chain(&ask.members).cloned().chain(authors).collect();
    users.sort_unstable();
    users.dedup();
    users
}

impl FactsQuery {
    /// Returns the name of the conversation. For the channels of a room, this is the name of the room.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Returns everything that distinguishes this query from others, in an unambiguous form.
    pub fn identity(&self) -> Vec<u8> {
        let parts = [&*self.app, self.vendor.as_str(), &self.conversation];
        crypto::join_with_lengths(parts.into_iter().chain(self.users.iter().map(String::as_str)).map(str::as_bytes))
    }

    /// Starts the query.
    pub fn begin(&self) -> FactsExchange<'_> {
        let progress = match self.source.protocol {
            FactsProtocol::Http => None,
            FactsProtocol::LeanCloud { .. } => Some(LeanCloudProgress::new(&self.conversation)),
        };
        FactsExchange { query: self, progress }
    }
}

impl fmt::Debug for FactsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactsQuery({}, {})", self.source.endpoint, self.conversation)
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
            _ => http_request(self.query),
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
            None => Some(parse_http_answer(inquiry, status, headers, body)?),
        };
        Ok(told.map(|told| told.about(Arc::clone(&inquiry.users))))
    }
}

/// Reads the answer of the app's own backend.
fn parse_http_answer(
    inquiry: &FactsQuery,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ConversationFacts, String> {
    let conversation = inquiry.conversation.clone();
    if status == StatusCode::NOT_FOUND {
        return Ok(ConversationFacts::missing(conversation));
    }
    let mut details = parse_details(&parse_object(status, headers, body)?, &inquiry.source.hierarchy)?;
    details.roles.retain(|(user, _)| inquiry.users.contains(user));
    Ok(ConversationFacts::existing(conversation, details))
}

fn http_request(inquiry: &FactsQuery) -> Request<Vec<u8>> {
    let FactsQuery { source, app, vendor, conversation, users } = inquiry;
    let body = json!({ "app": &**app, "vendor": vendor.as_str(), "conversation": conversation, "users": **users });
    let mut request = Request::new(body.to_string().into_bytes());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = source.endpoint.url.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
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
    json::parse_object(body).map_err(|error| format!("it is not a JSON object: {error}"))
}
