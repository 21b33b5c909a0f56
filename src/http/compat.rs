//! The routes of LeanCloud's own demo servers, for clients that were written for them.

use super::sign::{AnswerForm, SigningRoute};
use super::{ApiError, ErrorCode};
use crate::config::Settings;
use crate::vendor::leancloud::DemoRoute;
use crate::vendor::{App, Operation};

/// Where LeanCloud's SDKs call cloud functions.
pub(super) const FUNCTIONS: &str = "/1.1/functions/";

/// Where the first of the demo servers has its one route.
pub(super) const SIGN2: &str = "/sign2";

/// Where this path leads, if it is one of those that demo servers have.
pub(super) fn route<'a>(settings: &'a Settings, path: &str) -> Option<Result<SigningRoute<'a>, ApiError>> {
    let (compat, forms): (_, &[_]) = match path.strip_prefix(FUNCTIONS) {
        Some(name) => (DemoRoute::parse(name), &[("application/json", AnswerForm::CloudFunction)]),
        None if path == SIGN2 => (Some(DemoRoute::Sign2), &[("application/json", AnswerForm::Compat)]),
        None => return None,
    };
    let Some(compat) = compat else { return Some(Err(unknown())) };
    Some(app(settings).map(|app| SigningRoute {
        app,
        operation: Operation::LeanCloudCompat(compat),
        gettable: false,
        takes_forms: false,
        forms,
    }))
}

fn app(settings: &Settings) -> Result<&App, ApiError> {
    let app = settings.server.leancloud_compat.as_deref().and_then(|name| settings.engine.app(name));
    app.ok_or_else(|| {
        let detail = "Nothing is signed at this path: the configuration has no LeanCloud app, or several of which \
                      `leancloud_compat` in [server] names none.";
        ApiError::plain(ErrorCode::NotFound, detail)
    })
}

fn unknown() -> ApiError {
    let known = DemoRoute::ALL.map(DemoRoute::as_str).join(", ");
    ApiError::plain(ErrorCode::NotFound, format!("There is no cloud function of this name here. There are: {known}."))
}
