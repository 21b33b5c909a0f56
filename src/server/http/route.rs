//! Finds the route of a request, and lets it answer.

use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Method, Request};

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::gate::{self, GateRoute};
#[cfg(feature = "playground")]
use super::playground;
use super::render;
use super::response_body::{HttpResponse, ResponseBody};
use super::signing_route::{self, AppPlace, CompatPath, SigningRoute};
use super::{accept, admission, body, console, moderation, openapi, sign};
use crate::moderation::api;
use crate::server::routes::{self, CONSOLE, PLAYGROUND, Route, RouteTarget};
use crate::server::state::{ProbeKind, Snapshot};
use crate::telemetry::metrics::{ListenerLabel, RouteLabel};
use crate::vendor::{App, ErrorShape};

/// The route of a request.
pub(super) struct ResolvedRoute<'a> {
    /// The label in metrics. The set of labels is fixed, whatever paths clients request.
    pub(super) label: RouteLabel,
    shape: ErrorShape,
    target: ResolvedTarget<'a>,
}

#[derive(Clone, Copy)]
enum ResolvedTarget<'a> {
    /// An operation of an app.
    Signing(SigningRoute<'a>),
    /// A gate of an app.
    Gate(GateRoute<'a>),
    /// A path that clients of another server use.
    Compat(CompatPath),
    /// A route of the table.
    Listed(&'static Route),
    /// A path of an app without a route.
    UnknownOperation(&'a App),
    /// A path of moderation without a route.
    UnknownModeration,
    /// Another path without a route.
    Unknown,
}

/// Finds the route of a path.
pub(super) fn resolve<'a>(exchange: &'a RequestContext, path: &str) -> ResolvedRoute<'a> {
    let below = path.strip_prefix(signing_route::APPS);
    if let Some((app, name)) = below.and_then(|below| signing_route::split(exchange.settings(), below)) {
        return resolve_operation(&exchange.snapshot, app, name);
    }
    if let Some(compat) = CompatPath::find(path) {
        let label = compat.route.map_or(RouteLabel::Other, |route| RouteLabel::Fixed(route.path));
        return ResolvedRoute { label, shape: compat.routes.error_shape, target: ResolvedTarget::Compat(compat) };
    }
    let shape = ErrorShape::Problem;
    match routes::find(path).filter(|route| is_served(exchange, route.target)) {
        Some(route) => {
            let label = RouteLabel::Fixed(match route.target {
                RouteTarget::Playground(_) => PLAYGROUND,
                RouteTarget::Console => CONSOLE,
                RouteTarget::Probe(_)
                | RouteTarget::Metrics
                | RouteTarget::OpenApi
                | RouteTarget::Moderation
                | RouteTarget::Decide => route.path,
            });
            ResolvedRoute { label, shape, target: ResolvedTarget::Listed(route) }
        }
        None if path.starts_with(api::PATH) => {
            ResolvedRoute { label: RouteLabel::Other, shape, target: ResolvedTarget::UnknownModeration }
        }
        None => ResolvedRoute { label: RouteLabel::Other, shape, target: ResolvedTarget::Unknown },
    }
}

fn resolve_operation<'a>(snapshot: &'a Snapshot, place: AppPlace<'a>, name: &str) -> ResolvedRoute<'a> {
    let app = place.app;
    let shape = app.vendor().spec().error_shape;
    if let Some(gate) = gate::find(app, name) {
        let label = RouteLabel::Operation(app.name().clone(), gate.name);
        return ResolvedRoute { label, shape, target: ResolvedTarget::Gate(gate) };
    }
    match signing_route::find(snapshot, place, name) {
        Some(route) => ResolvedRoute {
            label: RouteLabel::Operation(app.name().clone(), route.operation.name),
            shape,
            target: ResolvedTarget::Signing(route),
        },
        None => ResolvedRoute { label: RouteLabel::Other, shape, target: ResolvedTarget::UnknownOperation(app) },
    }
}

/// Returns whether this listener and this configuration serve the route.
fn is_served(exchange: &RequestContext, target: RouteTarget) -> bool {
    match target {
        RouteTarget::Metrics => false,
        RouteTarget::Console => console::is_served(exchange),
        RouteTarget::Playground(_) => is_playground_served(exchange),
        RouteTarget::Probe(_) | RouteTarget::OpenApi | RouteTarget::Moderation | RouteTarget::Decide => true,
    }
}

#[cfg(feature = "playground")]
use playground::is_served as is_playground_served;

/// Returns false: this program has no playground.
#[cfg(not(feature = "playground"))]
fn is_playground_served(_: &RequestContext) -> bool {
    false
}

impl ResolvedRoute<'_> {
    /// Counts an answer.
    pub(super) fn count(&self, exchange: &RequestContext, status: u16) {
        let (metrics, took) = (&exchange.runtime.metrics, exchange.began.elapsed());
        match &self.target {
            ResolvedTarget::Signing(SigningRoute { handle: Some(handle), .. }) => {
                handle.count_answer(metrics, status, took);
            }
            _ => metrics.count_answer(ListenerLabel::Main, self.label.clone(), status, took),
        }
    }

    /// Answers a request.
    pub(super) async fn dispatch(&self, exchange: &RequestContext, mut request: Request<Incoming>) -> HttpResponse {
        if let ResolvedTarget::Listed(Route { target: RouteTarget::Probe(probe), methods, .. }) = self.target {
            return answer_probe(exchange, *probe, methods, request.method());
        }
        let is_console = console::is_served(exchange) && console::is_path(request.uri().path());
        let mut answer = match self.target.answer(exchange, &mut request).await {
            Ok(answer) => answer,
            Err(failure) => {
                let accepts_problems = accept::names(request.headers(), &ACCEPT, render::PROBLEM);
                let shape = if accepts_problems { ErrorShape::Problem } else { self.shape };
                body::drain(request.into_body());
                render::render_error(exchange, shape, &failure)
            }
        };
        if is_console {
            console::set_headers(answer.headers_mut());
        }
        answer
    }
}

