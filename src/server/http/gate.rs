//! The gates of apps: a vendor's own server asks what its users may do. `core:vendor/gate.rs` has the interface.
//!
//! A server with the right key always gets the status 200, with an answer in the form of the vendor. Any other status
//! could make its SDKs ask again without end.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Request, StatusCode};

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::question::{self, Asker, Question, QuestionFields};
use super::response_body::HttpResponse;
use super::{admission, authenticate, body, params, render};
use crate::authn::{ClientCertificate, ConnectionPeer, CrossSite, PeerAddress, RequestCredentials};
use crate::model::Caller;
use crate::telemetry::AuditCaller;
use crate::vendor::App;
use crate::vendor::gate::{GateAnswer, GateQuestion, VendorGate};

/// The kind of the caller in the audit log.
const VENDOR_SERVER: &str = "vendor";

/// The method of all gates.
const METHOD: &str = "POST";

/// A gate of an app.
#[derive(Clone, Copy)]
pub(super) struct GateRoute<'a> {
    pub(super) app: &'a App,
    /// The end of the path.
    pub(super) name: &'static str,
}

/// Returns the gate at `/v1/{app}/{name}`.
pub(super) fn find<'a>(app: &'a App, name: &str) -> Option<GateRoute<'a>> {
    let gates = app.vendor().spec().gates?;
    gates.names.iter().find(|known| **known == name).map(|name| GateRoute { app, name })
}

/// Answers a question of a vendor's server.
pub(super) async fn answer(
    exchange: &RequestContext,
    route: GateRoute<'_>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let gate = check(exchange, route, request)?;
    let result = ask(exchange, route, gate, request).await;
    let answer = match &result {
        Ok(allowed) => allowed.answer(),
        Err(GateRefusal::Denied(reason)) => GateAnswer::Denied(reason),
        Err(GateRefusal::Invalid(reason)) => GateAnswer::Invalid(reason),
        Err(GateRefusal::Failed(failure)) => answer_to_failure(exchange, failure),
    };
    Ok(render::json(&gate.answer(route.name, &answer, exchange.now)))
}

/// Checks the method, the host and the key. Without the right key, the request is like any other request of a stranger.
fn check<'a>(
    exchange: &RequestContext,
    route: GateRoute<'a>,
    request: &Request<Incoming>,
) -> Result<&'a dyn VendorGate, ApiError> {
    let stranger = |failure: ApiError| admission::enter(exchange).map_or_else(|limited| limited, |_| failure);
    admission::check_method(request, METHOD).map_err(stranger)?;
    admission::check_host(exchange, request).map_err(stranger)?;
    let gate = route.app.gate().ok_or_else(|| {
        let detail = format!("The app {} has no key for questions of its vendor's server.", route.app.name());
        stranger(ApiError::with_same_message(ErrorCode::NotFound, detail))
    })?;
    let header = gate.key_header();
    let mut keys = request.headers().get_all(&header).iter();
    match (keys.next(), keys.next()) {
        (Some(key), None) if gate.accepts_key(key.as_bytes()) => Ok(gate),
        _ => {
            let detail = format!("The header {header} must have the key of the app.");
            Err(stranger(ApiError::with_same_message(ErrorCode::Unauthenticated, detail)))
        }
    }
}

/// A question that is allowed.
struct AllowedQuestion {
    user: String,
    /// The caller, if it was authenticated.
    caller: Option<Arc<Caller>>,
}

impl AllowedQuestion {
    fn answer(&self) -> GateAnswer<'_> {
        GateAnswer::Allowed { user: &self.user, claims: self.caller.as_ref().map(|caller| &caller.claims) }
    }
}

/// Why a question is not allowed.
enum GateRefusal {
    /// The policy denies it, for this reason.
    Denied(String),
    /// It has this mistake.
    Invalid(String),
    /// It could not be answered, or the user is not authenticated.
    Failed(ApiError),
}

impl From<ApiError> for GateRefusal {
    fn from(failure: ApiError) -> GateRefusal {
        GateRefusal::Failed(failure)
    }
}

async fn ask(
    exchange: &RequestContext,
    route: GateRoute<'_>,
    gate: &dyn VendorGate,
    request: &mut Request<Incoming>,
) -> Result<AllowedQuestion, GateRefusal> {
    let limits = &exchange.snapshot.limits;
    let _place = limits.in_flight.try_acquire().ok_or_else(admission::overloaded)?;
    let server = &exchange.settings().server;
    let bytes = body::read(request.body_mut(), server.body_limit, server.request_timeout).await?;
    let values = params::from_body(&bytes, Some(params::BodyEncoding::Json), false)?.values;
    let wanted = gate.read(route.name, &values).map_err(GateRefusal::Invalid)?;
    let invalid = |invalid: crate::vendor::InvalidRequest| GateRefusal::Invalid(invalid.to_string());
    let (question, caller) = match &wanted {
        GateQuestion::Login { token } => {
            let caller = authenticate_user(exchange, route.app, request.headers(), token.as_deref()).await?;
            limits.caller(&caller).map_err(ApiError::from)?;
            let question = Question::of_login(exchange, route.app, Caller::clone(&caller)).map_err(invalid)?;
            (question, Some(caller))
        }
        GateQuestion::Action { user, action, conversation } => {
            let fields = QuestionFields::of_user(route.app.name(), user, action, conversation.as_deref());
            (Question::read(exchange, &fields, exchange.now).map_err(invalid)?, None)
        }
    };
    let name = route.app.name();
    let asker = Asker { authenticator: None, caller: AuditCaller { kind: VENDOR_SERVER, subject: name } };
    let answered = question::decide_and_record(exchange, asker, question).await?;
    if let Some(reason) = answered.public_message() {
        return Err(GateRefusal::Denied(reason.into_owned()));
    }
    Ok(AllowedQuestion { user: answered.decided.request.client, caller })
}

/// Authenticates the user by the credential that the vendor's server forwards. The connection belongs to that server, so
/// its certificate, process and address say nothing about the user.
async fn authenticate_user(
    exchange: &RequestContext,
    app: &App,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<Arc<Caller>, ApiError> {
    let mut headers = headers.clone();
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
            ApiError::with_same_message(ErrorCode::Unauthenticated, "The token has characters that no token has.")
        })?;
        headers.append(AUTHORIZATION, value);
    }
    let server = &exchange.settings().server;
    let is_listed = |origin: &HeaderValue| {
        server.cors.as_ref().is_some_and(|cors| cors.origins.iter().any(|listed| listed.matches(origin)))
    };
    let cross_site = headers.get(ORIGIN).filter(|origin| !is_listed(origin)).map(|_| CrossSite::Page);
    let peer = ConnectionPeer { address: PeerAddress::Unix(None), tls: None };
    let presented =
        RequestCredentials { headers: &headers, peer: &peer, certificate: ClientCertificate::Absent, cross_site };
    authenticate::authenticate_presented(exchange, Some(app), &presented).await
}

/// Returns the answer for a request that could not be answered as asked, and logs the failure.
fn answer_to_failure<'a>(exchange: &RequestContext, failure: &'a ApiError) -> GateAnswer<'a> {
    render::log_error(exchange, failure);
    match failure.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GateAnswer::Unauthenticated,
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            GateAnswer::Invalid(&failure.detail)
        }
        _ => GateAnswer::Unavailable,
    }
}
