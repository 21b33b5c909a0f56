//! What a request wishes for.

use hyper::Method;

use super::fields::{self, Fields, invalid};
use super::resource::Resource;
use crate::model::{Caller, Millis, Pattern};
use crate::roster::{Deed, Index, Table, Wish};
use crate::vendor::Invalid;

/// Reads what is to be done, to whom and where.
pub(super) fn read(
    resource: &Resource,
    method: &Method,
    fields: Fields<'_>,
    caller: &Caller,
    kept: &Index,
    now: Millis,
) -> Result<Wish, Invalid> {
    fields.params.only(known(resource))?;
    let client = fields.client(caller)?;
    let deed = deed(resource, method, fields, now)?;
    let (users, scope) = match (&deed, resource) {
        (Deed::Block | Deed::LiftBlock, _) => (vec![itself(&client)?], fields.needed_place()?),
        (_, Resource::Conversation(id)) => {
            let conversation = fields::conversation(id)?;
            (vec![conversation.to_string()], conversation)
        }
        (Deed::SetRole(_) | Deed::RemoveRole(_), _) => (fields.users()?, fields.needed_place()?),
        _ => (fields.users()?, fields.place()?.unwrap_or(Pattern::Everything)),
    };
    let app = fields.app_of(&deed, kept)?;
    Ok(Wish { deed, users, scope, app, client })
}

/// The names that mean something.
fn known(resource: &Resource) -> &'static [&'static str] {
    match resource {
        Resource::Entries(Table::Bans | Table::Mutes) => {
            &["users", "conversation", "app", "until", "reason", "client_id"]
        }
        Resource::Lifting(Table::Bans | Table::Mutes) => &["users", "conversation", "app", "client_id"],
        Resource::Entries(Table::Roles) | Resource::Lifting(Table::Roles) => {
            &["users", "conversation", "app", "role", "client_id"]
        }
        Resource::Conversation(_) => &["kind", "owner", "app", "client_id"],
        _ => &["conversation", "app", "client_id"],
    }
}

fn deed(resource: &Resource, method: &Method, fields: Fields<'_>, now: Millis) -> Result<Deed, Invalid> {
    Ok(match resource {
        Resource::Entries(Table::Bans) => Deed::Ban(fields.terms(now)?),
        Resource::Entries(Table::Mutes) => Deed::Mute(fields.terms(now)?),
        Resource::Entries(Table::Roles) => Deed::SetRole(fields.role()?),
        Resource::Entries(_) => Deed::Block,
        Resource::Lifting(Table::Bans) => Deed::LiftBan,
        Resource::Lifting(Table::Mutes) => Deed::LiftMute,
        Resource::Lifting(Table::Roles) => Deed::RemoveRole(fields.former_role()?),
        Resource::Lifting(_) => Deed::LiftBlock,
        Resource::Conversation(_) if method == Method::PUT => {
            Deed::SetConversation { kind: fields.kind()?, owner: fields.owner()? }
        }
        _ => Deed::ForgetConversation,
    })
}

/// The client, whom a block is about.
fn itself(client: &str) -> Result<String, Invalid> {
    if client.is_empty() {
        return Err(invalid("client_id", "must be given: a service must name the client, whose block it is"));
    }
    Ok(client.to_owned())
}
