//! Explains the decision on a request that the page has sent to the real route. The same engine decides, with all
//! reasons.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::sign::{self, SigningRoute};
use super::super::{ApiError, RequestContext};
use super::{deserialize_fields, read_body, signed};
use crate::engine::RuntimeData;
use crate::vendor::{self, Params};

/// The request that the page sent, and the answer that it received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaygroundExchange {
    /// The body of the real request.
    request: Map<String, Value>,
    /// The body of the real answer, if the request was successful.
    answer: Option<String>,
}

/// Returns the JSON output of the command `explain`, and the string that was signed. The credential of the real request
/// determines the caller.
pub(super) async fn explain(
    exchange: &RequestContext<'_>,
    route: &SigningRoute<'_>,
    request: &mut Request<Incoming>,
) -> Result<Value, ApiError> {
    let caller = sign::authenticate(exchange, Some(route.app), request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let asked: PlaygroundExchange = deserialize_fields(read_body(exchange, request).await?)?;
    let params = Params { values: asked.request, lenient: false };
    let ask = vendor::parse(route.app, route.operation, &params, Some(&caller))?.ask;
    let signed = asked.answer.and_then(|answer| signed::signed_string(route.app, &ask, &answer));
    let engine = &exchange.settings.engine;
    let inquiries = engine.facts_queries(&ask, &caller, exchange.runtime.moderation.read()?.entries(), exchange.now);
    let told = exchange.snapshot.upstreams.fetch_facts(inquiries, exchange.trace).await?;
    let index = exchange.runtime.moderation.read()?;
    let world = RuntimeData { moderation: index.entries(), facts: &told };
    let steps = engine.explain(&ask, &caller, world, exchange.now);
    let decided = engine.decide(ask, Arc::unwrap_or_clone(caller), world, exchange.now);
    Ok(json!({ "decided": decided.json(&steps), "signed": signed }))
}
