//! `/v1/decide`: decisions without a signature, for the gates and hooks of backends. Only services that the policy allows
//! get them.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::authenticated::AuthenticatedRequest;
use super::fields::invalid_field;
use super::question::{AnsweredQuestion, Question, QuestionFields};
use super::read::{self, ReadRequest};
use super::{check_accept, context, set_version};
use crate::model::{Action, Pattern};
use crate::server::http::error::ApiError;
use crate::server::http::metrics::CountedDecision;
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{admission, authenticate, record, render, sign};
use crate::server::routes::Route;
use crate::telemetry::{AuditDecision, AuditRecord};
use crate::vendor::{InvalidRequest, Params};

/// The maximum number of questions in one request.
const MAX_QUESTIONS: usize = 100;

/// The member of a request with a list of questions.
const BATCH: &str = "requests";

/// Answers a request for one decision or for a list of decisions. Either all questions are answered or none. The answer
/// names the version of the entries that the decisions have at least.
pub(in crate::server::http) async fn answer(
    exchange: &context::RequestContext,
    route: &Route,
    request: &mut Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let place = admission::enter(exchange)?;
    admission::check_method(request, route.methods)?;
    admission::check_host(exchange, request)?;
    let caller = authenticate::authenticate(exchange, None, request).await?;
    exchange.snapshot.limits.caller(&caller)?;
    let visit = AuthenticatedRequest { exchange, caller: Arc::clone(&caller) };
    check_accept(request, "application/json")?;
    read::check_no_query(request)?;
    let (params, _place) = sign::read_body_params(exchange, false, request, place).await?;
    let asked = match read_questions(exchange, &params) {
        Ok(questions) => questions,
        Err(mistake) => {
            // The description of a mistake can contain names in the configuration.
            authorize(&visit, None, None).await?;
            return Err(mistake.into());
        }
    };
    let head = exchange.runtime.moderation.head();
    let mut answered = Vec::new();
    for question in asked.questions {
        answered.push(decide(&visit, question).await?);
    }
    for one in &answered {
        record_answer(&visit, one).await?;
    }
    let mut answers: Vec<Value> = answered.iter().map(answer_json).collect();
    let json = if asked.is_batch { json!({ "decisions": answers }) } else { answers.pop().unwrap_or_default() };
    let mut answer = render::json(&json);
    set_version(&mut answer, &head);
    Ok(answer)
}

/// The questions of a request.
struct AskedQuestions<'a> {
    questions: Vec<Question<'a>>,
    is_batch: bool,
}

fn read_questions<'a>(
    exchange: &'a context::RequestContext,
    params: &Params,
) -> Result<AskedQuestions<'a>, InvalidRequest> {
    let read = |params: &Params| Question::read(exchange, &QuestionFields::from_json(params)?, exchange.now);
    let Some(batch) = params.value(BATCH) else {
        return Ok(AskedQuestions { questions: vec![read(params)?], is_batch: false });
    };
    params.reject_unknown(&[BATCH])?;
    let batch = batch.as_array().filter(|batch| (1..=MAX_QUESTIONS).contains(&batch.len()));
    let batch =
        batch.ok_or_else(|| invalid_field(BATCH, format!("must be a list of 1 to {MAX_QUESTIONS} questions")))?;
    let read_item = |(at, item): (usize, &Value)| {
        let field = format!("{BATCH}[{at}]");
        let Value::Object(values) = item else { return Err(invalid_field(field, "must be an object")) };
        read(&Params { values: values.clone(), lenient: false })
            .map_err(|invalid| InvalidRequest { field: format!("{field}.{}", invalid.field), ..invalid })
    };
    let questions = batch.iter().enumerate().map(read_item).collect::<Result<_, _>>()?;
    Ok(AskedQuestions { questions, is_batch: true })
}

/// Checks that the caller can ask for decisions about this place of the app, or about everything.
async fn authorize(
    visit: &AuthenticatedRequest<'_>,
    app: Option<&Arc<str>>,
    place: Option<Pattern>,
) -> Result<(), ApiError> {
    let asking = ReadRequest::by_caller(&visit.caller, app, place.unwrap_or(Pattern::Everything));
    asking.permit(visit, Action::Decide).await.map(drop)
}

/// Decides a question, if the caller can ask it. A question that cannot be decided is recorded.
async fn decide(visit: &AuthenticatedRequest<'_>, question: Question<'_>) -> Result<AnsweredQuestion, ApiError> {
    let (exchange, app) = (visit.exchange, question.app);
    authorize(visit, Some(app.name()), question.place()).await?;
    let request = question.request.clone();
    match question.decide(exchange, false).await {
        Ok(answered) => Ok(answered),
        Err(undecided) => {
            let record = record::request_record(exchange, Some(app), &visit.caller, &request);
            let record = AuditRecord {
                action: Some(Action::Decide.as_str()),
                question: Some(request.action.as_str()),
                ..record
            };
            Err(record::record_undecided(exchange, Some(app), &request, &record, undecided).await)
        }
    }
}

/// Records and counts a decision that the caller gets.
async fn record_answer(visit: &AuthenticatedRequest<'_>, answered: &AnsweredQuestion) -> Result<(), ApiError> {
    let exchange = visit.exchange;
    let AnsweredQuestion { decided, check, .. } = answered;
    let app = visit.app(Some(&decided.request.app));
    let record = AuditRecord {
        question: Some(decided.request.action.as_str()),
        about: Some((&decided.caller).into()),
        ..record::request_record(exchange, app, &visit.caller, &decided.request)
    };
    let reason = match &decided.outcome {
        Ok(_) => check.lines().join("; "),
        Err(denial) => denial.log_message(),
    };
    let (record, counted) = match &decided.outcome {
        Ok(permit) if check.is_allowed() => (
            AuditRecord { rules: permit.rules(), granted: permit.granted(), ..record },
            CountedDecision::allowed(Action::Decide, AuditDecision::Allow, permit.rules().to_vec()),
        ),
        Ok(_) => (
            AuditRecord { decision: AuditDecision::Deny, reason: Some(&reason), ..record },
            CountedDecision::rejected(Action::Decide, "none"),
        ),
        Err(denial) => (
            AuditRecord {
                question: Some(denial.action.as_str()),
                reason: Some(&reason),
                asked: &decided.request.requested_grants,
                ..record::with_denial(denial, &record)
            },
            CountedDecision::denied(Action::Decide, denial.reason.clone()),
        ),
    };
    let record = AuditRecord { action: Some(Action::Decide.as_str()), ..record };
    record::record_decision(exchange, app, &record, counted).await
}

fn answer_json(answered: &AnsweredQuestion) -> Value {
    let place = answered.decided.request.conversation.as_ref().map(Pattern::home_conversation);
    let mut json = answered.json(place.as_deref().unwrap_or(&Pattern::Everything));
    if let Some(message) = answered.public_message() {
        json["message"] = message.into();
    }
    json
}
