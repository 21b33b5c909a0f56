//! Explains a decision about a user, with the entries, the facts and the settings that the server has.

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, invalid_field, parse_time};
use super::read::{self, ReadRequest};
use crate::engine::{AssumedCaller, RuntimeData, parse_id_list, request_for_action};
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, SigningRequest, json};
use crate::moderation::CommandCheck;
use crate::moderation::api::ModerationParameters;
use crate::policy::{Denial, DenyReason, EntryOrigin};
use crate::server::http::error::ApiError;
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;
use crate::vendor::{App, InvalidRequest, Params, VendorSpec};

/// The parameters in the query.
const PARAMETERS: [&str; 13] = [
    "user",
    "service",
    "authenticator",
    "roles",
    "app",
    "action",
    "client",
    "conversation",
    "members",
    "capability",
    "fields",
    "at",
    "client_id",
];

/// A question about a decision.
struct Question<'a> {
    app: &'a App,
    caller: Caller,
    request: SigningRequest,
    at: Millis,
}

/// Answers a request for an explanation. Who may read the entries of the conversation gets the decision in codes. Who may
/// also read decisions gets the result of each rule.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &PARAMETERS)?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let question = match Question::read(visit, fields) {
        Ok(question) => question,
        Err(mistake) => {
            // The description of a mistake can contain names in the configuration.
            let place = fields.params.conversation.as_deref().and_then(|text| Pattern::parse(text).ok());
            ReadRequest::new(visit, fields, place)?.authorize(visit).await?;
            return Err(mistake);
        }
    };
    let place = question.request.conversation.as_ref().map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place.clone())?;
    reader.authorize(visit).await?;
    let has_rules = reader.authorize_further(visit, Action::ReadDecisions).await?;
    let json = question.answer(visit, has_rules, &place.unwrap_or(Pattern::Everything)).await?;
    Ok(render::success("application/json", json.to_string()))
}

impl<'a> Question<'a> {
    fn read(visit: &AuthenticatedRequest<'a>, fields: RequestFields<'_>) -> Result<Question<'a>, ApiError> {
        let engine = &visit.exchange.settings().engine;
        let missing = |field, example| invalid_field(field, format!("must be given, for example {field}={example}"));
        let app = fields.app()?.ok_or_else(|| missing("app", "leancloud"))?;
        let app = engine.app(&app).ok_or_else(|| missing("app", "leancloud"))?;
        let action = fields.params.action.as_deref().ok_or_else(|| missing("action", "join"))?;
        let (kind, subject) = match (fields.params.user.as_deref(), fields.params.service.as_deref()) {
            (Some(user), None) => (CallerKind::User, user),
            (None, Some(service)) => (CallerKind::Service, service),
            (Some(_), Some(_)) => {
                return Err(
                    invalid_field("service", "must not be given beside `user`: the decision has one caller").into()
                );
            }
            (None, None) => return Err(missing("user", "tom").into()),
        };
        let field = if kind == CallerKind::User { "user" } else { "service" };
        let authenticator = fields.params.authenticator.as_deref();
        let roles: Vec<String> = fields
            .params
            .roles
            .as_deref()
            .map(|roles| roles.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        let assumed = AssumedCaller { kind, subject, authenticator, roles: &roles };
        let built = assumed.build(engine, app.name());
        let (caller, _) = built.map_err(|flaw| invalid_field(field, format!("cannot be the caller: {flaw}")))?;
        let spec = app.vendor().spec();
        let asked = action_params(spec, action, fields.params)?;
        let request =
            request_for_action(app, action, &asked, &caller).map_err(|invalid| rename_field(spec, action, invalid))?;
        let at = fields.params.at.as_deref().map_or(Ok(visit.exchange.now), |text| parse_time("at", text))?;
        Ok(Question { app, caller, request, at })
    }

    /// Decides the question with the current entries, and with facts if the decision depends on them.
    async fn answer(
        self,
        visit: &AuthenticatedRequest<'_>,
        has_rules: bool,
        place: &Pattern,
    ) -> Result<Value, ApiError> {
        let Question { app, caller, request, at } = self;
        let exchange = visit.exchange;
        let engine = &exchange.settings().engine;
        let queries = engine.facts_queries(&request, &caller, exchange.runtime.moderation.read()?.entries(), at);
        let facts = Box::pin(exchange.snapshot.upstreams.fetch_facts(queries, exchange.trace.as_ref())).await?;
        let index = exchange.runtime.moderation.read()?;
        let data = RuntimeData { moderation: index.entries(), facts: &facts };
        let steps = if has_rules { engine.explain(&request, &caller, data, at) } else { Vec::new() };
        let decided = engine.decide(request, caller, data, at);
        let check = CommandCheck::run(engine, &decided, &index, &facts);
        let denial = decided.outcome.as_ref().err();
        let mut json = if has_rules {
            check.json(&decided, &steps)
        } else {
            json!({
                "allowed": denial.is_none() && check.is_allowed(),
                "app": &**app.name(),
                "action": decided.request.action.as_str(),
                "conversation": decided.request.conversation.as_ref().map(Pattern::to_string),
                "at": at.to_string(),
            })
        };
        let failures = check.failures("say");
        json["code"] = denial.map_or_else(|| failures[0]["say"].clone(), |denial| denial.code().into());
        json["words"] = denial.map_or(failures, |denial| json!([words(denial, place)]));
        // The token of the caller is not known here, and its claims and roles can change the decision.
        json["token_unknown"] = true.into();
        Ok(json)
    }
}

