//! The OpenAPI 3.1 description of the interface, for the configured apps.
//!
//! The routes with their methods and media types come from the router. Their descriptions, schemas and examples are in
//! `text/`. The examples show the answers of the demonstration.

mod moderation;
mod operation;
mod parts;
mod security;

use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde_json::{Map, Value};

use super::context::RequestContext;
use super::error::ApiError;
use super::response_body::HttpResponse;
use super::signing_route::{self, COMPAT_SIGN2, SigningRoute};
use super::{admission, render};
use crate::config::Settings;
use crate::model::Vendor;
use crate::vendor::{App, Operation};
use operation::{DescribedPath, OperationText};
use parts::parse_part;

pub(super) const PATH: &str = "/v1/openapi.json";

/// Answers with the document, which is created on the first request.
pub(super) fn answer(exchange: &RequestContext, request: &Request<Incoming>) -> Result<HttpResponse, ApiError> {
    let _place = admission::enter(exchange)?;
    admission::check_method(request, "GET, HEAD")?;
    admission::check_host(exchange, request)?;
    let make = || Bytes::from(document(exchange.settings()).to_string());
    Ok(render::success("application/json", exchange.snapshot.openapi_document.get_or_init(make).clone()))
}

/// Returns the document for these settings.
fn document(settings: &Settings) -> Value {
    let mut document: Map<String, Value> = parse_part(include_str!("text/document.json"));
    let mut components: Map<String, Value> = parse_part(include_str!("text/components.json"));
    let paths = paths(settings, components.get("responses").unwrap_or(&Value::Null));
    let schemes = security::schemes(&settings.engine.authenticators);
    components.insert("securitySchemes".to_owned(), Value::Object(schemes));
    document.insert("components".to_owned(), Value::Object(components));
    document.insert("paths".to_owned(), Value::Object(paths));
    Value::Object(document)
}

fn paths(settings: &Settings, responses: &Value) -> Map<String, Value> {
    let mut paths: Map<String, Value> = parse_part(include_str!("text/own.json"));
    paths.extend(moderation::paths(&security::requirements_for_any_app(&settings.engine.authenticators), responses));
    let mut describe = |path: String, route: &SigningRoute<'_>, about: &OperationText, tag: &str, shape: &str| {
        let security = security::requirements_for_app(&settings.engine.authenticators, route.app.name());
        let described = DescribedPath { text: about, route, tag, shape, security, responses };
        paths.insert(path, described.path_item());
    };
    for app in &settings.engine.apps {
        for (name, about) in &operations(app) {
            if let Some(route) = signing_route::signing_route(app, name) {
                describe(format!("/v1/{}/{name}", app.name()), &route, about, app.name(), error_prefix(app));
            }
        }
    }
    for (path, about) in &parse_part::<Map<String, Value>>(include_str!("text/compat.json")) {
        if let Some(Ok(route)) = signing_route::find_compat_route(settings, path) {
            let tag = if path == COMPAT_SIGN2 { "demo-server" } else { "cloud-functions" };
            describe(path.clone(), &route, &OperationText::of(about), tag, "leancloud");
        }
    }
    paths
}

/// Returns the operations of an app, by the last segment of their path.
fn operations(app: &App) -> Vec<(&'static str, OperationText)> {
    let all: Map<String, Value> = parse_part(match app.vendor() {
        Vendor::LeanCloud => include_str!("text/leancloud.json"),
        Vendor::TalkJs => include_str!("text/talkjs.json"),
        Vendor::Ably => include_str!("text/ably.json"),
    });
    let names = Operation::names(app.vendor()).iter();
    names.filter_map(|name| Some((*name, OperationText::of(all.get(*name)?)))).collect()
}

/// Returns the prefix of the error responses of this app in `text/components.json`.
fn error_prefix(app: &App) -> &'static str {
    if app.vendor() == Vendor::Ably { "ably" } else { "problem" }
}
