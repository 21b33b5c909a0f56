//! The playground: a page on which to ask as anyone, and to see what comes of it, step by step.
//!
//! The page sends its requests to the real routes. Beside it there is only what it can't do itself: make a caller's token, explain a
//! decision, and name what the configuration knows. All of this is served where the configuration asks for it and trusts the
//! demonstration's callers, who can be anyone; everywhere else nothing is at these paths.

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

/// Whether the playground is at this path: as whom callers can come to it, if it is.
pub(super) fn at<'a>(exchange: &RequestContext<'a>, path: &str) -> Option<&'a DemoCaller> {
    let below = path.strip_prefix(PATH).filter(|below| below.is_empty() || below.starts_with('/'));
    let served = exchange.settings.server.playground && below.is_some();
    exchange.settings.demo_caller.as_ref().filter(|_| served)
}

/// Answers a request to something of the playground's.
pub(super) async fn answer(
    exchange: &RequestContext<'_>,
    demo: &DemoCaller,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let _slot = admission::enter(exchange)?;
    host_check::demonstration(exchange, request)?;
    host_check::one_host(request)?;
    let below = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_owned();
    if let Some(asset) = assets::at(&below) {
        return host_check::only(request, "GET, HEAD").map(|()| asset);
    }
    same_origin(exchange, request)?;
    match below.as_str() {
        "/world" => host_check::only(request, "GET, HEAD").map(|()| json(&world::of(exchange.settings, demo))),
        "/token" => {
            host_check::only(request, "POST")?;
            let asked = read(exchange, request).await?;
            token::make(exchange, demo, asked).map(|made| json(&made))
        }
        _ => {
            let route = below.strip_prefix("/explain/").and_then(|place| route::find(exchange, place));
            let route = route.ok_or_else(nowhere)?;
            host_check::only(request, "POST")?;
            explain::explain(exchange, &route, request).await.map(|explained| json(&explained))
        }
    }
}

/// Refuses what another page than our own made the browser send, be its origin listed or not.
fn same_origin<B>(exchange: &RequestContext<'_>, request: &Request<B>) -> Result<(), ApiError> {
    if !cross_site::is_foreign(exchange, request) {
        return Ok(());
    }
    Err(ApiError::plain(ErrorCode::Denied, "The playground is for its own page."))
}

async fn read(exchange: &RequestContext<'_>, request: &mut Request<Incoming>) -> Result<Map<String, Value>, ApiError> {
    let encoding = params::encoding(request.headers(), false)?;
    let server = &exchange.settings.server;
    let bytes = body::read(request.body_mut(), server.body_limit, server.request_timeout).await?;
    params::from_body(&bytes, encoding, false).map(|params| params.values)
}

/// The fields of a body: each of a type, none left over.
fn fields<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T, ApiError> {
    // The message names fields and types; a value of the wrong type is quoted in it, but secrets are not sent here.
    serde_json::from_value(Value::Object(values))
        .map_err(|error| ApiError::plain(ErrorCode::InvalidField, error.to_string()))
}

fn json(value: &Value) -> HttpResponse {
    render::success("application/json", value.to_string())
}

fn nowhere() -> ApiError {
    ApiError::plain(ErrorCode::NotFound, "There is nothing at this path. The playground is at /playground.")
}