/// Returns the parameters of the action, by the names that the routes of the vendor have.
///
/// # Errors
/// Returns an error if `fields` is not a JSON object, or if it repeats another parameter.
fn action_params(spec: &VendorSpec, action: &str, params: &ModerationParameters) -> Result<Params, InvalidRequest> {
    let mut values = Map::new();
    if let Some(client) = params.client.as_deref() {
        values.insert(spec.client_field.to_owned(), client.into());
    }
    if let Some(conversation) = params.conversation.as_deref() {
        values.insert(spec.conversation_field_of(action).to_owned(), conversation.into());
    }
    if let Some(members) = params.members.as_deref() {
        let members = parse_id_list(members).map_err(|flaw| invalid_field("members", flaw))?;
        values.insert("members".to_owned(), members.into());
    }
    if let Some(capability) = params.capability.as_deref() {
        values.insert("capability".to_owned(), capability.into());
    }
    if let Some(fields) = params.fields.as_deref() {
        let fields = json::parse_object(fields.as_bytes())
            .map_err(|flaw| invalid_field("fields", format!("must be a JSON object, but: {flaw}")))?;
        if fields.keys().any(|name| values.contains_key(name)) {
            return Err(invalid_field(
                "fields",
                "must not repeat the client, the conversation, the members or the capability",
            ));
        }
        values.extend(fields);
    }
    Ok(Params { values, lenient: false })
}

/// Replaces the field of a route of the vendor by the parameter of this route.
fn rename_field(spec: &VendorSpec, action: &str, InvalidRequest { field, message }: InvalidRequest) -> InvalidRequest {
    let field = if field == spec.conversation_field_of(action) {
        "conversation".to_owned()
    } else if field == spec.client_field {
        "client".to_owned()
    } else {
        field
    };
    InvalidRequest { field, message }
}

/// Returns the reason of a denial as a code with its details, but without the rules. An entry outside the place of the
/// reader has no author and no reason, because the reader could not list it.
fn words(denial: &Denial, place: &Pattern) -> Value {
    let code = match &denial.reason {
        DenyReason::Banned { .. } => "banned",
        DenyReason::TargetBanned { .. } => "target_banned",
        DenyReason::Muted { .. } => "muted",
        DenyReason::TargetBlocksConversation { .. } => "target_blocks",
        DenyReason::BlockedByConversation { .. } => "blocked",
        DenyReason::TargetBlockedByConversation { .. } => "target_blocked",
        DenyReason::UnknownConversation => "unknown_conversation",
        DenyReason::Rule { .. } => "denied_by_rule",
        DenyReason::NoRuleMatched { .. } => "no_rule",
    };
    let mut words =
        Map::from_iter([("say".to_owned(), json!(code)), ("action".to_owned(), json!(denial.action.as_str()))]);
    let mut is_listed = true;
    let mut add = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| (name.to_owned(), Value::from(value))));
    };
    match &denial.reason {
        DenyReason::Banned { user, scope, origin, .. }
        | DenyReason::TargetBanned { user, scope, origin, .. }
        | DenyReason::Muted { user, scope, origin, .. } => {
            add("user", Some(user.clone()));
            add("conversation", Some(scope.to_string()));
            is_listed = place.covers(scope);
            add("by", author(origin).filter(|_| is_listed));
        }
        DenyReason::TargetBlocksConversation { user }
        | DenyReason::BlockedByConversation { user }
        | DenyReason::TargetBlockedByConversation { user } => {
            add("user", Some(user.clone()));
            add("conversation", denial.conversation.as_ref().map(Pattern::to_string));
        }
        DenyReason::UnknownConversation | DenyReason::Rule { .. } | DenyReason::NoRuleMatched { .. } => {
            add("conversation", denial.conversation.as_ref().map(Pattern::to_string));
        }
    }
    if let DenyReason::Banned { until, .. } = &denial.reason {
        add("until", until.map(|until| until.to_string()));
    }
    add("reason", denial.reason().filter(|_| is_listed).map(str::to_owned));
    Value::Object(words)
}

/// Returns the author of an entry that was made at run time.
fn author(origin: &EntryOrigin) -> Option<String> {
    origin.author().map(|author| author.subject.clone())
}
