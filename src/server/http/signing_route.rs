//! The routes that sign: `/v1/{app}/{operation}`, and the fixed paths for clients that were written for other servers.

use super::error::{ApiError, ErrorCode};
use crate::config::Settings;
use crate::model::Vendor;
use crate::server::state::Snapshot;
use crate::telemetry::metric_handles::OperationHandle;
use crate::vendor::{self, App, CompatRoute, CompatRoutes, OperationSpec};

/// The path prefix of the routes of apps.
pub(super) const APPS: &str = "/v1/";

/// A route that signs.
#[derive(Clone, Copy)]
pub(super) struct SigningRoute<'a> {
    pub(super) app: &'a App,
    pub(super) operation: &'static OperationSpec,
    /// The counters of the route, if it is a route of an app.
    pub(super) handle: Option<&'a OperationHandle>,
}

/// An app, and its place in the configuration.
#[derive(Clone, Copy)]
pub(super) struct AppPlace<'a> {
    pub(super) app: &'a App,
    place: usize,
}

/// Returns the app of a path below [`APPS`], and the rest of the path.
pub(super) fn split<'a, 'p>(settings: &'a Settings, below: &'p str) -> Option<(AppPlace<'a>, &'p str)> {
    let (named, name) = below.split_once('/').unwrap_or((below, ""));
    let mut apps = settings.engine.apps.iter().enumerate();
    let (place, app) = apps.find(|(_, app)| **app.name() == *named)?;
    Some((AppPlace { app, place }, name))
}

/// Returns the route at `/v1/{app}/{name}`.
pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    AppPlace { app, place }: AppPlace<'a>,
    name: &str,
) -> Option<SigningRoute<'a>> {
    let mut operations = app.vendor().spec().operations.iter().enumerate();
    let (of_app, operation) = operations.find(|(_, operation)| operation.name == name)?;
    let handle = snapshot.operation_handles.get(place).and_then(|handles| handles.get(of_app));
    Some(SigningRoute { app, operation, handle })
}

/// Returns the routes of all apps, with their paths.
pub(super) fn all(settings: &Settings) -> impl Iterator<Item = (String, SigningRoute<'_>)> {
    settings.engine.apps.iter().flat_map(|app| {
        let operations = app.vendor().spec().operations.iter();
        operations.map(move |operation| {
            (format!("{APPS}{}/{}", app.name(), operation.name), SigningRoute { app, operation, handle: None })
        })
    })
}

/// A path that clients of another server use.
#[derive(Clone, Copy)]
pub(super) struct CompatPath {
    vendor: Vendor,
    pub(super) routes: &'static CompatRoutes,
    /// The route, if the path has one.
    pub(super) route: Option<&'static CompatRoute>,
}

impl CompatPath {
    /// Finds the path among those of all vendors.
    pub(super) fn find(path: &str) -> Option<CompatPath> {
        vendor::compat_routes().find_map(|(vendor, routes)| {
            let route = routes.routes.iter().find(|route| route.path == path || route.older_path == Some(path));
            let is_own = route.is_some() || path.starts_with(routes.prefix);
            is_own.then_some(CompatPath { vendor, routes, route })
        })
    }

    /// Returns the signing route.
    ///
    /// # Errors
    /// Returns an error if the path has no route or if no app serves it.
    pub(super) fn signing_route<'a>(&self, settings: &'a Settings) -> Result<SigningRoute<'a>, ApiError> {
        let not_found = |detail| ApiError::with_same_message(ErrorCode::NotFound, detail);
        let route = self.route.ok_or_else(|| not_found(self.routes.unknown))?;
        let app = settings.server.compat_app(self.vendor).and_then(|name| settings.engine.app(name));
        let app = app.ok_or_else(|| not_found(self.routes.no_app))?;
        Ok(SigningRoute { app, operation: &route.operation, handle: None })
    }
}