impl ResolvedTarget<'_> {
    /// Answers a request to any path except a probe's.
    async fn answer(
        self,
        exchange: &RequestContext,
        request: &mut Request<Incoming>,
    ) -> Result<HttpResponse, ApiError> {
        // The futures of the two large interfaces are boxed, so that the futures of all other requests stay small.
        match self {
            ResolvedTarget::Signing(route) => {
                let place = admission::enter(exchange)?;
                sign::handle_signing(exchange, &route, request, place).await
            }
            ResolvedTarget::Gate(route) => Box::pin(gate::answer(exchange, route, request)).await,
            ResolvedTarget::Compat(path) => {
                let place = admission::enter(exchange)?;
                sign::handle_signing(exchange, &path.signing_route(exchange.settings())?, request, place).await
            }
            ResolvedTarget::UnknownModeration => Box::pin(moderation::answer(exchange, request)).await,
            ResolvedTarget::UnknownOperation(app) => {
                admission::enter(exchange).and_then(|_| Err(unknown_operation(app)))
            }
            ResolvedTarget::Unknown => admission::enter(exchange).and_then(|_| Err(not_found())),
            ResolvedTarget::Listed(route) => match route.target {
                RouteTarget::OpenApi => openapi::answer(exchange, route, request),
                RouteTarget::Console => console::answer(exchange, route, request),
                RouteTarget::Moderation => Box::pin(moderation::answer(exchange, request)).await,
                RouteTarget::Decide => Box::pin(moderation::answer_decisions(exchange, route, request)).await,
                #[cfg(feature = "playground")]
                RouteTarget::Playground(part) => Box::pin(playground::answer(exchange, route, part, request)).await,
                #[cfg(not(feature = "playground"))]
                RouteTarget::Playground(_) => Err(not_found()),
                RouteTarget::Probe(_) | RouteTarget::Metrics => Err(not_found()),
            },
        }
    }
}

fn not_found() -> ApiError {
    let detail = "There is nothing at this path. Signatures and tokens are at /v1/{app}/{operation}.";
    ApiError::with_same_message(ErrorCode::NotFound, detail)
}

fn unknown_operation(app: &App) -> ApiError {
    let known = app.vendor().spec().operation_names().join(", ");
    ApiError::with_same_message(
        ErrorCode::NotFound,
        format!("The app {} has no such operation. It has: {known}.", app.name()),
    )
}

fn answer_probe(exchange: &RequestContext, probe: ProbeKind, methods: &'static str, method: &Method) -> HttpResponse {
    exchange.runtime.was_probed.store(true, Ordering::Relaxed);
    if method == Method::GET || method == Method::HEAD {
        return exchange.runtime.probe(probe).map(ResponseBody::from);
    }
    let failure = ApiError {
        allowed_methods: Some(methods),
        ..ApiError::with_same_message(ErrorCode::MethodNotAllowed, "Use GET or HEAD for probes.")
    };
    render::render_error(exchange, ErrorShape::Problem, &failure)
}
