//! Which path leads where.

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::answer::{self, Form, Route};
use super::render::{self, Shape};
use super::{Answer, Body, Code, Exchange, Failure, body, compat, limit, openapi, playground, roster};
use crate::model::Vendor;
use crate::runtime::Probe;
use crate::vendor::{self, App};

/// Answers a request, wherever it leads.
pub(super) async fn answer(exchange: &Exchange<'_>, mut request: Request<Incoming>) -> Answer {
    if let Some(probe) = Probe::at(request.uri().path()) {
        return probed(exchange, probe, request.method());
    }
    let (shape, route) = place(exchange, request.uri().path());
    let result = match playground::at(exchange, request.uri().path()) {
        // Boxed, so that other requests have no room for it.
        Some(demo) => Box::pin(playground::answer(exchange, demo, &mut request)).await,
        None if request.uri().path() == openapi::PATH => openapi::answer(exchange, &request),
        None if request.uri().path().starts_with(roster::PATH) => {
            Box::pin(roster::answer(exchange, &mut request)).await
        }
        None => limited(exchange, route, &mut request).await,
    };
    if result.is_err() {
        body::drain(request.into_body());
    }
    result.unwrap_or_else(|failure| render::failure(exchange, shape, &failure))
}

/// Where a path leads, and the shape of what goes wrong there.
fn place<'a>(exchange: &Exchange<'a>, path: &str) -> (Shape, Result<Route<'a>, Failure>) {
    if let Some(route) = compat::route(exchange.settings, path) {
        return (Shape::LeanCloud, route);
    }
    match path.strip_prefix("/v1/").and_then(|below| split(exchange, below)) {
        Some((app, name)) => (shape(app), to(app, name).ok_or_else(|| unknown_operation(app))),
        None => (Shape::Problem, Err(nowhere())),
    }
}

/// Answers a request that leads here, if the limits let it in.
async fn limited(
    exchange: &Exchange<'_>,
    route: Result<Route<'_>, Failure>,
    request: &mut Request<Incoming>,
) -> Result<Answer, Failure> {
    let place = limit::enter(exchange)?;
    answer::operation(exchange, &route?, request, place).await
}

/// The operation at `{app}/{name}`, if there is one.
pub(super) fn find<'a>(exchange: &Exchange<'a>, below: &str) -> Option<Route<'a>> {
    let (app, name) = split(exchange, below)?;
    to(app, name)
}

pub(super) fn split<'a, 'p>(exchange: &Exchange<'a>, below: &'p str) -> Option<(&'a App, &'p str)> {
    let (app, name) = below.split_once('/').unwrap_or((below, ""));
    Some((exchange.settings.engine.app(app)?, name))
}

/// Where `/v1/{app}/{name}` leads, and what may go that way.
pub(super) fn to<'a>(app: &'a App, name: &str) -> Option<Route<'a>> {
    let (gettable, takes_forms, forms): (bool, bool, &[_]) = match (app.vendor(), name) {
        (Vendor::TalkJs, "token") => (true, false, &[("application/json", Form::Json), ("text/plain", Form::Text)]),
        // All SDKs take a token as text, also those that ask for JSON. Only newer ones know a JWT's own type.
        (Vendor::Ably, "token") => (
            true,
            true,
            &[("application/jwt", Form::Jwt), ("text/plain", Form::Text), ("application/json", Form::Text)],
        ),
        (Vendor::Ably, _) => (true, true, &[("application/json", Form::Json)]),
        _ => (false, false, &[("application/json", Form::Json)]),
    };
    Some(Route { app, operation: vendor::operation(app, name)?, gettable, takes_forms, forms })
}

fn nowhere() -> Failure {
    let detail = "There is nothing at this path. Signatures and tokens are at /v1/{app}/{operation}.";
    Failure::plain(Code::NotFound, detail)
}

fn unknown_operation(app: &App) -> Failure {
    let known = vendor::Operation::names(app.vendor()).join(", ");
    Failure::plain(Code::NotFound, format!("The app {} has no such operation. It has: {known}.", app.name()))
}

fn shape(app: &App) -> Shape {
    match app.vendor() {
        Vendor::Ably => Shape::Ably,
        Vendor::LeanCloud | Vendor::TalkJs => Shape::Problem,
    }
}

fn probed(exchange: &Exchange<'_>, probe: Probe, method: &Method) -> Answer {
    if method == Method::GET || method == Method::HEAD {
        return exchange.runtime.probe(probe).map(Body::from);
    }
    let failure =
        Failure { allow: Some("GET, HEAD"), ..Failure::plain(Code::MethodNotAllowed, "Probes are asked with GET.") };
    render::failure(exchange, Shape::Problem, &failure)
}
