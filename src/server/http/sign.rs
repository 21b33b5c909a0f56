//! The steps from a request to its signature or token: the routes `/v1/{app}/{operation}`.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::{
    ApiError, ErrorCode, HttpResponse, RequestContext, accept, admission, body, certificate, cross_site, host_check,
    metrics, params, record, render,
};
use crate::authn::{AuthnError, IdentifyError, RequestCredentials};
use crate::engine::{FactsQuery, RuntimeData, SigningOutcome, SigningRefusal};
use crate::model::{Caller, SigningRequest};
use crate::moderation::ReplicaStale;
use crate::policy::ConversationFacts;
use crate::random;
use crate::server::limits::AdmissionPermit;
use crate::telemetry::AuditDecision;
use crate::vendor::{self, App, Operation, Params, SignedResult};

/// A route that signs: its app and operation, and the accepted methods and encodings.
pub(super) struct SigningRoute<'a> {
    pub(super) app: &'a App,
    pub(super) operation: Operation,
    /// Whether the route supports GET in addition to POST.
    pub(super) supports_get: bool,
    /// Whether the body can be a form.
    pub(super) accepts_forms: bool,
    /// The forms of the answer, each with the media type that selects it.
    pub(super) forms: &'static [(&'static str, AnswerForm)],
}

/// The form of the body of a successful answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerForm {
    /// The complete result as JSON.
    Json,
    /// The token alone, as text.
    Text,
    /// The token alone, with the media type of a JWT.
    Jwt,
    /// The answer of LeanCloud's demo servers.
    Compat,
    /// The answer of LeanCloud's demo servers, as the result of a cloud function.
    CloudFunction,
}

/// Answers a request for a signature or token.
///
/// The body is read only after the caller is authenticated. The answer is sent only after the audit line is written.
pub(super) async fn handle_signing(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    let is_query = parameters_in_query(route, request.method())?;
    host_check::demonstration(exchange, request)?;
    host_check::check_single_host(request)?;
    let caller = authenticate(exchange, Some(route.app), request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let form = accept::choose(request.headers(), route.forms).ok_or_else(|| not_acceptable(route))?;
    let (params, _place) = if is_query {
        (params::from_query(request.uri().query())?, place)
    } else {
        read_body_params(exchange, route.accepts_forms, request, place).await?
    };
    let asked = vendor::parse(route.app, route.operation, &params, Some(&caller))?;
    let told = fetch_facts(exchange, route, &asked.ask, &caller).await?;
    let (line, decided, outcome) = decide(exchange, route, asked, &caller, &told)?;
    exchange.runtime.audit.write(&line).await?;
    decided.count(exchange, Some(route.app));
    outcome.map(|signed| render(&signed, form))
}

/// Returns true if the parameters are in the query, false if they are in the body.
///
/// # Errors
/// Returns an error if the route does not support the method.
fn parameters_in_query(route: &SigningRoute<'_>, method: &Method) -> Result<bool, ApiError> {
    match *method {
        Method::POST => Ok(false),
        Method::GET if route.supports_get => Ok(true),
        _ => {
            let allow = if route.supports_get { "GET, POST" } else { "POST" };
            let detail = format!("This path supports only {allow}.");
            Err(ApiError {
                allowed_methods: Some(allow),
                ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, detail)
            })
        }
    }
}

/// Authenticates the caller, for one app or for all apps. If the caller is refused, the refusal is written to the audit
/// log.
pub(super) async fn authenticate(
    exchange: &RequestContext<'_>,
    app: Option<&App>,
    request: &Request<Incoming>,
) -> Result<Arc<Caller>, ApiError> {
    let cross_site = cross_site::cross_site_reason(exchange, request);
    let certificate = certificate::client_certificate(exchange);
    let presented = RequestCredentials { headers: request.headers(), peer: exchange.peer, certificate, cross_site };
    let refusal = match identify(exchange, &presented, app.map(|app| &**app.name())).await {
        Ok(caller) => {
            metrics::count_accepted(exchange, &caller);
            return Ok(caller);
        }
        Err(refusal) => refusal,
    };
    Err(record_refusal(exchange, app, &refusal).await?)
}

/// Counts a refused caller and writes the refusal to the audit log. Returns the error to answer with.
pub(super) async fn record_refusal(
    exchange: &RequestContext<'_>,
    app: Option<&App>,
    refusal: &AuthnError,
) -> Result<ApiError, ApiError> {
    metrics::count_refused(exchange, refusal);
    let line = record::refusal_line(exchange, app, refusal)?;
    exchange.runtime.audit.write(&line).await?;
    Ok(ApiError::from(refusal))
}

/// Authenticates the caller. If a credential must be looked up at another server, this is done at most once.
async fn identify(
    exchange: &RequestContext<'_>,
    credentials: &RequestCredentials<'_>,
    app: Option<&str>,
) -> Result<Arc<Caller>, AuthnError> {
    let authenticators = &exchange.settings.engine.authenticators;
    match authenticators.identify(credentials, app, exchange.now) {
        Ok(caller) => Ok(caller),
        Err(IdentifyError::Error(refusal)) => Err(refusal),
        Err(IdentifyError::Pending(lookup)) => {
            let found = exchange.snapshot.upstreams.look_up(lookup, exchange.trace).await;
            authenticators.identify_with(found, credentials, app, exchange.now)
        }
    }
}

