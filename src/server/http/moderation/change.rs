//! Requests that change moderation entries: from the request to the result for each user.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::audit::RequestedChange;
use super::authenticated::{AuthenticatedRequest, FactsByApp};
use super::fields::{self, RequestFields, invalid_field};
use super::read;
use crate::model::{Caller, Millis, Pattern, SigningRequest};
use crate::moderation::api::{CommandReply, FailedTarget, ModerationParameters, ModerationResource};
use crate::moderation::{
    CommandAuthorizer, CommandKind, CommandOutcome, CommandRequest, EntryKind, EntryRecord, ModerationCommand,
    ModerationIndex, RejectReason, RejectedUser,
};
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{render, sign};
use crate::server::limits::AdmissionPermit;
use crate::vendor::InvalidRequest;

/// Answers a request for a change.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    resource: &ModerationResource,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    let exchange = visit.exchange;
    let (params, place) = read_parameters(visit, resource, request, place).await?;
    let fields = RequestFields { params: &params, settings: exchange.settings() };
    let command = {
        let kept = exchange.runtime.moderation.read_any_age();
        parse_command(resource, request.method(), fields, &visit.caller, &kept, exchange.now)?
    };
    visit.check_authenticator(command.app.as_ref()).await?;
    if exchange.runtime.moderation.store().is_none() {
        return Err(ApiError::no_store());
    }
    let asks: Vec<SigningRequest> =
        command.apps(&exchange.settings().engine).map(|app| command.policy_request(app)).collect();
    let told = visit.fetch_facts(command.app.as_ref(), &asks, Some(&command.kind)).await?;
    // The change runs in a task, so that it is completed and recorded even if the caller disconnects.
    let (context, caller) = (exchange.clone(), Arc::clone(&visit.caller));
    let making = tokio::spawn(async move {
        let made = carry_out_and_record(&context, &caller, &command, params.seen, (&told, &asks)).await;
        drop(place);
        made
    });
    making.await.unwrap_or_else(|_| Err(ApiError::internal("a panic; the log shows its location")))
}

/// Returns the parameters: from the query for `DELETE`, which has no body, otherwise from the body.
async fn read_parameters(
    visit: &AuthenticatedRequest<'_>,
    resource: &ModerationResource,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<(ModerationParameters, AdmissionPermit), ApiError> {
    if request.method() == Method::DELETE {
        return Ok((read::query(request, &["app", "client_id"])?, place));
    }
    read::check_no_query(request)?;
    let (params, place) = sign::read_body_params(visit.exchange, false, request, place).await?;
    params.reject_unknown(accepted_parameters(resource))?;
    Ok((ModerationParameters::read(&params)?, place))
}

/// Reads the command: what to do, for which users or conversation, and where.
pub(super) fn parse_command(
    resource: &ModerationResource,
    method: &Method,
    fields: RequestFields<'_>,
    caller: &Caller,
    kept: &ModerationIndex,
    now: Millis,
) -> Result<ModerationCommand, InvalidRequest> {
    let client = fields.client(caller)?;
    let deed = command_kind(resource, method, fields, now)?;
    let (users, scope) = match (&deed, resource) {
        (CommandKind::Block | CommandKind::LiftBlock, _) => (vec![required_client(&client)?], fields.required_scope()?),
        (_, ModerationResource::Conversation(id)) => {
            let conversation = fields::parse_conversation(id)?;
            (vec![conversation.to_string()], conversation)
        }
        (CommandKind::SetRole(_) | CommandKind::RemoveRole(_), _) => (fields.users()?, fields.required_scope()?),
        _ => (fields.users()?, fields.scope()?.unwrap_or(Pattern::Everything)),
    };
    let app = fields.app_for_command(&deed, kept)?;
    let own_only = fields.params.own.unwrap_or_default();
    Ok(ModerationCommand { kind: deed, users, scope, app, client, own_only })
}

/// Returns the parameters that a resource accepts.
pub(super) fn accepted_parameters(resource: &ModerationResource) -> &'static [&'static str] {
    match resource {
        ModerationResource::Entries(EntryKind::Bans | EntryKind::Mutes) => {
            &["users", "conversation", "app", "until", "reason", "seen", "client_id"]
        }
        ModerationResource::Removal(EntryKind::Bans | EntryKind::Mutes) => {
            &["users", "conversation", "app", "own", "seen", "client_id"]
        }
        ModerationResource::Entries(EntryKind::Roles) => &["users", "conversation", "app", "role", "seen", "client_id"],
        ModerationResource::Removal(EntryKind::Roles) => {
            &["users", "conversation", "app", "role", "own", "seen", "client_id"]
        }
        ModerationResource::Conversation(_) => &["kind", "owner", "app", "client_id"],
        _ => &["conversation", "app", "client_id"],
    }
}

