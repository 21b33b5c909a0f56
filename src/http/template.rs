//! By what name the metrics know where a request leads.

use super::{Exchange, playground, route};
use crate::observe::metrics::Route;
use crate::runtime::Probe;
use crate::vendor;

/// The place that this path leads to: one of those that the configuration has, whatever callers ask for.
pub(super) fn of(exchange: &Exchange<'_>, path: &str) -> Route {
    if let Some((app, name)) = path.strip_prefix("/v1/").and_then(|below| route::split(exchange, below)) {
        return match vendor::operation(app, name) {
            Some(operation) => Route::Operation(app.name().clone(), operation.as_str()),
            None => Route::Other,
        };
    }
    if let Some(probe) = Probe::at(path) {
        return Route::Fixed(probe.path());
    }
    if playground::at(exchange, path).is_some() { Route::Fixed("/playground") } else { Route::Other }
}
