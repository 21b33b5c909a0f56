//! Questions about decisions, and their answers with reasons. Explanations and decisions without a signature have the same.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::context::RequestContext;
use super::error::ApiError;
use super::facts::{self, UndecidedRequest};
use super::metrics::CountedDecision;
use super::record;
use crate::engine::{AssumedCaller, DecidedRequest, RuntimeData, parse_id_list, request_for_action};
use crate::model::{Action, Caller, CallerKind, Millis, Pattern, SigningRequest, json};
use crate::moderation::CommandCheck;
use crate::moderation::api::ModerationParameters;
use crate::policy::{Denial, DenyReason, EntryOrigin, Explanation};
use crate::telemetry::{AuditCaller, AuditDecision, AuditRecord};
use crate::vendor::{App, InvalidRequest, Params, VendorSpec};

/// The fields of a question, before their values are checked.
#[derive(Default)]
pub(super) struct QuestionFields<'p> {
    user: Option<&'p str>,
    service: Option<&'p str>,
    authenticator: Option<&'p str>,
    roles: Vec<String>,
    app: Option<&'p str>,
    action: Option<&'p str>,
    client: Option<&'p str>,
    conversation: Option<&'p str>,
    members: Option<Vec<String>>,
    capability: Option<Value>,
    fields: Map<String, Value>,
}

impl<'p> QuestionFields<'p> {
    /// The fields in JSON.
    pub(super) const NAMES: [&'static str; 11] = [
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
    ];

    /// Reads the parameters of a query. Lists and objects are texts there.
    pub(super) fn from_query(params: &'p ModerationParameters) -> Result<QuestionFields<'p>, InvalidRequest> {
        let members = params.members.as_deref().map(parse_id_list).transpose();
        let fields = params.fields.as_deref().map(|text| json::parse_object(text.as_bytes())).transpose();
        Ok(QuestionFields {
            user: params.user.as_deref(),
            service: params.service.as_deref(),
            authenticator: params.authenticator.as_deref(),
            roles: params.roles.iter().flat_map(|roles| roles.split(',')).map(str::to_owned).collect(),
            app: params.app.as_deref(),
            action: params.action.as_deref(),
            client: params.client.as_deref(),
            conversation: params.conversation.as_deref(),
            members: members.map_err(|flaw| InvalidRequest::new("members", flaw))?,
            capability: params.capability.as_deref().map(Value::from),
            fields: fields
                .map_err(|flaw| InvalidRequest::new("fields", format!("must be a JSON object, but: {flaw}")))?
                .unwrap_or_default(),
        })
    }

    /// Returns the fields of a question about an action of a user.
    pub(super) fn of_user(
        app: &'p str,
        user: &'p str,
        action: &'p str,
        conversation: Option<&'p str>,
    ) -> QuestionFields<'p> {
        let (app, user, action) = (Some(app), Some(user), Some(action));
        QuestionFields { user, app, action, conversation, ..QuestionFields::default() }
    }

    /// Reads the members of a JSON object.
    pub(super) fn from_json(params: &'p Params) -> Result<QuestionFields<'p>, InvalidRequest> {
        params.reject_unknown(&QuestionFields::NAMES)?;
        let fields = match params.value("fields") {
            None => Map::new(),
            Some(Value::Object(fields)) => fields.clone(),
            Some(_) => return Err(InvalidRequest::new("fields", "must be an object")),
        };
        Ok(QuestionFields {
            user: params.text("user")?,
            service: params.text("service")?,
            authenticator: params.text("authenticator")?,
            roles: params.list("roles")?.unwrap_or_default(),
            app: params.text("app")?,
            action: params.text("action")?,
            client: params.text("client")?,
            conversation: params.text("conversation")?,
            members: params.list("members")?,
            capability: params.value("capability").cloned(),
            fields,
        })
    }

    /// Returns the parameters of the action, by the names that the routes of the vendor have.
    ///
    /// # Errors
    /// Returns an error if `fields` repeats another parameter.
    fn action_params(&self, spec: &VendorSpec, action: &str) -> Result<Params, InvalidRequest> {
        let mut values = Map::new();
        if let Some(client) = self.client {
            values.insert(spec.client_field.to_owned(), client.into());
        }
        if let Some(conversation) = self.conversation {
            values.insert(spec.conversation_field_of(action).to_owned(), conversation.into());
        }
        if let Some(members) = &self.members {
            values.insert("members".to_owned(), members.clone().into());
        }
        if let Some(capability) = &self.capability {
            values.insert("capability".to_owned(), capability.clone());
        }
        if self.fields.keys().any(|name| values.contains_key(name)) {
            let message = "must not repeat the client, the conversation, the members or the capability";
            return Err(InvalidRequest::new("fields", message));
        }
        values.extend(self.fields.clone());
        Ok(Params { values, lenient: false })
    }

    /// Returns the caller that the question is about: the kind, and the subject.
    fn caller(&self) -> Result<(CallerKind, &'p str), InvalidRequest> {
        match (self.user, self.service) {
            (Some(user), None) => Ok((CallerKind::User, user)),
            (None, Some(service)) => Ok((CallerKind::Service, service)),
            (Some(_), Some(_)) => {
                Err(InvalidRequest::new("service", "must not be given beside `user`: the decision has one caller"))
            }
            (None, None) => Err(missing("user", "tom")),
        }
    }
}

/// A question about a decision.
pub(super) struct Question<'a> {
    pub(super) app: &'a App,
    caller: Caller,
    pub(super) request: SigningRequest,
    at: Millis,
}

