//! Permission to read moderation entries, and the parameters in the query.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};

use super::authenticated::{AuthenticatedRequest, FactsByApp};
use super::fields::{RequestFields, invalid_field};
use crate::config::ServerConfig;
use crate::crypto::base64url_decode;
use crate::model::{Action, Caller, Millis, Pattern, SigningRequest};
use crate::moderation::api::ModerationParameters;
use crate::moderation::{ModerationEntry, ReplicaStale, read_request};
use crate::policy::{DecisionData, Denial};
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::metrics::CountedDecision;
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{admission, body, params, record, render};
use crate::server::limits::AdmissionPermit;
use crate::telemetry::{AuditDecision, AuditRecord};
use crate::vendor::{App, InvalidRequest, Params};

/// A request to read moderation entries: the user that the caller acts as, and the requested part.
pub(super) struct ReadRequest {
    /// The user that the caller acts as. Empty if a service acts as itself.
    client: String,
    /// The app that the request is about, or `None` for all apps.
    pub(super) app: Option<Arc<str>>,
    /// The conversation, the namespace, or everywhere.
    pub(super) scope: Pattern,
}

/// Permission to read the entries. It can be checked again later.
pub(super) struct ReadPermission {
    requests: Vec<SigningRequest>,
    facts: FactsByApp,
}

/// The rules that allow the request, or the denial.
type AllowingRules = Result<Vec<String>, Box<Denial>>;

/// Returns the parameters in a query. An unknown parameter is refused: a caller that asks for a part must not receive
/// everything because of a misspelled name.
pub(super) fn query(request: &Request<Incoming>, known: &[&str]) -> Result<ModerationParameters, ApiError> {
    let strict = Params { lenient: false, ..params::from_query_filtered(request.uri().query(), |_| true)? };
    let known_names = known.join(", ");
    let unknown = |flaw: InvalidRequest| match flaw.field.as_str() {
        // The name is not one that a message can repeat.
        "body" => invalid_field("query", format!("has an unknown parameter; known are: {known_names}")),
        name => invalid_field(name, format!("is unknown; known are: {known_names}")),
    };
    strict.reject_unknown(known).map_err(unknown)?;
    Ok(ModerationParameters::read(&strict)?)
}

/// Returns one page of a list, with the version that the list contains completely.
pub(super) fn page(version: u64, name: &str, items: &impl Serialize, next: Option<String>) -> HttpResponse {
    let mut page = json!({ "version": version, name: items });
    if let Some(next) = next {
        page["next"] = next.into();
    }
    render::json(&page)
}

/// Reads the cursor of a list that is sorted by name: the last name of the previous page.
pub(super) fn parse_name_cursor(text: &str) -> Result<String, InvalidRequest> {
    let name = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| invalid_field("after", "must be the `next` of a page of the same list"))
}

/// Checks that the query is empty, for requests with parameters in the body.
pub(super) fn check_no_query(request: &Request<Incoming>) -> Result<(), ApiError> {
    let params = params::from_query_filtered(request.uri().query(), |_| true)?;
    let Some(name) = params.values.keys().next() else { return Ok(()) };
    Err(invalid_field(name, "must be in the body, not in the query").into())
}

