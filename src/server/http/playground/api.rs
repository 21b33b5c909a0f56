//! The JSON routes of the playground: the names in the configuration that the page offers, tokens for the caller that the
//! page selects, and the explanation of a decision.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::rule_text::rule_text;
use crate::authn::{ApiKey, Authenticator, Jwt};
use crate::config::{DemoCaller, Settings, demo_api_key};
use crate::engine::RuntimeData;
use crate::model;
use crate::policy::{PolicyDocument, PolicyEntries, Rule};
use crate::server::http::context::RequestContext;
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::signing_route::SigningRoute;
use crate::server::http::{authenticate, body, params};
use crate::vendor::{self, App, Params, SignedText, VendorRequest};

/// The maximum number of people and of conversations that are offered.
const MAX_NAMES: usize = 200;

/// Returns all names.
pub(super) fn choices(settings: &Settings, demo: &DemoCaller) -> Value {
    let document = settings.engine.policy.document();
    let all = settings.engine.authenticators.all();
    json!({
        "apps": settings.engine.apps.iter().map(app).collect::<Value>(),
        "callers": all.iter().flat_map(|one| callers(one, demo)).collect::<Value>(),
        "roles": document.role_hierarchy.names(),
        "people": user_names(&document.entries),
        "conversations": conversations(&document.entries),
        "console": settings.console.as_ref().is_some_and(|console| console.token.contains(&"paste")),
    })
}

fn app(app: &App) -> Value {
    let spec = app.vendor().spec();
    let fields: Map<String, Value> =
        spec.operations.iter().map(|operation| (operation.name.to_owned(), json!(operation.fields))).collect();
    json!({
        "name": &**app.name(),
        "operations": spec.operation_names(),
        "fields": fields,
        "client_field": spec.client_field,
        "conversation_field": spec.conversation_field,
    })
}

/// Returns the callers that the page can take by this authenticator: any user with a token of the demonstration, or the
/// owner of a public API key.
fn callers(authenticator: &Authenticator, demo: &DemoCaller) -> Vec<Value> {
    let name = &*authenticator.common().name;
    let kind = authenticator.common().kind.as_str();
    match authenticator {
        Authenticator::Jwt(Jwt { issuer, identity, .. }) if issuer.exact() == Some(&demo.issuer) => {
            let highest = identity.roles.max_role.map(|role| identity.roles.role_hierarchy.name(role));
            vec![json!({ "authenticator": name, "kind": kind, "tokens": true, "max_role": highest })]
        }
        Authenticator::ApiKey(ApiKey { header, keys, .. }) => {
            let public = keys.iter().filter_map(|(id, hash)| Some((id, demo_api_key(hash)?)));
            let caller = |(id, key): (&String, &str)| json!({ "authenticator": name, "kind": kind, "id": id, "header": header.as_str(), "key": key });
            public.map(caller).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the users that the policy names.
fn user_names(entries: &PolicyEntries) -> BTreeSet<&str> {
    let PolicyEntries { conversations, bindings, bans, mutes, blocks } = entries;
    let members = conversations.iter().flat_map(|one| one.members.iter().map(|(name, _)| name));
    let bound = bindings.iter().map(|binding| &binding.user);
    let barred = bans.iter().chain(mutes).map(|sanction| &sanction.user);
    let blocking = blocks.iter().map(|block| &block.user);
    members.chain(bound).chain(barred).chain(blocking).map(String::as_str).take(MAX_NAMES).collect()
}

fn conversations(entries: &PolicyEntries) -> Value {
    let known = entries.conversations.iter().take(MAX_NAMES);
    known.map(|one| json!({ "id": one.id, "kind": one.kind.as_str() })).collect()
}

/// The lifetime of a token, in seconds.
const LIFETIME_SECONDS: u64 = 3600;

/// The caller that the page selects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    subject: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// Returns the token and its expiry time in Unix seconds.
pub(super) fn create_token(
    exchange: &RequestContext,
    demo: &DemoCaller,
    asked: Map<String, Value>,
) -> Result<Value, ApiError> {
    let TokenBody { subject, roles } = deserialize_fields(asked)?;
    model::check_identifier(&subject, 255)
        .map_err(|flaw| ApiError::with_same_message(ErrorCode::InvalidField, format!("subject {flaw}")))?;
    let issued_at = exchange.now.seconds();
    let expires_at = issued_at.saturating_add(LIFETIME_SECONDS);
    let token = demo.token(&subject, &roles, issued_at, expires_at);
    let token = token.map_err(|error| {
        ApiError::with_same_message(ErrorCode::InvalidField, format!("roles cannot be put into the token: {error}"))
    })?;
    Ok(json!({ "token": token, "expires_at": expires_at }))
}

/// The request that the page sent, and the answer that it received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaygroundExchange {
    /// The body of the real request.
    request: Map<String, Value>,
    /// The body of the real answer, if the request was successful.
    answer: Option<String>,
}

/// Returns the JSON output of the command `explain`, the string that was signed, and each rule with its text. The credential
/// of the real request determines the caller.
pub(super) async fn explain(
    exchange: &RequestContext,
    route: &SigningRoute<'_>,
    request: &mut Request<Incoming>,
) -> Result<Value, ApiError> {
    let caller = authenticate::authenticate(exchange, Some(route.app), request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let asked: PlaygroundExchange = deserialize_fields(read_body(exchange, request).await?)?;
    let params = Params { values: asked.request, lenient: false };
    let parsed = vendor::parse(route.app, route.operation, &params, Some(&caller))?;
    let signed = asked.answer.and_then(|answer| signed_text(route.app, &parsed, &answer));
    let signing_request = parsed.signing_request;
    let engine = &exchange.settings().engine;
    let inquiries =
        engine.facts_queries(&signing_request, &caller, exchange.runtime.moderation.read()?.entries(), exchange.now);
    let told = exchange.snapshot.upstreams.fetch_facts(inquiries, exchange.trace.as_ref()).await?;
    let index = exchange.runtime.moderation.read()?;
    let world = RuntimeData { moderation: index.entries(), facts: &told };
    let steps = engine.explain(&signing_request, &caller, world, exchange.now);
    let decided = engine.decide(signing_request, Arc::unwrap_or_clone(caller), world, exchange.now);
    let PolicyDocument { rules, role_hierarchy, .. } = engine.policy.document();
    let rule = |rule: &Rule| json!({ "text": rule_text(rule, role_hierarchy), "apps": rule.apps });
    let rules: Map<String, Value> = rules.iter().map(|one| (one.id.clone(), rule(one))).collect();
    Ok(json!({ "decided": decided.json(&steps), "signed": signed, "rules": rules }))
}

/// Returns the text that was signed for an answer, and whether the answer has the MAC of this text with one of the
/// app's keys. Returns `None` if the answer cannot come from this app.
fn signed_text(app: &App, request: &VendorRequest, answer: &str) -> Option<Value> {
    let SignedText { text, mac, token } = app.signed_text(request, answer)?;
    let spec = app.vendor().spec();
    let (matches, algorithm) = (app.verify(&text, &mac).is_some(), spec.algorithm.as_str());
    Some(json!({ "text": text, "algorithm": algorithm, "key": spec.key_title, "matches": matches, "token": token }))
}

/// Reads the fields of the body.
pub(super) async fn read_body(
    exchange: &RequestContext,
    request: &mut Request<Incoming>,
) -> Result<Map<String, Value>, ApiError> {
    let encoding = params::body_encoding(request.headers(), false)?;
    let server = &exchange.settings().server;
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