impl<'a> Question<'a> {
    /// Checks the fields of a question about a decision at this time.
    pub(super) fn read(
        exchange: &'a RequestContext,
        fields: &QuestionFields<'_>,
        at: Millis,
    ) -> Result<Question<'a>, InvalidRequest> {
        let engine = &exchange.settings().engine;
        let name = fields.app.ok_or_else(|| missing("app", "leancloud"))?;
        let known = || engine.apps.iter().map(|app| &**app.name()).collect::<Vec<_>>().join(", ");
        let app = engine.app(name);
        let app =
            app.ok_or_else(|| InvalidRequest::new("app", format!("must be one of the configured apps: {}", known())))?;
        let action = fields.action.ok_or_else(|| missing("action", "join"))?;
        let (kind, subject) = fields.caller()?;
        let assumed = AssumedCaller { kind, subject, authenticator: fields.authenticator, roles: &fields.roles };
        let (caller, _) = assumed
            .build(engine, app.name())
            .map_err(|flaw| InvalidRequest::new(kind.as_str(), format!("cannot be the caller: {flaw}")))?;
        let spec = app.vendor().spec();
        let request = request_for_action(app, action, &fields.action_params(spec, action)?, &caller)
            .map_err(|invalid| rename_field(spec, action, invalid))?;
        Ok(Question { app, caller, request, at })
    }

    /// Returns the question whether this authenticated caller may log in to the app now.
    pub(super) fn of_login(
        exchange: &'a RequestContext,
        app: &'a App,
        caller: Caller,
    ) -> Result<Question<'a>, InvalidRequest> {
        let login = &app.vendor().spec().login;
        let values = login.fields.iter().map(|(name, example)| ((*name).to_owned(), Value::from(*example))).collect();
        let request = request_for_action(app, login.operation, &Params { values, lenient: false }, &caller)?;
        Ok(Question { app, caller, request, at: exchange.now })
    }

    /// Returns the conversation of the request, if it has one. For a channel of a room, this is the room.
    pub(super) fn place(&self) -> Option<Pattern> {
        self.request.conversation.as_ref().map(|place| place.home_conversation().into_owned())
    }

    /// Decides the question with the current entries, and with facts if the decision depends on them. `has_rules` means
    /// that the answer has the result of each rule.
    pub(super) async fn decide(
        self,
        exchange: &RequestContext,
        has_rules: bool,
    ) -> Result<AnsweredQuestion, UndecidedRequest> {
        let Question { request, caller, at, .. } = self;
        let engine = &exchange.settings().engine;
        let facts = Box::pin(facts::fetch_facts(exchange, &request, &caller)).await?;
        let index = exchange.runtime.moderation.read()?;
        let data = RuntimeData { moderation: index.entries(), facts: &facts };
        let steps = has_rules.then(|| engine.explain(&request, &caller, data, at));
        let decided = engine.decide(request, caller, data, at);
        let check = CommandCheck::run(engine, &decided, &index, &facts);
        Ok(AnsweredQuestion { decided, check, steps })
    }
}

/// A question with its decision.
pub(super) struct AnsweredQuestion {
    pub(super) decided: DecidedRequest,
    check: CommandCheck,
    /// The steps of the policy, if the answer has the result of each rule.
    steps: Option<Vec<Explanation>>,
}

impl AnsweredQuestion {
    /// Returns whether the request is allowed.
    pub(super) fn is_allowed(&self) -> bool {
        self.decided.outcome.is_ok() && self.check.is_allowed()
    }

