//! The route names that the metrics use as a label.

use super::{RequestContext, compat, moderation, openapi, playground, route};
use crate::server::state::ProbeKind;
use crate::telemetry::metrics::RouteLabel;
use crate::vendor;
use crate::vendor::leancloud::DemoRoute;

/// Returns the label of the route at this path. The set of labels is fixed, whatever paths clients request.
pub(super) fn route_label(exchange: &RequestContext<'_>, path: &str) -> RouteLabel {
    if path == openapi::PATH {
        return RouteLabel::Fixed(openapi::PATH);
    }
    if let Some(below) = path.strip_prefix(moderation::PATH) {
        return moderation::ModerationResource::from_path(below)
            .map_or(RouteLabel::Other, |resource| RouteLabel::Fixed(resource.path_template()));
    }
    if let Some(below) = path.strip_prefix("/v1/") {
        return operation_label(exchange, below).unwrap_or(RouteLabel::Other);
    }
    if let Some(name) = path.strip_prefix(compat::FUNCTIONS) {
        return DemoRoute::parse(name).map_or(RouteLabel::Other, |function| RouteLabel::Function(function.as_str()));
    }
    match ProbeKind::from_path(path) {
        Some(probe) => RouteLabel::Fixed(probe.path()),
        None if path == compat::SIGN2 => RouteLabel::Fixed(compat::SIGN2),
        None if playground::demo_caller_at(exchange, path).is_some() => RouteLabel::Fixed("/playground"),
        None => RouteLabel::Other,
    }
}

fn operation_label(exchange: &RequestContext<'_>, below: &str) -> Option<RouteLabel> {
    let (app, name) = route::split(exchange, below)?;
    let operation = vendor::operation(app, name)?;
    Some(RouteLabel::Operation(app.name().clone(), operation.as_str()))
}
