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
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, SigningRequest};
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
use crate::vendor::{InvalidRequest, Params};

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
type AllowingRules = Result<Vec<Arc<str>>, Box<Denial>>;

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

    /// Creates a request of the caller itself about a place.
    pub(super) fn by_caller(caller: &Caller, app: Option<&Arc<str>>, scope: Pattern) -> ReadRequest {
        let client = match caller.kind {
            CallerKind::User => caller.subject.clone(),
            CallerKind::Service => String::new(),
        };
        ReadRequest { client, app: app.cloned(), scope }
    }

    /// Returns the user that the caller acts as. Empty if a service acts as itself.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// Returns whether the request is about all places and apps.
    pub(super) fn includes_everything(&self) -> bool {
        self.scope == Pattern::Everything && self.app.is_none()
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
        visit.check_authenticator(self.app.as_ref()).await?;
        let (permission, decided) = self.decide(visit, Action::ReadModeration).await?;
        record_decision(visit, self.app.as_ref(), &permission, decided).await?;
        Ok(permission)
    }

    /// Decides whether the caller can do this. Records only a denial. Returns the permission, and the rules that allow
    /// it, for the audit line.
    pub(super) async fn permit(
        &self,
        visit: &AuthenticatedRequest<'_>,
        action: Action,
    ) -> Result<(ReadPermission, Vec<Arc<str>>), ApiError> {
        visit.check_authenticator(self.app.as_ref()).await?;
        let (permission, decided) = self.decide(visit, action).await?;
        match decided {
            Ok(rules) => Ok((permission, rules)),
            Err(denial) => Err(record_denial(visit, self.app.as_ref(), permission.request()?, &denial).await),
        }
    }

    /// Decides an action. If it cannot be decided, this is recorded.
    async fn decide(
        &self,
        visit: &AuthenticatedRequest<'_>,
        action: Action,
    ) -> Result<(ReadPermission, AllowingRules), ApiError> {
        let (exchange, app) = (visit.exchange, self.app.as_ref());
        let requests: Vec<SigningRequest> =
            visit.apps(app).into_iter().map(|app| read_request(app, &self.client, &self.scope, action)).collect();
        let facts = visit.fetch_facts(app, &requests, None).await?;
        let permission = ReadPermission { requests, facts };
        match permission.decide(exchange, &visit.caller, exchange.now) {
            Ok(decided) => Ok((permission, decided)),
            Err(stale) => Err(visit.record_undecided(app, &permission.requests, None, stale.into()).await),
        }
    }

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
        let (permission, decided) = self.decide(visit, action).await?;
        if decided.is_err() {
            return Ok(false);
        }
        record_decision(visit, self.app.as_ref(), &permission, decided).await?;
        Ok(true)
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
    /// Returns the requests, one for each app.
    pub(super) fn requests(&self) -> &[SigningRequest] {
        &self.requests
    }

    /// Returns the request for the first app.
    pub(super) fn request(&self) -> Result<&SigningRequest, ApiError> {
        self.requests.first().ok_or_else(|| ApiError::internal("there is no app"))
    }

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
    visit: &AuthenticatedRequest<'_>,
    app: Option<&Arc<str>>,
    permission: &ReadPermission,
    decided: AllowingRules,
) -> Result<(), ApiError> {
    let (exchange, signing_request) = (visit.exchange, permission.request()?);
    match decided {
        Ok(rules) => {
            let record = record::request_record(exchange, visit.app(app), &visit.caller, signing_request);
            let counted = CountedDecision::allowed(signing_request.action, AuditDecision::Allow, &rules);
            record::record_decision(exchange, visit.app(app), &AuditRecord { rules: &rules, ..record }, counted).await
        }
        Err(denial) => Err(record_denial(visit, app, signing_request, &denial).await),
    }
}

/// Records and counts a denial. Returns the error to answer with.
async fn record_denial(
    visit: &AuthenticatedRequest<'_>,
    app: Option<&Arc<str>>,
    signing_request: &SigningRequest,
    denial: &Denial,
) -> ApiError {
    let (exchange, reason) = (visit.exchange, denial.log_message());
    let record = record::request_record(exchange, visit.app(app), &visit.caller, signing_request);
    let counted = CountedDecision::denied(denial.action, denial.reason.clone());
    let denied = AuditRecord { reason: Some(&reason), ..record::with_denial(denial, &record) };
    let recorded = record::record_decision(exchange, visit.app(app), &denied, counted).await;
    recorded.err().unwrap_or_else(|| ApiError::from(denial))
}
