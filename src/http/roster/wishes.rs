//! What a request wishes for.

use hyper::Method;

use super::fields::{self, Fields, invalid};
use super::resource::Resource;
use crate::model::{Caller, Millis, Pattern};
use crate::roster::{CommandKind, EntryKind, ModerationCommand, ModerationIndex};
use crate::vendor::InvalidRequest;

/// Reads what is to be done, to whom and where.
pub(super) fn read(
    resource: &Resource,
    method: &Method,
    fields: Fields<'_>,
    caller: &Caller,
    kept: &ModerationIndex,
    now: Millis,
) -> Result<ModerationCommand, InvalidRequest> {
    fields.params.only(known(resource))?;
    let client = fields.client(caller)?;
    let deed = deed(resource, method, fields, now)?;
    let (users, scope) = match (&deed, resource) {
        (CommandKind::Block | CommandKind::LiftBlock, _) => (vec![itself(&client)?], fields.needed_place()?),
        (_, Resource::Conversation(id)) => {
            let conversation = fields::conversation(id)?;
            (vec![conversation.to_string()], conversation)
        }
        (CommandKind::SetRole(_) | CommandKind::RemoveRole(_), _) => (fields.users()?, fields.needed_place()?),
        _ => (fields.users()?, fields.place()?.unwrap_or(Pattern::Everything)),
    };
    let app = fields.app_of(&deed, kept)?;
    Ok(ModerationCommand { deed, users, scope, app, client })
}

/// The names that mean something.
fn known(resource: &Resource) -> &'static [&'static str] {
    match resource {
        Resource::Entries(EntryKind::Bans | EntryKind::Mutes) => {
            &["users", "conversation", "app", "until", "reason", "client_id"]
        }
        Resource::Lifting(EntryKind::Bans | EntryKind::Mutes) => &["users", "conversation", "app", "client_id"],
        Resource::Entries(EntryKind::Roles) | Resource::Lifting(EntryKind::Roles) => {
            &["users", "conversation", "app", "role", "client_id"]
        }
        Resource::Conversation(_) => &["kind", "owner", "app", "client_id"],
        _ => &["conversation", "app", "client_id"],
    }
}

fn deed(resource: &Resource, method: &Method, fields: Fields<'_>, now: Millis) -> Result<CommandKind, InvalidRequest> {
    Ok(match resource {
        Resource::Entries(EntryKind::Bans) => CommandKind::Ban(fields.terms(now)?),
        Resource::Entries(EntryKind::Mutes) => CommandKind::Mute(fields.terms(now)?),
        Resource::Entries(EntryKind::Roles) => CommandKind::SetRole(fields.role()?),
        Resource::Entries(_) => CommandKind::Block,
        Resource::Lifting(EntryKind::Bans) => CommandKind::LiftBan,
        Resource::Lifting(EntryKind::Mutes) => CommandKind::LiftMute,
        Resource::Lifting(EntryKind::Roles) => CommandKind::RemoveRole(fields.former_role()?),
        Resource::Lifting(_) => CommandKind::LiftBlock,
        Resource::Conversation(_) if method == Method::PUT => {
            CommandKind::SetConversation { kind: fields.kind()?, owner: fields.owner()? }
        }
        _ => CommandKind::ForgetConversation,
    })
}

/// The client, whom a block is about.
fn itself(client: &str) -> Result<String, InvalidRequest> {
    if client.is_empty() {
        return Err(invalid("client_id", "must be given: a service must name the client, whose block it is"));
    }
    Ok(client.to_owned())
}
