//! The routes of LeanCloud's own demo servers, for clients that were written for those servers.

use super::sign::{AnswerForm, SigningRoute};
use super::{ApiError, ErrorCode};
use crate::config::Settings;
use crate::vendor::leancloud::DemoRoute;
use crate::vendor::{App, Operation};

/// The path prefix at which LeanCloud's SDKs call cloud functions.
pub(super) const FUNCTIONS: &str = "/1.1/functions/";

/// The path of the only route of the first demo server.
pub(super) const SIGN2: &str = "/sign2";

/// Returns the signing route of this path, or `None` if the path is not a path of the demo servers. The route is an
/// error if the cloud function is unknown or if no app serves these paths.
pub(super) fn find_route<'a>(settings: &'a Settings, path: &str) -> Option<Result<SigningRoute<'a>, ApiError>> {
    let (compat, forms): (_, &[_]) = match path.strip_prefix(FUNCTIONS) {
        Some(name) => (DemoRoute::parse(name), &[("application/json", AnswerForm::CloudFunction)]),
        None if path == SIGN2 => (Some(DemoRoute::Sign2), &[("application/json", AnswerForm::Compat)]),
        None => return None,
    };
    let Some(compat) = compat else { return Some(Err(unknown_function())) };
    Some(configured_app(settings).map(|app| SigningRoute {
        app,
        operation: Operation::LeanCloudCompat(compat),
        supports_get: false,
        accepts_forms: false,
        forms,
    }))
}

fn configured_app(settings: &Settings) -> Result<&App, ApiError> {
    let app = settings.server.leancloud_compat.as_deref().and_then(|name| settings.engine.app(name));
    app.ok_or_else(|| {
        let detail = "No app serves this path: the configuration has no LeanCloud app, or it has several and \
                      `leancloud_compat` in [server] is not set.";
        ApiError::with_same_message(ErrorCode::NotFound, detail)
    })
}

fn unknown_function() -> ApiError {
    let known = DemoRoute::ALL.map(DemoRoute::as_str).join(", ");
    ApiError::with_same_message(
        ErrorCode::NotFound,
        format!("There is no cloud function of this name. Known functions: {known}."),
    )
}
