//! The routes that sign: `/v1/{app}/{operation}`, and the routes of LeanCloud's own demo servers, for clients that were
//! written for those servers.

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use crate::config::Settings;
use crate::model::Vendor;
use crate::vendor::leancloud::DemoRoute;
use crate::vendor::{self, App, Operation};

/// The path prefix at which LeanCloud's SDKs call cloud functions.
pub(super) const COMPAT_FUNCTIONS: &str = "/1.1/functions/";

/// The path of the only route of the first demo server.
pub(super) const COMPAT_SIGN2: &str = "/sign2";

/// A route that signs: its app and operation, and the accepted methods and encodings.
pub(super) struct SigningRoute<'a> {
    pub(super) app: &'a App,
    pub(super) operation: Operation,
    /// Whether the route supports GET in addition to POST.
    pub(super) supports_get: bool,
    /// Whether the body can be a form.
    pub(super) accepts_forms: bool,
    /// The forms of the answer, each with the media type that selects it.
    pub(super) forms: &'static [(&'static str, AnswerForm)],
}

/// The form of the body of a successful answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerForm {
    /// The complete result as JSON.
    Json,
    /// The token alone, as text.
    Text,
    /// The token alone, with the media type of a JWT.
    Jwt,
    /// The answer of LeanCloud's demo servers.
    Compat,
    /// The answer of LeanCloud's demo servers, as the result of a cloud function.
    CloudFunction,
}

/// Returns the route at `{app}/{name}`, if there is one.
#[cfg(feature = "playground")]
pub(super) fn find_signing_route<'a>(exchange: &'a RequestContext, below: &str) -> Option<SigningRoute<'a>> {
    let (app, name) = split(exchange, below)?;
    signing_route(app, name)
}

pub(super) fn split<'a, 'p>(exchange: &'a RequestContext, below: &'p str) -> Option<(&'a App, &'p str)> {
    let (app, name) = below.split_once('/').unwrap_or((below, ""));
    Some((exchange.settings().engine.app(app)?, name))
}

/// Returns the route at `/v1/{app}/{name}`, with its methods, encodings and answer forms.
pub(super) fn signing_route<'a>(app: &'a App, name: &str) -> Option<SigningRoute<'a>> {
    let (gettable, takes_forms, forms): (bool, bool, &[_]) = match (app.vendor(), name) {
        (Vendor::TalkJs, "token") => {
            (true, false, &[("application/json", AnswerForm::Json), ("text/plain", AnswerForm::Text)])
        }
        // All SDKs accept a token as text, also those that ask for JSON or MessagePack. Only newer SDKs know the media type
        // of a JWT.
        (Vendor::Ably, "token") => (
            true,
            true,
            &[
                ("application/jwt", AnswerForm::Jwt),
                ("text/plain", AnswerForm::Text),
                ("application/json", AnswerForm::Text),
                ("application/x-msgpack", AnswerForm::Text),
            ],
        ),
        // SDKs that ask for MessagePack also read JSON, by the media type of the answer.
        (Vendor::Ably, _) => {
            (true, true, &[("application/json", AnswerForm::Json), ("application/x-msgpack", AnswerForm::Json)])
        }
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

/// Returns the signing route of this path, or `None` if the path is not a path of the demo servers. The route is an
/// error if the cloud function is unknown or if no app serves these paths.
pub(super) fn find_compat_route<'a>(settings: &'a Settings, path: &str) -> Option<Result<SigningRoute<'a>, ApiError>> {
    let (compat, forms): (_, &[_]) = match path.strip_prefix(COMPAT_FUNCTIONS) {
        Some(name) => (DemoRoute::parse(name), &[("application/json", AnswerForm::CloudFunction)]),
        None if path == COMPAT_SIGN2 => (Some(DemoRoute::Sign2), &[("application/json", AnswerForm::Compat)]),
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
    let older = DemoRoute::ALL.into_iter().filter_map(DemoRoute::older_name).collect::<Vec<_>>().join(", ");
    ApiError::with_same_message(
        ErrorCode::NotFound,
        format!("There is no cloud function of this name. Accepted older names: {older}. Known functions: {known}."),
    )
}
