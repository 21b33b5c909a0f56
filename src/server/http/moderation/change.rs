//! Requests that change moderation entries: from the request to the result for each user.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};
use serde::Serialize;

use super::audit::RequestedChange;
use super::authenticated::{AuthenticatedRequest, FactsByApp};
use super::fields::RequestFields;
use super::read;
use super::resource::ModerationResource;
use super::wishes;
use crate::model::{Caller, SigningRequest};
use crate::moderation::{CommandAuthorizer, CommandOutcome, ModerationCommand, RejectReason};
use crate::server::http::{ApiError, HttpResponse, OwnedRequestContext, render, sign};
use crate::server::limits::AdmissionPermit;
use crate::vendor::Params;

/// Answers a request for a change.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    resource: &ModerationResource,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    let exchange = visit.exchange;
    let (params, place) = read_parameters(visit, request, place).await?;
    let fields = RequestFields { params: &params, settings: exchange.settings };
    let wish = {
        let kept = exchange.runtime.moderation.read_any_age();
        wishes::parse_command(resource, request.method(), fields, &visit.caller, &kept, exchange.now)?
    };
    visit.check_authenticator(wish.app.as_ref()).await?;
    if exchange.runtime.moderation.store().is_none() {
        return Err(ApiError::no_store());
    }
    let asks: Vec<SigningRequest> = wish.apps(&exchange.settings.engine).map(|app| wish.policy_request(app)).collect();
    let told = visit.fetch_facts(wish.app.as_ref(), &asks, Some(&wish.kind)).await?;
    // The change runs in a task, so that it is completed and recorded even if the caller disconnects.
    let (lasting, caller) = (exchange.to_owned_context(), Arc::clone(&visit.caller));
    let making = tokio::spawn(async move {
        let made = carry_out_and_record(&lasting, &caller, &wish, &told, &asks).await;
        drop(place);
        made
    });
    making.await.unwrap_or_else(|_| Err(ApiError::internal("a panic; the log shows its location")))
}

/// Returns the parameters: from the query for `DELETE`, which has no body, otherwise from the body.
async fn read_parameters(
    visit: &AuthenticatedRequest<'_>,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<(Params, AdmissionPermit), ApiError> {
    if request.method() == Method::DELETE {
        return Ok((read::query(request, &["app", "client_id"])?, place));
    }
    read::check_no_query(request)?;
    sign::read_body_params(visit.exchange, false, request, place).await
}

/// Makes the change and records it. Nothing is changed if the audit log is known to be unwritable.
async fn carry_out_and_record(
    lasting: &OwnedRequestContext,
    caller: &Arc<Caller>,
    command: &ModerationCommand,
    told: &FactsByApp,
    requests: &[SigningRequest],
) -> Result<HttpResponse, ApiError> {
    let exchange = &lasting.as_context();
    let visit = AuthenticatedRequest { exchange, caller: Arc::clone(caller) };
    exchange.runtime.audit.health()?;
    let authorizer = CommandAuthorizer { engine: &exchange.settings.engine, caller, facts: told, now: exchange.now };
    let outcome =
        match exchange.runtime.moderation.carry_out(&authorizer, command, &exchange.runtime.change_subscribers()).await
        {
            Ok(ruling) => ruling,
            Err(not_changed) => {
                let reason = not_changed.to_string();
                return Err(visit
                    .record_undecided(command.app.as_ref(), requests, Some(&command.kind), &reason, not_changed.into())
                    .await);
            }
        };
    let Some(ask) = requests.first() else { return Err(ApiError::internal("there is no app")) };
    let asked =
        RequestedChange { exchange, app: visit.app(command.app.as_ref()), caller, ask, command_kind: &command.kind };
    exchange.runtime.audit.write(&asked.lines(&outcome)?).await?;
    asked.count(&outcome);
    render_outcome(command, &outcome)
}

/// Returns the answer: the users for which the command succeeded and those for which it failed. The answer is a problem
/// if the command failed for all users and the reason does not depend on the single user.
fn render_outcome(wish: &ModerationCommand, ruling: &CommandOutcome) -> Result<HttpResponse, ApiError> {
    #[derive(Serialize)]
    struct CommandResponse<'a> {
        succeeded: &'a [String],
        failed: Vec<FailedUser<'a>>,
    }
    #[derive(Serialize)]
    struct FailedUser<'a> {
        user: &'a str,
        code: &'static str,
        reason: String,
    }
    let denied = |why: &RejectReason| matches!(why, RejectReason::Denied(_)) || !wish.kind.has_targets();
    if let Some(first) = ruling.failed.first()
        && ruling.succeeded.is_empty()
        && ruling.failed.iter().all(|failed| denied(&failed.reason))
    {
        return Err(ApiError::from(&first.reason));
    }
    let failed = ruling.failed.iter();
    let failed =
        failed.map(|one| FailedUser { user: &one.user, code: one.reason.code(), reason: one.reason.public_message() });
    let told = CommandResponse { succeeded: &ruling.succeeded, failed: failed.collect() };
    Ok(render::success("application/json", serde_json::to_vec(&told).unwrap_or_default()))
}