fn not_acceptable(route: &SigningRoute<'_>) -> ApiError {
    ApiError::not_acceptable(&route.forms.iter().map(|(media, _)| *media).collect::<Vec<_>>())
}

/// Reads the parameters in the body. Returns them with the permit that the request holds afterwards.
pub(super) async fn read_body_params(
    exchange: &RequestContext<'_>,
    takes_forms: bool,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<(Params, AdmissionPermit), ApiError> {
    let encoding = params::body_encoding(request.headers(), takes_forms)?;
    let server = &exchange.settings.server;
    let reading = body::read(request.body_mut(), server.body_limit, server.request_timeout);
    let (bytes, place) = admission::wait_for_client(exchange, place, reading).await?;
    Ok((params::from_body(&bytes, encoding, takes_forms)?, place))
}

/// Asks other servers for the facts that the decision depends on. If that fails, this is recorded.
async fn fetch_facts(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    ask: &SigningRequest,
    caller: &Caller,
) -> Result<Vec<ConversationFacts>, ApiError> {
    let inquiries = match facts_queries(exchange, ask, caller) {
        Ok(inquiries) if inquiries.is_empty() => return Ok(Vec::new()),
        Ok(inquiries) => inquiries,
        Err(stale) => {
            record_undecided(exchange, route, ask, caller, &stale.to_string()).await?;
            return Err(ApiError::from(stale));
        }
    };
    match Box::pin(exchange.snapshot.upstreams.fetch_facts(inquiries, exchange.trace)).await {
        Ok(told) => Ok(told),
        Err(unavailable) => {
            record_undecided(exchange, route, ask, caller, &unavailable.to_string()).await?;
            Err(ApiError::from(unavailable))
        }
    }
}

/// Returns the facts queries that the decision needs, based on the current moderation entries.
fn facts_queries(
    exchange: &RequestContext<'_>,
    ask: &SigningRequest,
    caller: &Caller,
) -> Result<Vec<FactsQuery>, ReplicaStale> {
    let index = exchange.runtime.moderation.read()?;
    Ok(exchange.settings.engine.facts_queries(ask, caller, index.entries(), exchange.now))
}

/// Records that the request cannot be decided.
async fn record_undecided(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    ask: &SigningRequest,
    caller: &Caller,
    reason: &str,
) -> Result<(), ApiError> {
    let line = record::audit_line(exchange, &record::undecided_record(exchange, Some(route.app), caller, ask, reason))?;
    exchange.runtime.audit.write(&line).await?;
    metrics::CountedDecision::unavailable(ask.action).count(exchange, Some(route.app));
    Ok(())
}

/// A decision: the audit line, and the count and the answer that follow after the line is written.
type RecordedDecision = (Vec<u8>, metrics::CountedDecision, Result<SignedResult, ApiError>);

/// Decides the request and signs it if it is allowed.
fn decide(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    parsed: vendor::VendorRequest,
    caller: &Caller,
    facts: &[ConversationFacts],
) -> Result<RecordedDecision, ApiError> {
    let entropy = random::nonce().map_err(|error| ApiError::internal(error.to_string()))?;
    let index = exchange.runtime.moderation.read()?;
    let runtime_data = RuntimeData { moderation: index.entries(), facts };
    let outcome = exchange.settings.engine.sign(route.app, parsed, caller, runtime_data, exchange.now, entropy);
    drop(index);
    let line = record::decision_line(exchange, route.app, caller, &outcome)?;
    let SigningOutcome { request: ask, rules, outcome, .. } = outcome;
    let allowed = |decision| metrics::CountedDecision::allowed(ask.action, decision, rules);
    let (decided, outcome) = match outcome {
        Ok(signed) => (allowed(AuditDecision::Allow), Ok(signed)),
        Err(SigningRefusal::Invalid(invalid)) => (allowed(AuditDecision::Invalid), Err(ApiError::from(invalid))),
        Err(SigningRefusal::Denied(denial)) => {
            let failure = ApiError::from(&*denial);
            (metrics::CountedDecision::denied(denial.action, denial.reason), Err(failure))
        }
    };
    Ok((line, decided, outcome))
}

fn render(signed: &SignedResult, form: AnswerForm) -> HttpResponse {
    match (form, signed.token()) {
        (AnswerForm::Text, Some(token)) => render::success("text/plain; charset=utf-8", token.to_owned()),
        (AnswerForm::Jwt, Some(token)) => render::success("application/jwt", token.to_owned()),
        (AnswerForm::Compat, _) => render::success("application/json", signed.to_compat_json()),
        (AnswerForm::CloudFunction, _) => {
            render::success("application/json", format!("{{\"result\":{}}}", signed.to_compat_json()))
        }
        _ => render::success("application/json", signed.to_json()),
    }
}
