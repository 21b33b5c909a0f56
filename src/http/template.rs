//! By what name the metrics know where a request leads.

use super::{Exchange, compat, openapi, playground, roster, route};
use crate::observe::metrics::Route;
use crate::runtime::Probe;
use crate::vendor;
use crate::vendor::leancloud::DemoRoute;

/// The place that this path leads to: one of those that there are, whatever callers ask for.
pub(super) fn of(exchange: &Exchange<'_>, path: &str) -> Route {
    if path == openapi::PATH {
        return Route::Fixed(openapi::PATH);
    }
    if let Some(below) = path.strip_prefix(roster::PATH) {
        return roster::Resource::at(below).map_or(Route::Other, |resource| Route::Fixed(resource.template()));
    }
    if let Some(below) = path.strip_prefix("/v1/") {
        return operation(exchange, below).unwrap_or(Route::Other);
    }
    if let Some(name) = path.strip_prefix(compat::FUNCTIONS) {
        return DemoRoute::parse(name).map_or(Route::Other, |function| Route::Function(function.as_str()));
    }
    match Probe::at(path) {
        Some(probe) => Route::Fixed(probe.path()),
        None if path == compat::SIGN2 => Route::Fixed(compat::SIGN2),
        None if playground::at(exchange, path).is_some() => Route::Fixed("/playground"),
        None => Route::Other,
    }
}

fn operation(exchange: &Exchange<'_>, below: &str) -> Option<Route> {
    let (app, name) = route::split(exchange, below)?;
    let operation = vendor::operation(app, name)?;
    Some(Route::Operation(app.name().clone(), operation.as_str()))
}
