//! What the caller may do, for pages that offer only that. The answer is a hint: each request is decided again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::authenticated::{AuthenticatedRequest, FactsByApp};
use super::fields::RequestFields;
use super::read;
use crate::crypto::{hex, sha256};
use crate::model::{Action, ConversationKind, Pattern, SigningRequest};
use crate::moderation::{
    CommandKind, ModerationCommand, ModerationIndex, ModerationReplica, SanctionTerms, read_request,
};
use crate::policy::{DecisionData, EntryIndex, UserEntryKind};
use crate::server::http::console;
use crate::server::http::error::ApiError;
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;

/// The actions in the answer.
const ACTIONS: [Action; 9] = [
    Action::ReadModeration,
    Action::ReadDecisions,
    Action::Ban,
    Action::Unban,
    Action::Mute,
    Action::Unmute,
    Action::SetRole,
    Action::ManageConversation,
    Action::RetryEnforcement,
];

/// The maximum number of places in the answer.
const MAX_PLACES: usize = 100;

/// A target that no entry can name, because ids have no control characters. It stands for any user without a role.
const ANY_TARGET: &str = "\u{7f}";

/// The question what a client may do.
struct AbilitiesQuery<'a> {
    visit: &'a AuthenticatedRequest<'a>,
    /// The user that the caller acts as. Empty if a service acts as itself.
    client: String,
    app: Option<Arc<str>>,
}

/// Answers a request for the abilities of the caller. The audit log has no line for it, because the caller learns only
/// about itself.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["conversation", "app", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let query = AbilitiesQuery { visit, client: fields.client(&visit.caller)?, app: fields.app()? };
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    visit.check_authenticator(query.app.as_ref()).await?;
    let facts = match &place {
        Some(place) => query.facts(place).await,
        None => None,
    };
    let mut body = query.surroundings();
    if let Ok(index) = visit.exchange.runtime.moderation.read() {
        let no_facts = FactsByApp::new();
        body["everywhere"] = query.abilities(&index, Some(&no_facts), &Pattern::Everything);
        if let Some(place) = &place {
            body["here"] = query.here(&index, facts.as_ref(), place);
        }
        body["places"] = query.places(&index);
        // The facts and the token of the caller can give more roles.
        let is_complete = visit.exchange.settings().engine.facts.is_none() && visit.caller.bindings.is_empty();
        body["places_complete"] = is_complete.into();
    }
    Ok(render::json(&body))
}