/// Checks that the body is empty, for requests with parameters in the query. Returns the permit that the request holds
/// afterwards.
pub(super) async fn check_no_body(
    exchange: &RequestContext,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<AdmissionPermit, ApiError> {
    let ServerConfig { body_limit, request_timeout, .. } = exchange.settings().server;
    let reading = body::read(request.body_mut(), body_limit, request_timeout);
    let (bytes, place) = admission::wait_for_client(exchange, place, reading).await?;
    let message = "must be empty: put the parameters into the query";
    if bytes.is_empty() { Ok(place) } else { Err(invalid_field("body", message).into()) }
}

impl ReadRequest {
    /// Creates a request to read the entries of a place. Without a place, the request is about all entries.
    pub(super) fn new(
        visit: &AuthenticatedRequest<'_>,
        fields: RequestFields<'_>,
        place: Option<Pattern>,
    ) -> Result<ReadRequest, ApiError> {
        let client = fields.client(&visit.caller)?;
        Ok(ReadRequest { client, app: fields.app()?, scope: place.unwrap_or(Pattern::Everything) })
    }

    /// Creates a request to read everything, of all apps.
    pub(super) fn for_everything(
        visit: &AuthenticatedRequest<'_>,
        fields: RequestFields<'_>,
    ) -> Result<ReadRequest, ApiError> {
        Ok(ReadRequest { client: fields.client(&visit.caller)?, app: None, scope: Pattern::Everything })
    }

    /// Returns the user that the caller acts as. Empty if a service acts as itself.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// Returns whether an entry is in force, and in the place and for the app of the request.
    pub(super) fn includes_entry(&self, entry: &ModerationEntry, now: Millis) -> bool {
        let is_here = entry.scope().is_some_and(|scope| self.scope.covers(&scope.home_conversation()));
        is_here && entry.is_in_force(now) && self.app.as_ref().is_none_or(|app| entry.is_for_app(app))
    }

    /// Returns whether an event is about the place and the app of the request.
    pub(super) fn includes_event(&self, event: &Value) -> bool {
        let text = |name| event.pointer(name).and_then(Value::as_str);
        let scope = text("/data/conversation").map_or(Ok(Pattern::Everything), Pattern::parse);
        let is_here = scope.is_ok_and(|scope| self.scope.covers(&scope.home_conversation()));
        is_here && self.app.as_deref().zip(text("/data/app")).is_none_or(|(own, app)| own == app)
    }

    /// Decides whether the caller can read the entries, and records the decision.
    pub(super) async fn authorize(&self, visit: &AuthenticatedRequest<'_>) -> Result<ReadPermission, ApiError> {
        let (exchange, app) = (visit.exchange, self.app.as_ref());
        visit.check_authenticator(app).await?;
        let asks: Vec<SigningRequest> = visit
            .apps(app)
            .into_iter()
            .map(|app| read_request(app, &self.client, &self.scope, Action::ReadModeration))
            .collect();
        let told = visit.fetch_facts(app, &asks, None).await?;
        let leave = ReadPermission { requests: asks, facts: told };
        match leave.decide(exchange, &visit.caller, exchange.now) {
            Ok(decided) => record_decision(exchange, visit.app(app), &visit.caller, &leave, decided).await?,
            Err(stale) => {
                return Err(visit.record_undecided(app, &leave.requests, None, stale.into()).await);
            }
        }
        Ok(leave)
    }
}

impl ReadRequest {
    /// Returns whether the caller can also do this in the same place. Only a permission is recorded, because the caller
    /// gets an answer in either case.
    ///
    /// # Errors
    /// Returns an error if that cannot be decided.
    pub(super) async fn authorize_further(
        &self,
        visit: &AuthenticatedRequest<'_>,
        action: Action,
    ) -> Result<bool, ApiError> {
        let (exchange, app) = (visit.exchange, self.app.as_ref());
        let requests: Vec<SigningRequest> =
            visit.apps(app).into_iter().map(|app| read_request(app, &self.client, &self.scope, action)).collect();
        let facts = visit.fetch_facts(app, &requests, None).await?;
        let permission = ReadPermission { requests, facts };
        match permission.decide(exchange, &visit.caller, exchange.now)? {
            Ok(rules) => {
                record_decision(exchange, visit.app(app), &visit.caller, &permission, Ok(rules)).await?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }
}

impl ReadRequest {
    /// Returns whether the caller can read the entries, for an answer that is recorded anyway.
    pub(super) async fn is_allowed(&self, visit: &AuthenticatedRequest<'_>) -> bool {
        let apps = visit.apps(self.app.as_ref()).into_iter();
        let requests: Vec<_> =
            apps.map(|app| read_request(app, &self.client, &self.scope, Action::ReadModeration)).collect();
        let Ok(facts) = visit.fetch_facts_unrecorded(&requests).await else { return false };
        ReadPermission { requests, facts }.holds(visit.exchange, &visit.caller, visit.exchange.now)
    }
}

impl ReadPermission {
    /// Returns true if the permission still holds with the current entries.
    pub(super) fn holds(&self, exchange: &RequestContext, caller: &Caller, now: Millis) -> bool {
        matches!(self.decide(exchange, caller, now), Ok(Ok(_)))
    }

    /// Decides the request again, for each app.
    fn decide(&self, exchange: &RequestContext, caller: &Caller, now: Millis) -> Result<AllowingRules, ReplicaStale> {
        let policy = &exchange.settings().engine.policy;
        let index = exchange.runtime.moderation.read()?;
        let mut rules = Vec::new();
        for signing_request in &self.requests {
            let told = self.facts.get(&signing_request.app).map_or(&[][..], Vec::as_slice);
            match policy.decide(
                signing_request.clone(),
                caller,
                DecisionData { file: policy.entries(), runtime: Some(index.entries()), facts: told },
                now,
            ) {
                Ok(permit) => {
                    let new =
                        permit.into_parts().2.into_iter().filter(|rule| !rules.contains(rule)).collect::<Vec<_>>();
                    rules.extend(new);
                }
                Err(refusal) => return Ok(Err(refusal.denial)),
            }
        }
        Ok(Ok(rules))
    }
}

/// Records and counts a decision.
async fn record_decision(
    exchange: &RequestContext,
    app: Option<&App>,
    caller: &Caller,
    permission: &ReadPermission,
    decided: AllowingRules,
) -> Result<(), ApiError> {
    let Some(signing_request) = permission.requests.first() else { return Err(ApiError::internal("there is no app")) };
    let record = record::request_record(exchange, app, caller, signing_request);
    match decided {
        Ok(rules) => {
            let counted = CountedDecision::allowed(signing_request.action, AuditDecision::Allow, rules.clone());
            record::record_decision(exchange, app, &AuditRecord { rules: &rules, ..record }, counted).await
        }
        Err(denial) => {
            let (failure, reason) = (ApiError::from(&*denial), denial.log_message());
            let counted = CountedDecision::denied(denial.action, denial.reason.clone());
            let denied = AuditRecord { reason: Some(&reason), ..record::with_denial(&denial, &record) };
            record::record_decision(exchange, app, &denied, counted).await?;
            Err(failure)
        }
    }
}
