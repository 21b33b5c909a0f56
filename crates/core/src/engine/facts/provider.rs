//! A facts server, and the queries about the conversations of a request.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::authn::Endpoint;
use crate::crypto;
use crate::model::{Caller, CallerKind, Role, RoleHierarchy, SigningRequest, Vendor};
use crate::policy::{DecisionData, FactsRelevance};
use crate::secret::Secret;

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
    pub(super) app: Arc<str>,
    pub(super) vendor: Vendor,
    pub(super) conversation: String,
    /// The users, sorted and without duplicates.
    pub(super) users: Arc<[String]>,
}

impl FactsProvider {
    /// Returns the queries about these conversations of a request, for all users that the request concerns.
    pub(in crate::engine) fn queries(
        self: &Arc<Self>,
        conversations: impl IntoIterator<Item = String>,
        signing_request: &SigningRequest,
        caller: &Caller,
        facts: DecisionData<'_>,
    ) -> Vec<FactsQuery> {
        let users: Arc<[String]> = concerned_users(signing_request, caller, facts).into();
        let inquiry = |conversation| FactsQuery {
            source: Arc::clone(self),
            app: signing_request.app.clone(),
            vendor: signing_request.vendor,
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
    pub(in crate::engine) fn relevance(&self, user_claims: bool) -> FactsRelevance {
        FactsRelevance { shuts_out: matches!(self.protocol, FactsProtocol::LeanCloud { .. }), user_claims }
    }
}

/// Returns the users that a request concerns: the caller (unless it is a service), the client, the members, and the
/// authors of the bans and mutes that the request lifts. The number of authors is limited. The result is sorted and
/// without duplicates.
fn concerned_users(signing_request: &SigningRequest, caller: &Caller, facts: DecisionData<'_>) -> Vec<String> {
    let caller = (caller.kind == CallerKind::User).then_some(&caller.subject);
    // `*` is Ably's name for any identity. It is not the name of a user.
    let client = Some(&signing_request.client).filter(|client| !client.is_empty() && *client != "*");
    let authors: BTreeSet<&str> = signing_request
        .required_actions
        .iter()
        .flat_map(|need| facts.sanction_authors(&signing_request.app, need))
        .collect();
    let authors = authors.into_iter().take(MAX_AUTHORS).map(str::to_owned);
    let mut users: Vec<String> =
        caller.into_iter().chain(client).chain(&signing_request.members).cloned().chain(authors).collect();
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
}

impl fmt::Debug for FactsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FactsQuery({}, {})", self.source.endpoint, self.conversation)
    }
}

/// Returns the role of this name.
pub(super) fn role(word: &str, role_hierarchy: &RoleHierarchy) -> Result<Role, String> {
    let start: String = word.chars().take(64).flat_map(char::escape_debug).collect();
    role_hierarchy.find(word).ok_or_else(|| format!("it has the role `{start}`, which the policy does not list"))
}