fn command_kind(
    resource: &ModerationResource,
    method: &Method,
    fields: RequestFields<'_>,
    now: Millis,
) -> Result<CommandKind, InvalidRequest> {
    Ok(match resource {
        ModerationResource::Entries(EntryKind::Bans) => CommandKind::Ban(fields.sanction_terms(now)?),
        ModerationResource::Entries(EntryKind::Mutes) => CommandKind::Mute(fields.sanction_terms(now)?),
        ModerationResource::Entries(EntryKind::Roles) => CommandKind::SetRole(fields.role()?),
        ModerationResource::Entries(_) => CommandKind::Block,
        ModerationResource::Removal(EntryKind::Bans) => CommandKind::LiftBan,
        ModerationResource::Removal(EntryKind::Mutes) => CommandKind::LiftMute,
        ModerationResource::Removal(EntryKind::Roles) => CommandKind::RemoveRole(fields.role_to_remove()?),
        ModerationResource::Removal(_) => CommandKind::LiftBlock,
        ModerationResource::Conversation(_) if method == Method::PUT => {
            CommandKind::SetConversation { kind: fields.kind()?, owner: fields.owner()? }
        }
        _ => CommandKind::ForgetConversation,
    })
}

/// Returns the client, which is the user of a block.
fn required_client(client: &str) -> Result<String, InvalidRequest> {
    if client.is_empty() {
        return Err(invalid_field(
            "client_id",
            "must be given: a service must name the client that sets or lifts the block",
        ));
    }
    Ok(client.to_owned())
}

/// Makes the change and records it. Nothing is changed if the audit log is known to be unwritable.
async fn carry_out_and_record(
    exchange: &RequestContext,
    caller: &Arc<Caller>,
    command: &ModerationCommand,
    seen: Option<u64>,
    (told, requests): (&FactsByApp, &[SigningRequest]),
) -> Result<HttpResponse, ApiError> {
    let visit = AuthenticatedRequest { exchange, caller: Arc::clone(caller) };
    exchange.runtime.audit.health()?;
    let authorizer = CommandAuthorizer { engine: &exchange.settings().engine, caller, facts: told, now: exchange.now };
    let subscribers = exchange.runtime.change_subscribers();
    let request = CommandRequest { seen, id: Some(exchange.id.as_str()) };
    let outcome = match exchange.runtime.moderation.carry_out(&authorizer, command, &subscribers, request).await {
        Ok(ruling) => ruling,
        Err(not_changed) => {
            let (app, kind) = (command.app.as_ref(), Some(&command.kind));
            return Err(visit.record_undecided(app, requests, kind, not_changed.into()).await);
        }
    };
    let Some(signing_request) = requests.first() else { return Err(ApiError::internal("there is no app")) };
    let asked = RequestedChange {
        exchange,
        app: visit.app(command.app.as_ref()),
        caller,
        signing_request,
        command_kind: &command.kind,
        own_only: command.own_only,
        is_preview: false,
    };
    exchange.runtime.audit.write(&asked.lines(&outcome)?).await?;
    asked.count(&outcome);
    render_outcome(command, &outcome)
}

/// Returns the answer: the users for which the command succeeded and those for which it failed. The answer is a problem
/// if the command failed for all users and the reason does not depend on the single user.
fn render_outcome(command: &ModerationCommand, ruling: &CommandOutcome) -> Result<HttpResponse, ApiError> {
    let denied = |why: &RejectReason| matches!(why, RejectReason::Denied(_)) || !command.kind.has_targets();
    if let Some(first) = ruling.failed.first()
        && ruling.succeeded.is_empty()
        && ruling.failed.iter().all(|failed| denied(&failed.reason))
    {
        return Err(ApiError::from(&first.reason));
    }
    Ok(render::json(&CommandReply {
        succeeded: ruling.succeeded.clone(),
        failed: failed_targets(ruling),
        unchanged: ruling.unchanged.clone(),
        change: ruling.change,
        gone: ruling.deleted.iter().map(|record| EntryRecord::from(record).for_list()).collect(),
    }))
}

/// Returns the users for which the command failed, with the reasons.
pub(super) fn failed_targets(outcome: &CommandOutcome) -> Vec<FailedTarget> {
    let failed = outcome.failed.iter().map(|RejectedUser { user, reason }| {
        let (user, code) = (user.clone(), reason.code().to_owned());
        FailedTarget { user, code, reason: reason.public_message() }
    });
    failed.collect()
}