impl AbilitiesQuery<'_> {
    /// Returns the part of the answer that is the same in all places.
    fn surroundings(&self) -> Value {
        let (exchange, caller) = (self.visit.exchange, &self.visit.caller);
        let settings = exchange.settings();
        let apps = settings.engine.apps.iter().map(|app| {
            let enforced = settings.enforcements.iter().any(|enforcement| enforcement.app == *app.name());
            let longest = app.longest_validity().map(milliseconds);
            json!({ "name": &**app.name(), "vendor": app.vendor().as_str(), "enforced": enforced, "longest_ms": longest })
        });
        let until = settings.engine.authenticators.token_end(caller).map(|end| end.to_string());
        let identity = [caller.kind.as_str(), &caller.subject, &caller.authenticator, &self.client, console::build()];
        let mut body = json!({
            "build": console::build(),
            "now": exchange.now.to_string(),
            "policy": settings.engine.policy.document().hash,
            "session": hex(&sha256(identity.join("\n").as_bytes())),
            "caller": { "kind": caller.kind, "subject": caller.subject, "authenticator": &*caller.authenticator },
            "moderation": replica_state(&exchange.runtime.moderation),
            "apps": apps.collect::<Vec<_>>(),
            "roles": settings.engine.policy.document().role_hierarchy.names(),
        });
        let options = [
            ("/caller/until", until.map(Value::from)),
            ("/acting_as", Some(self.client.as_str()).filter(|client| !client.is_empty()).map(Value::from)),
            ("/console", settings.console.as_ref().map(|console| json!(console.forms))),
        ];
        for (pointer, value) in options.into_iter().filter_map(|(pointer, value)| Some((pointer, value?))) {
            let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
            if let Some(parent) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.insert(name.to_owned(), value);
            }
        }
        body
    }

    /// Returns the abilities in one place, with the role of the client.
    fn here(&self, index: &ModerationIndex, facts: Option<&FactsByApp>, place: &Pattern) -> Value {
        let may = self.abilities(index, facts, place);
        let mut here = json!({ "conversation": place.to_string(), "may": may });
        // The role of another user is shown only to a caller who may read it.
        let is_readable = self.visit.caller.is_client(&self.client) || may["read-moderation"]["allowed"] == true;
        if let Some(role) = self.role(index, facts, place).filter(|_| is_readable) {
            here["role"] = role.into();
        }
        if let Some(kind) = self.kind(index, place).filter(|_| may["read-moderation"]["allowed"] == true) {
            here["kind"] = kind.as_str().into();
        }
        here
    }

    /// Returns the kind of a conversation, if an entry or its id tells it.
    fn kind(&self, index: &ModerationIndex, place: &Pattern) -> Option<ConversationKind> {
        let id = place.exact()?;
        let document = self.visit.exchange.settings().engine.policy.document();
        let filed = document.entries.conversations.iter().find(|conversation| conversation.id == id);
        let known = || index.conversations_of(id).find(|conversation| !conversation.forgotten);
        let listed = filed.map(|conversation| conversation.kind).or_else(|| known().map(|entry| entry.kind));
        let by_id = Some(ConversationKind::from_id(id)).filter(|kind| *kind == ConversationKind::Temporary);
        by_id.or(listed)
    }

    /// Returns the places in which an entry gives the client a role, with the actions that are allowed there.
    fn places(&self, index: &ModerationIndex) -> Value {
        let policy = &self.visit.exchange.settings().engine.policy;
        let (filed, known) = (scopes(policy.entries(), &self.client), scopes(index.entries(), &self.client));
        let scopes: BTreeSet<Pattern> = filed.chain(known).filter(|scope| *scope != Pattern::Everything).collect();
        let no_facts = FactsByApp::new();
        let places = scopes.iter().take(MAX_PLACES).filter_map(|place| {
            let is_allowed = |action: &Action| self.decide(index, Some(&no_facts), place, *action)["allowed"] == true;
            let may: Vec<_> = ACTIONS.into_iter().filter(is_allowed).map(Action::as_str).collect();
            let role = self.role(index, Some(&no_facts), place);
            (!may.is_empty()).then(|| json!({ "conversation": place.to_string(), "role": role, "may": may }))
        });
        places.collect()
    }

    fn abilities(&self, index: &ModerationIndex, facts: Option<&FactsByApp>, place: &Pattern) -> Value {
        let decided = ACTIONS.map(|action| (action.as_str().to_owned(), self.decide(index, facts, place, action)));
        Value::Object(Map::from_iter(decided))
    }

    /// Decides whether an action could be allowed in a place for some user. Without the facts, `allowed` is missing.
    fn decide(&self, index: &ModerationIndex, facts: Option<&FactsByApp>, place: &Pattern, action: Action) -> Value {
        let Some(facts) = facts else { return json!({}) };
        let policy = &self.visit.exchange.settings().engine.policy;
        for request in self.requests(place, action, &[ANY_TARGET]) {
            let facts = facts.get(&request.app).map_or(&[][..], Vec::as_slice);
            let data = DecisionData { file: policy.entries(), runtime: Some(index.entries()), facts };
            if let Err(denied) = policy.decide(request, &self.visit.caller, data, self.visit.exchange.now) {
                return json!({ "allowed": false, "reason": denied.denial.public_message() });
            }
        }
        json!({ "allowed": true })
    }

    /// Returns the policy requests of an action, one for each app.
    fn requests(&self, place: &Pattern, action: Action, targets: &[&str]) -> Vec<SigningRequest> {
        let apps = self.visit.apps(self.app.as_ref());
        let kind = match action {
            Action::Ban => CommandKind::Ban(SanctionTerms::default()),
            Action::Unban => CommandKind::LiftBan,
            Action::Mute => CommandKind::Mute(SanctionTerms::default()),
            Action::Unmute => CommandKind::LiftMute,
            Action::SetRole => CommandKind::SetRole(String::new()),
            _ => return apps.into_iter().map(|app| read_request(app, &self.client, place, action)).collect(),
        };
        let users = targets.iter().map(|user| (*user).to_owned()).collect();
        let (scope, app, client) = (place.clone(), self.app.clone(), self.client.clone());
        let command = ModerationCommand { kind, users, scope, app, client, own_only: false };
        apps.into_iter().map(|app| command.policy_request(app)).collect()
    }

    /// Returns the facts that the decisions depend on. `None`: they are not known.
    async fn facts(&self, place: &Pattern) -> Option<FactsByApp> {
        let mut facts = FactsByApp::new();
        for action in ACTIONS {
            let known = self.visit.fetch_facts_unrecorded(&self.requests(place, action, &[])).await.ok()?;
            facts.extend(known.into_iter().filter(|(_, facts)| !facts.is_empty()));
        }
        Some(facts)
    }

    /// Returns the role of the client in a place at the first app of the request.
    fn role(&self, index: &ModerationIndex, facts: Option<&FactsByApp>, place: &Pattern) -> Option<&str> {
        let policy = &self.visit.exchange.settings().engine.policy;
        let app = *self.visit.apps(self.app.as_ref()).first()?;
        let facts = facts?.get(app.name()).map_or(&[][..], Vec::as_slice);
        let data = DecisionData { file: policy.entries(), runtime: Some(index.entries()), facts };
        let held = policy.rank(&self.client, app.name(), place, data).held?;
        Some(policy.document().role_hierarchy.name(held))
    }
}

/// Returns the scopes in which the entries give the user a role.
fn scopes<'a>(entries: &'a EntryIndex, user: &str) -> impl Iterator<Item = Pattern> + use<'a> {
    let roles = entries.all_about(user).filter(|entry| entry.kind() == UserEntryKind::Role);
    roles.map(|entry| entry.scope().home_conversation().into_owned()).collect::<Vec<_>>().into_iter()
}

/// Describes the replica of the entries: whether decisions are possible, and how old it is.
fn replica_state(moderation: &ModerationReplica) -> Value {
    let Some(store) = moderation.store() else { return json!({ "state": "none" }) };
    let head = moderation.head();
    json!({
        "state": moderation.state().as_str(),
        "shared": store.is_shared(),
        "epoch": head.epoch,
        "version": head.version,
        "heard_ms": moderation.age().map(milliseconds),
        "max_staleness_ms": milliseconds(moderation.max_staleness()),
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
