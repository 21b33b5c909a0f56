//! Explains a decision about a user, with the entries, the facts and the settings that the server has.

use hyper::Request;
use hyper::body::Incoming;

use super::authenticated::AuthenticatedRequest;
use super::fields::{RequestFields, parse_time};
use super::read::{self, ReadRequest};
use crate::model::{Action, Pattern};
use crate::server::http::error::ApiError;
use crate::server::http::question::{Question, QuestionFields};
use crate::server::http::render;
use crate::server::http::response_body::HttpResponse;

/// The parameters in the query, beside those of the question.
const FURTHER_PARAMETERS: [&str; 2] = ["at", "client_id"];

/// Answers a request for an explanation. Who may read the entries of the conversation gets the decision in codes. Who may
/// also read decisions gets the result of each rule.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let known = [&QuestionFields::NAMES[..], &FURTHER_PARAMETERS].concat();
    let params = read::query(request, &known)?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let question = match read_question(visit, fields) {
        Ok(question) => question,
        Err(mistake) => {
            // The description of a mistake can contain names in the configuration.
            let place = fields.params.conversation.as_deref().and_then(|text| Pattern::parse(text).ok());
            ReadRequest::new(visit, fields, place)?.authorize(visit).await?;
            return Err(mistake);
        }
    };
    let place = question.place();
    let reader = ReadRequest::new(visit, fields, place.clone())?;
    reader.authorize(visit).await?;
    let has_rules = reader.authorize_further(visit, Action::ReadDecisions).await?;
    let exchange = visit.exchange;
    let decision = question.decide(exchange, has_rules).await.map_err(|undecided| undecided.failure)?;
    let json = decision.json(&place.unwrap_or(Pattern::Everything));
    Ok(render::success("application/json", json.to_string()))
}

fn read_question<'a>(visit: &AuthenticatedRequest<'a>, fields: RequestFields<'_>) -> Result<Question<'a>, ApiError> {
    let at = fields.params.at.as_deref().map_or(Ok(visit.exchange.now), |text| parse_time("at", text))?;
    Ok(Question::read(visit.exchange, &QuestionFields::from_query(fields.params)?, at)?)
}
