//! Maps paths to routes, and to the route names that the metrics use as a label.

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
#[cfg(feature = "playground")]
use super::playground;
use super::render::{self, ErrorShape};
use super::response_body::{HttpResponse, ResponseBody};
use super::signing_route::{self, COMPAT_FUNCTIONS, COMPAT_SIGN2, SigningRoute};
use super::{accept, admission, body, moderation, openapi, sign};
use crate::model::Vendor;
use crate::moderation::api;
use crate::server::state::ProbeKind;
use crate::telemetry::metrics::RouteLabel;
use crate::vendor::leancloud::DemoRoute;
use crate::vendor::{self, App};

/// Answers a request to any path.
pub(super) async fn dispatch(exchange: &RequestContext, mut request: Request<Incoming>) -> HttpResponse {
    if let Some(probe) = ProbeKind::from_path(request.uri().path()) {
        return answer_probe(exchange, probe, request.method());
    }
    let (vendor_shape, route) = resolve(exchange, request.uri().path());
    let accepts_problems = accept::names(request.headers(), render::PROBLEM);
    let shape = if accepts_problems { ErrorShape::Problem } else { vendor_shape };
    let result = answer_route(exchange, route, &mut request).await;
    if result.is_err() {
        body::drain(request.into_body());
    }
    result.unwrap_or_else(|failure| render::render_error(exchange, shape, &failure))
}

/// Answers a request to any path except a probe's.
async fn answer_route(
    exchange: &RequestContext,
    route: Result<SigningRoute<'_>, ApiError>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    // The futures of the two large interfaces are boxed, so that the futures of all other requests stay small.
    #[cfg(feature = "playground")]
    if playground::is_served_at(exchange, request.uri().path()) {
        return Box::pin(playground::answer(exchange, request)).await;
    }
    if request.uri().path() == openapi::PATH {
        return openapi::answer(exchange, request);
    }
    if request.uri().path().starts_with(api::PATH) {
        return Box::pin(moderation::answer(exchange, request)).await;
    }
    answer_signing(exchange, route, request).await
}

/// Returns the route of a path, and the shape of the errors there.
fn resolve<'a>(exchange: &'a RequestContext, path: &str) -> (ErrorShape, Result<SigningRoute<'a>, ApiError>) {
    if let Some(route) = signing_route::find_compat_route(exchange.settings(), path) {
        return (ErrorShape::LeanCloud, route);
    }
    match path.strip_prefix("/v1/").and_then(|below| signing_route::split(exchange, below)) {
        Some((app, name)) => {
            (error_shape(app), signing_route::signing_route(app, name).ok_or_else(|| unknown_operation(app)))
        }
        None => (ErrorShape::Problem, Err(not_found())),
    }
}

/// Answers a request to a signing route, if the limits admit it.
async fn answer_signing(
    exchange: &RequestContext,
    route: Result<SigningRoute<'_>, ApiError>,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = admission::enter(exchange)?;
    sign::handle_signing(exchange, &route?, request, place).await
}

/// Returns the label of the route at this path. The set of labels is fixed, whatever paths clients request.
pub(super) fn route_label(exchange: &RequestContext, path: &str) -> RouteLabel {
    if path == openapi::PATH {
        return RouteLabel::Fixed(openapi::PATH);
    }
    if path.starts_with(api::PATH) {
        return api::ModerationResource::from_path(path)
            .map_or(RouteLabel::Other, |resource| RouteLabel::Fixed(resource.path_template()));
    }
    if let Some(below) = path.strip_prefix("/v1/") {
        return operation_label(exchange, below).unwrap_or(RouteLabel::Other);
    }
    if let Some(name) = path.strip_prefix(COMPAT_FUNCTIONS) {
        return DemoRoute::parse(name).map_or(RouteLabel::Other, |function| RouteLabel::Function(function.as_str()));
    }
    #[cfg(feature = "playground")]
    if playground::is_served_at(exchange, path) {
        return RouteLabel::Fixed(playground::PATH);
    }
    match ProbeKind::from_path(path) {
        Some(probe) => RouteLabel::Fixed(probe.path()),
        None if path == COMPAT_SIGN2 => RouteLabel::Fixed(COMPAT_SIGN2),
        None => RouteLabel::Other,
    }
}

fn operation_label(exchange: &RequestContext, below: &str) -> Option<RouteLabel> {
    let (app, name) = signing_route::split(exchange, below)?;
    let operation = vendor::operation(app, name)?;
    Some(RouteLabel::Operation(app.name().clone(), operation.as_str()))
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

fn answer_probe(exchange: &RequestContext, probe: ProbeKind, method: &Method) -> HttpResponse {
    if method == Method::GET || method == Method::HEAD {
        return exchange.runtime.probe(probe).map(ResponseBody::from);
    }
    let failure = ApiError {
        allowed_methods: Some("GET, HEAD"),
        ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, "Use GET or HEAD for probes.")
    };
    render::render_error(exchange, ErrorShape::Problem, &failure)
}
