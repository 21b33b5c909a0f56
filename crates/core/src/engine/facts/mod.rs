//! What is asked of another service about conversations, and what its answers mean. The asking itself is done elsewhere.

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
pub use details::details;
use leancloud::LeanCloudProgress;

/// How many people are asked about because a ban or mute of theirs is to be lifted. Any number of them may have one in a place.
const MOST_AUTHORS: usize = 100;

/// Another service, which knows conversations.
#[derive(Debug)]
pub struct FactsProvider {
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// How.
    pub protocol: FactsProtocol,
    /// The apps whose conversations it knows; `None` is all.
    pub apps: Option<Vec<String>>,
    /// The roles that the policy knows.
    pub ladder: RoleHierarchy,
    /// For how long an answer is good.
    pub cache: Duration,
}

/// What is sent, and what an answer looks like.
#[derive(Debug)]
pub enum FactsProtocol {
    /// The app's own backend: one `POST` a conversation.
    Http,
    /// LeanCloud's REST interface. The endpoint is the app's API address, without a path of the interface.
    LeanCloud {
        /// The app's id.
        app_id: String,
        /// The app's master key.
        master_key: Secret,
    },
}

impl FactsProtocol {
    /// How the configuration spells it.
    pub fn as_str(&self) -> &'static str {
        match self {
            FactsProtocol::Http => "http",
            FactsProtocol::LeanCloud { .. } => "leancloud",
        }
    }
}

/// A question about one conversation.
#[derive(Clone)]
pub struct FactsQuery {
    /// Whom to ask.
    pub source: Arc<FactsProvider>,
    app: Arc<str>,
    vendor: Vendor,
    conversation: String,
    /// In order, each once.
    users: Arc<[String]>,
}

/// An inquiry on its way: what to send next, until the last answer is there.
pub struct FactsExchange<'a> {
    inquiry: &'a FactsQuery,
    progress: Option<LeanCloudProgress>,
}

impl FactsProvider {
    /// The questions about these conversations of an ask, for whoever has a part in it.
    pub(super) fn inquiries(
        self: &Arc<Self>,
        conversations: impl IntoIterator<Item = String>,
        ask: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
    ) -> Vec<FactsQuery> {
        let users: Arc<[String]> = users(ask, caller, facts).into();
        let inquiry = |conversation| FactsQuery {
            source: Arc::clone(self),
            app: ask.app.clone(),
            vendor: ask.vendor,
            conversation,
            users: Arc::clone(&users),
        };
        conversations.into_iter().map(inquiry).collect()
    }

    /// Whether it knows this app's conversations.
    pub fn serves(&self, app: &str) -> bool {
        self.apps.as_ref().is_none_or(|apps| apps.iter().any(|own| own == app))
    }

    /// What its answers are good for besides the rules.
    pub(super) fn bearing(&self, user_claims: bool) -> FactsRelevance {
        FactsRelevance { shuts_out: matches!(self.protocol, FactsProtocol::LeanCloud { .. }), user_claims }
    }
}

/// The users whom an ask is about: the caller, unless it is a service, the client, whom it touches, and whose bans it lifts, as far as
/// these aren't too many. In order, each once.
fn users(ask: &SigningRequest, caller: &Caller, facts: DecisionData<'_>) -> Vec<String> {
    let caller = (caller.kind == CallerKind::User).then_some(&caller.subject);
    // `*` is Ably's "any identity", and nobody's name.
    let client = Some(&ask.client).filter(|client| !client.is_empty() && *client != "*");
    let authors: BTreeSet<&str> = ask.needs.iter().flat_map(|need| facts.authors(&ask.app, need)).collect();
    let authors = authors.into_iter().take(MOST_AUTHORS).map(str::to_owned);
    let mut users: Vec<String> = caller.into_iter().chain(client).chain(&ask.members).cloned().chain(authors).collect();
    users.sort_unstable();
    users.dedup();
    users
}

impl FactsQuery {
    /// The conversation that it is about: its name, a room's for its channels.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// All that tells it from other inquiries, in an unambiguous form.
    pub fn identity(&self) -> Vec<u8> {
        let parts = [&*self.app, self.vendor.as_str(), &self.conversation];
        crypto::joined(parts.into_iter().chain(self.users.iter().map(String::as_str)).map(str::as_bytes))
    }

    /// Begins to ask.
    pub fn begin(&self) -> FactsExchange<'_> {
        let progress = match self.source.protocol {
            FactsProtocol::Http => None,
            FactsProtocol::LeanCloud { .. } => Some(LeanCloudProgress::new(&self.conversation)),
        };
        FactsExchange { inquiry: self, progress }
    }
}

impl fmt::Debug for FactsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inquiry({}, {})", self.source.endpoint, self.conversation)
    }
}

impl FactsExchange<'_> {
    /// What is known without asking, if that is all there is to know.
    pub fn known(&self) -> Option<ConversationFacts> {
        self.progress.as_ref()?.known(self.inquiry)
    }

    /// The next request.
    ///
    /// # Errors
    /// If a configured id or key can't be sent.
    pub fn request(&self) -> Result<Request<Vec<u8>>, String> {
        let mut request = match (&self.progress, &self.inquiry.source.protocol) {
            (Some(progress), FactsProtocol::LeanCloud { app_id, master_key }) => {
                progress.request(self.inquiry, app_id, master_key)?
            }
            _ => post(self.inquiry),
        };
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// Reads the answer to it. `None`: there is more to ask.
    ///
    /// # Errors
    /// Why the answer can't be relied on, in words for the log.
    pub fn read(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<ConversationFacts>, String> {
        let inquiry = self.inquiry;
        let told = match &mut self.progress {
            Some(progress) => progress.read(inquiry, &object(status, headers, body)?)?,
            None => Some(told(inquiry, status, headers, body)?),
        };
        Ok(told.map(|told| told.about(Arc::clone(&inquiry.users))))
    }
}

/// What the app's own backend tells.
fn told(
    inquiry: &FactsQuery,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ConversationFacts, String> {
    let conversation = inquiry.conversation.clone();
    if status == StatusCode::NOT_FOUND {
        return Ok(ConversationFacts::unknown(conversation));
    }
    let mut details = details(&object(status, headers, body)?, &inquiry.source.ladder)?;
    details.roles.retain(|(user, _)| inquiry.users.contains(user));
    Ok(ConversationFacts::known(conversation, details))
}

fn post(inquiry: &FactsQuery) -> Request<Vec<u8>> {
    let FactsQuery { source, app, vendor, conversation, users } = inquiry;
    let body = json!({ "app": &**app, "vendor": vendor.as_str(), "conversation": conversation, "users": **users });
    let mut request = Request::new(body.to_string().into_bytes());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = source.endpoint.url.clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// The object that a good answer holds.
fn object(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, String> {
    if status.is_redirection() {
        return Err(format!("it redirects ({status}), which is not followed"));
    }
    if status != StatusCode::OK {
        return Err(format!("it answers {status}"));
    }
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err("it answers something else than application/json".to_owned());
    }
    json::object(body).map_err(|error| format!("it is not a JSON object: {error}"))
}
