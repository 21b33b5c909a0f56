//! The decision on a request that the page has sent to the real route, by the same engine, with all its reasons.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::sign::{self, SigningRoute};
use super::super::{ApiError, RequestContext};
use super::{fields, read, signed};
use crate::engine::RuntimeData;
use crate::vendor::{self, Params};

/// What the page sent, and what it got.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaygroundExchange {
    /// The real request's body.
    request: Map<String, Value>,
    /// The real answer's body, if it was a good one.
    answer: Option<String>,
}

/// What `explain` prints as JSON, and the string that was signed. The caller is who the real request's credential says.
pub(super) async fn explain(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    request: &mut Request<Incoming>,
) -> Result<Value, ApiError> {
    let caller = sign::authenticate(exchange, Some(route.app), request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let asked: PlaygroundExchange = fields(read(exchange, request).await?)?;
    let params = Params { values: asked.request, lenient: false };
    let ask = vendor::parse(route.app, route.operation, &params, Some(&caller))?.ask;
    let signed = asked.answer.and_then(|answer| signed::of(route.app, &ask, &answer));
    let engine = &exchange.settings.engine;
    let inquiries = engine.inquiries(&ask, &caller, exchange.runtime.moderation.read()?.register(), exchange.now);
    let told = exchange.snapshot.remote.inquire(inquiries, exchange.trace).await?;
    let index = exchange.runtime.moderation.read()?;
    let world = RuntimeData { moderation: index.register(), told: &told };
    let steps = engine.explain(&ask, &caller, world, exchange.now);
    let decided = engine.decide(ask, Arc::unwrap_or_clone(caller), world, exchange.now);
    Ok(json!({ "decided": decided.json(&steps), "signed": signed }))
}
