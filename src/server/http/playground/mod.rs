//! The playground: a web page that sends requests as any caller and shows each step of the result.
//!
//! The page sends its requests to the real routes. The routes here do only what the page cannot do: create a token for
//! a caller, explain a decision, and list the names in the configuration. They exist only if the configuration enables
//! the playground and trusts the callers of the demonstration, who can take any identity. Otherwise these paths are not
//! found.

mod assets;
mod explain;
mod signed;
mod token;
mod world;

use hyper::Request;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    ApiError, ErrorCode, HttpResponse, RequestContext, admission, body, cross_site, host_check, params, render, route,
};
use crate::config::DemoCaller;

const PATH: &str = "/playground";

/// Returns the caller configuration of the demonstration if the playground is served and the path belongs to it.
pub(super) fn demo_caller_at<'a>(exchange: &RequestContext<'a>, path: &str) -> Option<&'a DemoCaller> {
    let below = path.strip_prefix(PATH).filter(|below| below.is_empty() || below.starts_with('/'));
    let served = exchange.settings.server.playground && below.is_some();
    exchange.settings.demo_caller.as_ref().filter(|_| served)
}

/// Answers a request to the playground.
pub(super) async fn answer(
    exchange: &RequestContext<'_>,
    demo: &DemoCaller,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let _slot = admission::enter(exchange)?;
    host_check::demonstration(exchange, request)?;
    host_check::check_single_host(request)?;
    let below = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_owned();
    if let Some(asset) = assets::find_asset(&below) {
        return host_check::check_method(request, "GET, HEAD").map(|()| asset);
    }
    check_same_origin(exchange, request)?;
    match below.as_str() {
        "/world" => host_check::check_method(request, "GET, HEAD")
            .map(|()| json_response(&world::choices(exchange.settings, demo))),
        "/token" => {
            host_check::check_method(request, "POST")?;
            let asked = read_body(exchange, request).await?;
            token::create_token(exchange, demo, asked).map(|made| json_response(&made))
        }
        _ => {
            let route = below.strip_prefix("/explain/").and_then(|place| route::find_signing_route(exchange, place));
            let route = route.ok_or_else(not_found)?;
            host_check::check_method(request, "POST")?;
            explain::explain(exchange, &route, request).await.map(|explained| json_response(&explained))
        }
    }
}

/// Refuses a request that a page of another origin made the browser send, even if that origin is listed.
fn check_same_origin<B>(exchange: &RequestContext<'_>, request: &Request<B>) -> Result<(), ApiError> {
    if !cross_site::is_foreign(exchange, request) {
        return Ok(());
    }
    Err(ApiError::with_same_message(ErrorCode::Denied, "The playground serves only its own page."))
}

async fn read_body(
    exchange: &RequestContext<'_>,
    request: &mut Request<Incoming>,
) -> Result<Map<String, Value>, ApiError> {
    let encoding = params::body_encoding(request.headers(), false)?;
    let server = &exchange.settings.server;
    let bytes = body::read(request.body_mut(), server.body_limit, server.request_timeout).await?;
    params::from_body(&bytes, encoding, false).map(|params| params.values)
}

/// Deserializes the fields of a body. Unknown fields are an error.
fn deserialize_fields<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T, ApiError> {
    // The message names fields and types. It can quote a value of the wrong type, but no secrets are sent to these
    // routes.
    serde_json::from_value(Value::Object(values))
        .map_err(|error| ApiError::with_same_message(ErrorCode::InvalidField, error.to_string()))
}

fn json_response(value: &Value) -> HttpResponse {
    render::success("application/json", value.to_string())
}

fn not_found() -> ApiError {
    ApiError::with_same_message(ErrorCode::NotFound, "There is nothing at this path. The playground is at /playground.")
}
