//! The steps from a request to its signature or token: the routes `/v1/{app}/{operation}`.

use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request};

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::params::BodyEncoding;
use super::response_body::HttpResponse;
use super::signing_route::SigningRoute;
use super::{accept, admission, authenticate, body, facts, metrics, params, record, render};
use crate::engine::{RuntimeData, SigningOutcome, SigningRefusal};
use crate::model::{Caller, SigningRequest};
use crate::moderation::ReplicaStale;
use crate::policy::ConversationFacts;
use crate::random;
use crate::server::limits::AdmissionPermit;
use crate::telemetry::AuditDecision;
use crate::vendor::{self, AnswerForm, Params, SignedResult, VendorRequest};

/// Answers a request for a signature or token.
///
/// The body is read only after the caller is authenticated. The answer is sent only after the audit line is written.
pub(super) async fn handle_signing(
    exchange: &RequestContext,
    route: &SigningRoute<'_>,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    let is_query = parameters_in_query(route, request.method())?;
    admission::check_host(exchange, request)?;
    let caller = authenticate::authenticate(exchange, Some(route.app), request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let form = accept::choose(request.headers(), route.operation.answers).ok_or_else(|| not_acceptable(route))?;
    let (asked, _place) = if is_query {
        let params = params::from_query(request.uri().query())?;
        (vendor::parse(route.app, route.operation, &params, Some(&caller))?, place)
    } else {
        let (body, place) = read_body(exchange, route.operation.accepts_forms, request, place).await?;
        (parse_body(route, &body, &caller)?, place)
    };
    // Most configurations have no facts server.
    let told = if exchange.settings().engine.facts.is_some() {
        Box::pin(fetch_facts(exchange, route, &asked.signing_request, &caller)).await?
    } else {
        Vec::new()
    };
    let (line, decided, outcome) = decide(exchange, route, asked, &caller, &told)?;
    exchange.runtime.audit.write(&line).await?;
    decided.count_for_route(exchange, route);
    outcome.map(|signed| render(&signed, form))
}

/// Fetches the facts that the decision depends on. If they are not available, this is recorded.
async fn fetch_facts(
    exchange: &RequestContext,
    route: &SigningRoute<'_>,
    signing_request: &SigningRequest,
    caller: &Caller,
) -> Result<Vec<ConversationFacts>, ApiError> {
    match facts::fetch_facts(exchange, signing_request, caller).await {
        Ok(told) => Ok(told),
        Err(undecided) => {
            let app = Some(route.app);
            let record = record::request_record(exchange, app, caller, signing_request);
            Err(record::record_undecided(exchange, app, signing_request, &record, undecided).await)
        }
    }
}

/// Reads the request in a body. Most bodies are valid JSON of the fields of the operation, which is read directly. If
/// not, the parameters are read first, which finds the errors.
fn parse_body(route: &SigningRoute<'_>, body: &RequestBody, caller: &Caller) -> Result<VendorRequest, ApiError> {
    if body.encoding == Some(BodyEncoding::Json)
        && let Some(asked) = vendor::parse_body(route.app, route.operation, &body.bytes, caller)
    {
        return Ok(asked);
    }
    let params = body.params(route.operation.accepts_forms)?;
    Ok(vendor::parse(route.app, route.operation, &params, Some(caller))?)
}

/// Returns true if the parameters are in the query, false if they are in the body.
///
/// # Errors
/// Returns an error if the route does not support the method.
fn parameters_in_query(route: &SigningRoute<'_>, method: &Method) -> Result<bool, ApiError> {
    match *method {
        Method::POST => Ok(false),
        Method::GET if route.operation.supports_get => Ok(true),
        _ => {
            let allow = route.operation.methods();
            let detail = format!("This path supports only {allow}.");
            Err(ApiError {
                allowed_methods: Some(allow),
                ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, detail)
            })
        }
    }
}

fn not_acceptable(route: &SigningRoute<'_>) -> ApiError {
    ApiError::not_acceptable(&route.operation.answers.iter().map(|(media, _)| *media).collect::<Vec<_>>())
}

/// A body, and the encoding that its headers declare.
struct RequestBody {
    bytes: Bytes,
    encoding: Option<BodyEncoding>,
}

impl RequestBody {
    fn params(&self, takes_forms: bool) -> Result<Params, ApiError> {
        params::from_body(&self.bytes, self.encoding, takes_forms)
    }
}

/// Reads the body. Returns it with the permit that the request holds afterwards.
async fn read_body(
    exchange: &RequestContext,
    takes_forms: bool,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<(RequestBody, AdmissionPermit), ApiError> {
    let encoding = params::body_encoding(request.headers(), takes_forms)?;
    let server = &exchange.settings().server;
    let reading = body::read(request.body_mut(), server.body_limit, server.request_timeout);
    let (bytes, place) = admission::wait_for_client(exchange, place, reading).await?;
    Ok((RequestBody { bytes, encoding }, place))
}

/// Reads the parameters in the body. Returns them with the permit that the request holds afterwards.
pub(super) async fn read_body_params(
    exchange: &RequestContext,
    takes_forms: bool,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<(Params, AdmissionPermit), ApiError> {
    let (body, place) = read_body(exchange, takes_forms, request, place).await?;
    Ok((body.params(takes_forms)?, place))
}

/// A decision: the audit line, and the count and the answer that follow after the line is written.
type RecordedDecision = (Vec<u8>, metrics::CountedDecision, Result<SignedResult, ApiError>);

/// Decides the request and signs it if it is allowed.
fn decide(
    exchange: &RequestContext,
    route: &SigningRoute<'_>,
    parsed: VendorRequest,
    caller: &Caller,
    facts: &[ConversationFacts],
) -> Result<RecordedDecision, ApiError> {
    let entropy = random::nonce().map_err(|error| ApiError::internal(error.to_string()))?;
    let index = match exchange.runtime.moderation.read() {
        Ok(index) => index,
        Err(stale) => return undecided(exchange, route, &parsed.signing_request, caller, stale),
    };
    let runtime_data = RuntimeData { moderation: index.entries(), facts };
    let outcome = exchange.settings().engine.sign(route.app, parsed, caller, runtime_data, exchange.now, entropy);
    drop(index);
    let line = record::decision_line(exchange, route.app, caller, &outcome)?;
    let SigningOutcome { request: signing_request, rules, outcome, .. } = outcome;
    let allowed = |decision| metrics::CountedDecision::allowed(signing_request.action, decision, &rules);
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

/// Returns the record of a request that cannot be decided, because the moderation entries are too old.
fn undecided(
    exchange: &RequestContext,
    route: &SigningRoute<'_>,
    signing_request: &SigningRequest,
    caller: &Caller,
    stale: ReplicaStale,
) -> Result<RecordedDecision, ApiError> {
    let line = record::undecided_line(exchange, route.app, caller, signing_request, &stale.to_string())?;
    Ok((line, metrics::CountedDecision::unavailable(signing_request.action), Err(ApiError::from(stale))))
}

fn render(signed: &SignedResult, form: AnswerForm) -> HttpResponse {
    let media_type = match form {
        AnswerForm::Text => "text/plain; charset=utf-8",
        form => form.media_type(),
    };
    render::success(media_type, signed.body(form))
}
