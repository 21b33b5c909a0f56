//! The playground: a web page that sends requests as any caller and shows each step of the result.
//!
//! The page sends its requests to the real routes. The routes here do only what the page cannot do: create a token for
//! a caller, explain a decision, and list the names in the configuration. They exist only if the configuration enables
//! the playground and trusts the callers of the demonstration, who can take any identity. Otherwise these paths are not
//! found.

mod api;
mod assets;
mod rule_text;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::response_body::{HttpResponse, ResponseBody};
use super::{admission, authenticate, render, signing_route};
use crate::config::DemoCaller;
use crate::server::routes::{PLAYGROUND, PlaygroundRoute, Route};

/// Returns whether the playground is served.
pub(super) fn is_served(exchange: &RequestContext) -> bool {
    demo_caller(exchange).is_some()
}

/// Returns the caller configuration of the demonstration if the playground is served.
fn demo_caller(exchange: &RequestContext) -> Option<&DemoCaller> {
    exchange.settings().demo_caller.as_ref().filter(|_| exchange.settings().server.playground)
}

/// Answers a request to the playground.
pub(super) async fn answer(
    exchange: &RequestContext,
    route: &Route,
    part: PlaygroundRoute,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let demo = demo_caller(exchange).ok_or_else(not_found)?;
    let _slot = admission::enter(exchange)?;
    admission::check_host(exchange, request)?;
    let below = request.uri().path().strip_prefix(PLAYGROUND).unwrap_or_default().to_owned();
    if part == PlaygroundRoute::Home {
        return admission::check_method(request, route.methods).map(|()| redirect());
    }
    if part == PlaygroundRoute::Asset {
        let asset = assets::find_asset(&below).ok_or_else(not_found)?;
        return admission::check_method(request, route.methods).map(|()| asset);
    }
    check_same_origin(exchange, request)?;
    match part {
        PlaygroundRoute::Home | PlaygroundRoute::Asset => Err(not_found()),
        PlaygroundRoute::Names => admission::check_method(request, route.methods)
            .map(|()| json_response(&api::choices(exchange.settings(), demo))),
        PlaygroundRoute::Token => {
            admission::check_method(request, route.methods)?;
            let asked = api::read_body(exchange, request).await?;
            api::create_token(exchange, demo, asked).map(|made| json_response(&made))
        }
        PlaygroundRoute::Explanation => {
            let place = below.strip_prefix("/explain/").unwrap_or_default();
            let found = signing_route::split(exchange.settings(), place);
            let found = found
                .and_then(|(app, name)| signing_route::find(&exchange.snapshot, app, name))
                .ok_or_else(not_found)?;
            admission::check_method(request, route.methods)?;
            api::explain(exchange, &found, request).await.map(|explained| json_response(&explained))
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

/// Returns the answer that leads to the page.
fn redirect() -> HttpResponse {
    let mut answer = Response::new(ResponseBody::from(""));
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(PLAYGROUND));
    answer
}

fn json_response(value: &Value) -> HttpResponse {
    render::success("application/json", value.to_string())
}

fn not_found() -> ApiError {
    ApiError::with_same_message(ErrorCode::NotFound, "There is nothing at this path. The playground is at /playground.")
}
