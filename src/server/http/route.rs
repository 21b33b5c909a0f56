//! Maps paths to routes.

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::render::{self, ErrorShape};
use super::sign::{self, AnswerForm, SigningRoute};
use super::{
    ApiError, ErrorCode, HttpResponse, RequestContext, ResponseBody, admission, body, compat, moderation, openapi,
    playground,
};
use crate::model::Vendor;
use crate::server::state::ProbeKind;
use crate::vendor::{self, App};

/// Answers a request to any path.
pub(super) async fn dispatch(exchange: &RequestContext<'_>, mut request: Request<Incoming>) -> HttpResponse {
    if let Some(probe) = ProbeKind::from_path(request.uri().path()) {
        return answer_probe(exchange, probe, request.method());
    }
    let (shape, route) = resolve(exchange, request.uri().path());
    let result = match playground::demo_caller_at(exchange, request.uri().path()) {
        // The future is boxed, so that the futures of all other requests stay small.
        Some(demo) => Box::pin(playground::answer(exchange, demo, &mut request)).await,
        None if request.uri().path() == openapi::PATH => openapi::answer(exchange, &request),
        None if request.uri().path().starts_with(moderation::PATH) => {
            Box::pin(moderation::answer(exchange, &mut request)).await
        }
        None => answer_signing(exchange, route, &mut request).await,
    };
    if result.is_err() {
        body::drain(request.into_body());
    }
    result.unwrap_or_else(|failure| render::render_error(exchange, shape, &failure))
}

/// Returns the route of a path, and the shape of the errors there.
fn resolve<'a>(exchange: &RequestContext<'a>, path: &str) -> (ErrorShape, Result<SigningRoute<'a>, ApiError>) {
    if let Some(route) = compat::find_route(exchange.settings, path) {
        return (ErrorShape::LeanCloud, route);
    }
    match path.strip_prefix("/v1/").and_then(|below| split(exchange, below)) {
        Some((app, name)) => (error_shape(app), signing_route(app, name).ok_or_else(|| unknown_operation(app))),
        None => (ErrorShape::Problem, Err(not_found())),
    }
}

/// Answers a request to a signing route, if the limits admit it.
async fn answer_signing(
    exchange: &RequestContext<'_>,
    route: Result<SigningRoute<'_>, ApiError>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = admission::enter(exchange)?;
    sign::handle_signing(exchange, &route?, request, place).await
}

/// Returns the route at `{app}/{name}`, if there is one.
pub(super) fn find_signing_route<'a>(exchange: &RequestContext<'a>, below: &str) -> Option<SigningRoute<'a>> {
    let (app, name) = split(exchange, below)?;
    signing_route(app, name)
}

pub(super) fn split<'a, 'p>(exchange: &RequestContext<'a>, below: &'p str) -> Option<(&'a App, &'p str)> {
    let (app, name) = below.split_once('/').unwrap_or((below, ""));
    Some((exchange.settings.engine.app(app)?, name))
}

/// Returns the route at `/v1/{app}/{name}`, with its methods, encodings and answer forms.
pub(super) fn signing_route<'a>(app: &'a App, name: &str) -> Option<SigningRoute<'a>> {
    let (gettable, takes_forms, forms): (bool, bool, &[_]) = match (app.vendor(), name) {
        (Vendor::TalkJs, "token") => {
            (true, false, &[("application/json", AnswerForm::Json), ("text/plain", AnswerForm::Text)])
        }
        // All SDKs accept a token as text, also those that ask for JSON. Only newer SDKs know the media type of a JWT.
        (Vendor::Ably, "token") => (
            true,
            true,
            &[
                ("application/jwt", AnswerForm::Jwt),
                ("text/plain", AnswerForm::Text),
                ("application/json", AnswerForm::Text),
            ],
        ),
        (Vendor::Ably, _) => (true, true, &[("application/json", AnswerForm::Json)]),
        _ => (false, false, &[("application/json", AnswerForm::Json)]),
    };
    Some(SigningRoute {
        app,
        operation: vendor::operation(app, name)?,
        supports_get: gettable,
        accepts_forms: takes_forms,
        forms,
    })
}

fn not_found() -> ApiError {
    let detail = "There is nothing at this path. Signatures and tokens are at /v1/{app}/{operation}.";
    ApiError::with_same_message(ErrorCode::NotFound, detail)
}

fn unknown_operation(app: &App) -> ApiError {
    let known = vendor::Operation::names(app.vendor()).join(", ");
    ApiError::with_same_message(
        ErrorCode::NotFound,
        format!("The app {} has no such operation. It has: {known}.", app.name()),
    )
}

fn error_shape(app: &App) -> ErrorShape {
    match app.vendor() {
        Vendor::Ably => ErrorShape::Ably,
        Vendor::LeanCloud | Vendor::TalkJs => ErrorShape::Problem,
    }
}

fn answer_probe(exchange: &RequestContext<'_>, probe: ProbeKind, method: &Method) -> HttpResponse {
    if method == Method::GET || method == Method::HEAD {
        return exchange.runtime.probe(probe).map(ResponseBody::from);
    }
    let failure = ApiError {
        allowed_methods: Some("GET, HEAD"),
        ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, "Use GET or HEAD for probes.")
    };
    render::render_error(exchange, ErrorShape::Problem, &failure)
}