    /// Returns the reason of a denial that the user may know: a sentence.
    pub(super) fn public_message(&self) -> Option<Cow<'_, str>> {
        match &self.decided.outcome {
            Ok(_) => self.check.lines().into_iter().next().map(Cow::Owned),
            Err(denial) => Some(Cow::Owned(denial.public_message())),
        }
    }

    /// Returns the decision with its reasons as an object. An entry outside `place` has no author and no reason.
    pub(super) fn json(&self, place: &Pattern) -> Value {
        let AnsweredQuestion { decided, check, steps } = self;
        let denial = decided.outcome.as_ref().err();
        let mut json = match steps {
            Some(steps) => check.json(decided, steps),
            None => json!({
                "allowed": self.is_allowed(),
                "app": &*decided.request.app,
                "action": decided.request.action.as_str(),
                "conversation": decided.request.conversation.as_ref().map(Pattern::to_string),
                "at": decided.at.to_string(),
            }),
        };
        let failures = check.failures("say");
        json["code"] = denial.map_or_else(|| failures[0]["say"].clone(), |denial| denial.code().into());
        json["words"] = denial.map_or(failures, |denial| json!([words(denial, place)]));
        // The token of the caller is not known here, and its claims and roles can change the decision.
        json["token_unknown"] = true.into();
        json
    }
}

/// The program that asked a question: a service, or the server of a vendor.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) authenticator: Option<&'a str>,
    pub(super) caller: AuditCaller<'a>,
}

/// Returns the record of a question, as if the answer was yes.
fn question_record<'a>(
    exchange: &'a RequestContext,
    asker: Asker<'a>,
    caller: &'a Caller,
    request: &'a SigningRequest,
) -> AuditRecord<'a> {
    AuditRecord {
        authenticator: asker.authenticator,
        caller: Some(asker.caller),
        action: Some(Action::Decide.as_str()),
        question: Some(request.action.as_str()),
        about: Some(caller.into()),
        ..record::request_record(exchange, exchange.settings().engine.app(&request.app), caller, request)
    }
}

/// Decides a question, and records the answer or that there is none.
pub(super) async fn decide_and_record(
    exchange: &RequestContext,
    asker: Asker<'_>,
    question: Question<'_>,
) -> Result<AnsweredQuestion, ApiError> {
    let answered = decide_or_record(exchange, asker, question).await?;
    record_answer(exchange, asker, &answered).await?;
    Ok(answered)
}

/// Decides a question. Records only that there is no answer.
pub(super) async fn decide_or_record(
    exchange: &RequestContext,
    asker: Asker<'_>,
    question: Question<'_>,
) -> Result<AnsweredQuestion, ApiError> {
    let (app, request, caller) = (question.app, question.request.clone(), question.caller.clone());
    match question.decide(exchange, false).await {
        Ok(answered) => Ok(answered),
        Err(undecided) => {
            let record = question_record(exchange, asker, &caller, &request);
            Err(record::record_undecided(exchange, Some(app), &request, &record, undecided).await)
        }
    }
}

/// Records and counts a decision that the asker gets.
pub(super) async fn record_answer(
    exchange: &RequestContext,
    asker: Asker<'_>,
    answered: &AnsweredQuestion,
) -> Result<(), ApiError> {
    let AnsweredQuestion { decided, check, .. } = answered;
    let app = exchange.settings().engine.app(&decided.request.app);
    let record = question_record(exchange, asker, &decided.caller, &decided.request);
    let reason = match &decided.outcome {
        Ok(_) => check.lines().join("; "),
        Err(denial) => denial.log_message(),
    };
    let (record, counted) = match &decided.outcome {
        Ok(permit) if check.is_allowed() => (
            AuditRecord { rules: permit.rules(), granted: permit.granted(), ..record },
            CountedDecision::allowed(Action::Decide, AuditDecision::Allow, permit.rules()),
        ),
        Ok(_) => (
            AuditRecord { decision: AuditDecision::Deny, reason: Some(&reason), ..record },
            CountedDecision::rejected(Action::Decide, "none"),
        ),
        Err(denial) => {
            let denied = record::with_denial(denial, &record);
            let (action, question) = (record.action, denied.action);
            let grants = &*decided.request.requested_grants;
            (
                AuditRecord { action, question, reason: Some(&reason), asked: grants, ..denied },
                CountedDecision::denied(Action::Decide, denial.reason.clone()),
            )
        }
    };
    record::record_decision(exchange, app, &record, counted).await
}

fn missing(field: &str, example: &str) -> InvalidRequest {
    InvalidRequest::new(field, format!("must be given, for example {field}={example}"))
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
