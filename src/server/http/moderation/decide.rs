//! `/v1/decide`: decisions without a signature, for the gates and hooks of backends. Only services that the policy allows
//! get them.

use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::authenticated::AuthenticatedRequest;
use super::fields::invalid_field;
use super::read::{self, ReadRequest};
use super::{check_accept, context, set_version};
use crate::model::{Action, Pattern};
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::question::{self, AnsweredQuestion, Asker, Question, QuestionFields};
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{admission, authenticate, render, sign};
use crate::server::routes::Route;
use crate::vendor::{InvalidRequest, Params};

/// The maximum number of questions in one request.
const MAX_QUESTIONS: usize = 100;

/// The time limit for all questions of a request. It is reached only if the facts arrive slowly.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

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
    let answered = decide_all(&visit, asked.questions).await?;
    for one in &answered {
        question::record_answer(exchange, asker(&visit), one).await?;
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

/// Decides questions, if the caller can ask all of them.
async fn decide_all(
    visit: &AuthenticatedRequest<'_>,
    questions: Vec<Question<'_>>,
) -> Result<Vec<AnsweredQuestion>, ApiError> {
    let all = async {
        let mut answered = Vec::with_capacity(questions.len());
        for question in questions {
            answered.push(decide(visit, question).await?);
        }
        Ok(answered)
    };
    timeout(LIST_TIMEOUT, all).await.unwrap_or_else(|_| {
        let detail = "The facts for these questions did not arrive in time. Ask fewer questions at once.";
        Err(ApiError::with_same_message(ErrorCode::Unavailable, detail))
    })
}

/// Decides a question, if the caller can ask it.
async fn decide(visit: &AuthenticatedRequest<'_>, question: Question<'_>) -> Result<AnsweredQuestion, ApiError> {
    authorize(visit, Some(question.app.name()), question.place()).await?;
    question::decide_or_record(visit.exchange, asker(visit), question).await
}

fn asker<'a>(visit: &'a AuthenticatedRequest<'_>) -> Asker<'a> {
    Asker { authenticator: Some(&visit.caller.authenticator), caller: (&*visit.caller).into() }
}

fn answer_json(answered: &AnsweredQuestion) -> Value {
    let place = answered.decided.request.conversation.as_ref().map(Pattern::home_conversation);
    let mut json = answered.json(place.as_deref().unwrap_or(&Pattern::Everything));
    if let Some(message) = answered.public_message() {
        json["message"] = message.into();
    }
    json
}
