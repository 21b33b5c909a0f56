//! From an authenticated request to its signature or token: the steps of `/v1/{app}/{operation}`, in order.

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::params::Encoding;
use super::{Answer, Code, Exchange, Failure, accept, body, guard, params, record, render};
use crate::engine::Refused;
use crate::model::Caller;
use crate::random;
use crate::vendor::{self, App, Operation, Params, Signed};

/// Where a request leads and what may go that way.
pub(super) struct Route<'a> {
    pub(super) app: &'a App,
    pub(super) operation: Operation,
    /// Whether GET is answered, too.
    pub(super) gettable: bool,
    /// Whether the body may be a form.
    pub(super) takes_forms: bool,
    /// The forms of the answer, by the media type for which the caller asks.
    pub(super) forms: &'static [(&'static str, Form)],
}

/// What a good answer's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All that was signed, as JSON.
    Json,
    /// The bare token.
    Text,
    /// The bare token, by its own media type.
    Jwt,
}

/// Answers a request for a signature or token.
pub(super) async fn operation(
    exchange: &Exchange<'_>,
    route: &Route<'_>,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let (head, mut body) = request.into_parts();
    let head = Request::from_parts(head, ());
    let result = sign(exchange, route, &head, &mut body).await;
    if result.is_err() {
        body::drain(body);
    }
    result
}

/// Nothing of the body is read before the caller is known.
async fn sign(
    exchange: &Exchange<'_>,
    route: &Route<'_>,
    head: &Request<()>,
    body: &mut Incoming,
) -> Result<Answer, Failure> {
    let is_query = method(route, head.method())?;
    guard::demonstration(exchange, head)?;
    guard::one_host(head)?;
    let caller = authenticate(exchange, route, head).await?;
    let form = accept::choose(head.headers(), route.forms).ok_or_else(|| not_acceptable(route))?;
    let params = if is_query {
        params::from_query(head.uri().query())?
    } else {
        read(exchange, route, params::encoding(head.headers(), route.takes_forms)?, body).await?
    };
    let signed = decide(exchange, route, &params, &caller).await?;
    Ok(render(&signed, form))
}

/// Whether the parameters are in the query.
fn method(route: &Route<'_>, method: &Method) -> Result<bool, Failure> {
    match *method {
        Method::POST => Ok(false),
        Method::GET if route.gettable => Ok(true),
        _ => {
            let allow = if route.gettable { "GET, POST" } else { "POST" };
            let detail = format!("This path takes other methods: {allow}.");
            Err(Failure { allow: Some(allow), ..Failure::plain(Code::MethodNotAllowed, detail) })
        }
    }
}

async fn authenticate(exchange: &Exchange<'_>, route: &Route<'_>, head: &Request<()>) -> Result<Caller, Failure> {
    let authenticators = &exchange.settings.engine.authenticators;
    match authenticators.identify(head.headers(), route.app.name(), exchange.now) {
        Ok(caller) => Ok(caller),
        Err(refusal) => {
            record::refusal(exchange, route.app, &refusal).await?;
            Err(Failure::from(&refusal))
        }
    }
}

fn not_acceptable(route: &Route<'_>) -> Failure {
    let types: Vec<_> = route.forms.iter().map(|(media, _)| *media).collect();
    Failure::plain(Code::NotAcceptable, format!("Accept leaves nothing that can be answered: {}.", types.join(", ")))
}

async fn read(
    exchange: &Exchange<'_>,
    route: &Route<'_>,
    encoding: Option<Encoding>,
    body: &mut Incoming,
) -> Result<Params, Failure> {
    let server = &exchange.settings.server;
    let bytes = body::read(body, server.body_limit, server.request_timeout).await?;
    params::from_body(&bytes, encoding, route.takes_forms)
}

/// Understands, decides, signs and records.
async fn decide(
    exchange: &Exchange<'_>,
    route: &Route<'_>,
    params: &Params,
    caller: &Caller,
) -> Result<Signed, Failure> {
    let request = vendor::parse(route.app, route.operation, params, Some(caller))?;
    let entropy = random::bytes().map_err(|error| Failure::internal(error.to_string()))?;
    let verdict = exchange.settings.engine.answer(route.app, request, caller, exchange.now, entropy);
    record::verdict(exchange, route.app, caller, &verdict).await?;
    verdict.outcome.map_err(|refused| match refused {
        Refused::Denied(denial) => Failure::from(&*denial),
        Refused::Invalid(invalid) => Failure::from(invalid),
    })
}

fn render(signed: &Signed, form: Form) -> Answer {
    match (form, signed.token()) {
        (Form::Text, Some(token)) => render::success("text/plain; charset=utf-8", token.to_owned()),
        (Form::Jwt, Some(token)) => render::success("application/jwt", token.to_owned()),
        _ => render::success("application/json", signed.to_json()),
    }
}
