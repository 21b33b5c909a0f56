//! The OpenAPI 3.1 description of the interface, for the configured apps.
//!
//! The routes with their methods and media types come from the router. Their descriptions, schemas and examples are in
//! `text/`. The examples show the answers of the demonstration.

mod moderation;
mod operation;
mod parts;
mod security;

use std::collections::BTreeMap;

use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::context::RequestContext;
use super::error::ApiError;
use super::response_body::HttpResponse;
use super::signing_route::{self, CompatPath, SigningRoute};
use super::{admission, render};
use crate::config::Settings;
use crate::server::routes::Route;
use crate::vendor::{self, ErrorShape};
use operation::{DescribedPath, OperationText};
use parts::parse_part;

/// Answers with the document, which is created on the first request.
pub(super) fn answer(
    exchange: &RequestContext,
    route: &Route,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let _place = admission::enter(exchange)?;
    admission::check_method(request, route.methods)?;
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
    paths.extend(gate_paths(settings));
    paths.extend(moderation::paths(&security::requirements_for_any_app(&settings.engine.authenticators), responses));
    let mut describe = |path: String, route: &SigningRoute<'_>, about: &OperationText, tag: &str, shape: ErrorShape| {
        let security = security::requirements_for_app(&settings.engine.authenticators, route.app.name());
        let described = DescribedPath { text: about, route, tag, shape: shape.as_str(), security, responses };
        paths.insert(path, described.path_item());
    };
    for (path, route) in signing_route::all(settings) {
        let spec = route.app.vendor().spec();
        let all: Map<String, Value> = parse_part(spec.openapi);
        let about = all.get(route.operation.name).map(OperationText::of).unwrap_or_default();
        describe(path, &route, &about, route.app.name(), spec.error_shape);
    }
    for (_, compat) in vendor::compat_routes() {
        let all: Map<String, Value> = parse_part(compat.openapi);
        for one in compat.routes {
            let route = CompatPath::find(one.path).and_then(|path| path.signing_route(settings).ok());
            if let (Some(route), Some(about)) = (route, all.get(one.path)) {
                describe(one.path.to_owned(), &route, &OperationText::of(about), one.tag, compat.error_shape);
            }
        }
    }
    paths
}

/// The description of a gate in the file of its vendor.
#[derive(Deserialize)]
struct GateText {
    summary: String,
    description: String,
    required: Vec<String>,
    properties: Value,
}

/// Returns the paths of the gates of the apps that have a key for them.
fn gate_paths(settings: &Settings) -> impl Iterator<Item = (String, Value)> {
    let gated = settings.engine.apps.iter().filter_map(|app| {
        let gate = app.gate()?;
        Some((app, gate, app.vendor().spec().gates?))
    });
    gated.flat_map(|(app, gate, gates)| {
        let texts: BTreeMap<String, GateText> = parse_part(gates.openapi);
        let header = gate.key_header();
        texts.into_iter().map(move |(name, text)| {
            let path = format!("{}{}/{name}", signing_route::APPS, app.name());
            (path, json!({ "post": text.operation(app.name(), &name, header.as_str()) }))
        })
    })
}

impl GateText {
    fn operation(&self, app: &str, name: &str, header: &str) -> Value {
        let GateText { summary, description, required, properties } = self;
        let body = json!({ "type": "object", "required": required, "properties": properties });
        json!({
            "operationId": format!("{app}.{}", name.replace('/', ".")),
            "tags": [app],
            "summary": summary,
            "description": description,
            "security": [],
            "parameters": [{ "name": header, "in": "header", "required": true, "schema": { "type": "string" } }],
            "requestBody": { "content": { "application/json": { "schema": body } } },
            "responses": {
                "200": {
                    "description": "The answer, also if it is no",
                    "content": { "application/json": { "schema": { "type": "object" } } },
                },
                "401": { "$ref": "#/components/responses/problem-401" },
            },
        })
    }
}
