//! Reads the command of a request.

use hyper::Method;

use super::fields::{self, RequestFields, invalid_field};
use super::resource::ModerationResource;
use crate::model::{Caller, Millis, Pattern};
use crate::moderation::{CommandKind, EntryKind, ModerationCommand, ModerationIndex};
use crate::vendor::InvalidRequest;

/// Reads the command: what to do, for which users or conversation, and where.
pub(super) fn parse_command(
    resource: &ModerationResource,
    method: &Method,
    fields: RequestFields<'_>,
    caller: &Caller,
    kept: &ModerationIndex,
    now: Millis,
) -> Result<ModerationCommand, InvalidRequest> {
    fields.params.reject_unknown(accepted_parameters(resource))?;
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
    Ok(ModerationCommand { kind: deed, users, scope, app, client })
}

/// Returns the parameters that a resource accepts.
fn accepted_parameters(resource: &ModerationResource) -> &'static [&'static str] {
    match resource {
        ModerationResource::Entries(EntryKind::Bans | EntryKind::Mutes) => {
            &["users", "conversation", "app", "until", "reason", "client_id"]
        }
        ModerationResource::Removal(EntryKind::Bans | EntryKind::Mutes) => {
            &["users", "conversation", "app", "client_id"]
        }
        ModerationResource::Entries(EntryKind::Roles) | ModerationResource::Removal(EntryKind::Roles) => {
            &["users", "conversation", "app", "role", "client_id"]
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
