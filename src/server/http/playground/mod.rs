//! The playground: a web page that sends requests as any caller and shows each step of the result.
//!
//! The page sends its requests to the real routes. The routes here do only what the page cannot do: create a token for
//! a caller, explain a decision, and list the names in the configuration. They exist only if the configuration enables
//! the playground and trusts the callers of the demonstration, who can take any identity. Otherwise these paths are not
//! found.

mod api;
mod assets;
mod signed;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::response_body::HttpResponse;
use super::{admission, authenticate, render, signing_route};
use crate::config::DemoCaller;

pub(super) const PATH: &str = "/playground";

/// Returns whether the playground is served and the path belongs to it.
pub(super) fn is_served_at(exchange: &RequestContext, path: &str) -> bool {
    let below = path.strip_prefix(PATH).filter(|below| below.is_empty() || below.starts_with('/'));
    below.is_some() && demo_caller(exchange).is_some()
}

/// Returns the caller configuration of the demonstration if the playground is served.
fn demo_caller(exchange: &RequestContext) -> Option<&DemoCaller> {
    exchange.settings().demo_caller.as_ref().filter(|_| exchange.settings().server.playground)
}

/// Answers a request to the playground.
pub(super) async fn answer(
    exchange: &RequestContext,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let demo = demo_caller(exchange).ok_or_else(not_found)?;
    let _slot = admission::enter(exchange)?;
    admission::check_host(exchange, request)?;
    let below = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_owned();
    if let Some(asset) = assets::find_asset(&below) {
        return admission::check_method(request, "GET, HEAD").map(|()| asset);
    }
    check_same_origin(exchange, request)?;
    match below.as_str() {
        "/world" => admission::check_method(request, "GET, HEAD")
            .map(|()| json_response(&api::choices(exchange.settings(), demo))),
        "/token" => {
            admission::check_method(request, "POST")?;
            let asked = api::read_body(exchange, request).await?;
            api::create_token(exchange, demo, asked).map(|made| json_response(&made))
        }
        _ => {
            let route =
                below.strip_prefix("/explain/").and_then(|place| signing_route::find_signing_route(exchange, place));
            let route = route.ok_or_else(not_found)?;
            admission::check_method(request, "POST")?;
            api::explain(exchange, &route, request).await.map(|explained| json_response(&explained))
        }
    }
}

/// Refuses a request that a page of another origin made the browser send, even if that origin is listed.
fn check_same_origin<B>(exchange: &RequestContext, request: &Request<B>) -> Result<(), ApiError> {
    if !authenticate::is_foreign(exchange, request) {
        return Ok(());
    }
    Err(ApiError::with_same_message(ErrorCode::Denied, "The playground serves only its own page."))
}

fn json_response(value: &Value) -> HttpResponse {
    render::success("application/json", value.to_string())
}

fn not_found() -> ApiError {
    ApiError::with_same_message(ErrorCode::NotFound, "There is nothing at this path. The playground is at /playground.")
}
