//! What there is below `/v1/roster/`.

use crate::crypto::percent_decoded;
use crate::http::{Code, Failure};
use crate::roster::EntryKind;

/// Something below `/v1/roster/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Resource {
    /// Entries of a table: to be listed, and made.
    Entries(EntryKind),
    /// Where entries of a table are taken back.
    Lifting(EntryKind),
    /// A conversation, by its id.
    Conversation(String),
    /// What happens, as it does.
    Events,
    /// What is carried out at vendors and told to webhooks.
    Enforcements,
}

impl Resource {
    /// What is at this path.
    ///
    /// # Errors
    /// If there is nothing, or a conversation's id is not well encoded.
    pub(in crate::http) fn at(below: &str) -> Result<Resource, Failure> {
        Ok(match below {
            "bans" => Resource::Entries(EntryKind::Bans),
            "mutes" => Resource::Entries(EntryKind::Mutes),
            "roles" => Resource::Entries(EntryKind::Roles),
            "blocks" => Resource::Entries(EntryKind::Blocks),
            "bans/lift" => Resource::Lifting(EntryKind::Bans),
            "mutes/lift" => Resource::Lifting(EntryKind::Mutes),
            "roles/remove" => Resource::Lifting(EntryKind::Roles),
            "blocks/lift" => Resource::Lifting(EntryKind::Blocks),
            "events" => Resource::Events,
            "enforcements" => Resource::Enforcements,
            _ => Resource::Conversation(conversation(below)?),
        })
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Resource::Entries(_) => "GET, POST",
            Resource::Lifting(_) => "POST",
            Resource::Conversation(_) => "GET, PUT, DELETE",
            Resource::Events | Resource::Enforcements => "GET",
        }
    }

    /// What is answered, if all is well.
    pub(super) fn media(&self) -> &'static str {
        if *self == Resource::Events { "text/event-stream" } else { "application/json" }
    }

    /// Its path, whatever the conversation.
    pub(in crate::http) fn template(&self) -> &'static str {
        match self {
            Resource::Entries(EntryKind::Bans) => "/v1/roster/bans",
            Resource::Entries(EntryKind::Mutes) => "/v1/roster/mutes",
            Resource::Entries(EntryKind::Roles) => "/v1/roster/roles",
            Resource::Entries(EntryKind::Blocks) => "/v1/roster/blocks",
            Resource::Lifting(EntryKind::Bans) => "/v1/roster/bans/lift",
            Resource::Lifting(EntryKind::Mutes) => "/v1/roster/mutes/lift",
            Resource::Lifting(EntryKind::Roles) => "/v1/roster/roles/remove",
            Resource::Lifting(EntryKind::Blocks) => "/v1/roster/blocks/lift",
            Resource::Entries(EntryKind::Conversations) | Resource::Lifting(EntryKind::Conversations) => {
                "/v1/roster/conversations"
            }
            Resource::Conversation(_) => "/v1/roster/conversations/{id}",
            Resource::Events => "/v1/roster/events",
            Resource::Enforcements => "/v1/roster/enforcements",
        }
    }
}

/// The conversation's id in a path: one segment, percent-encoded.
fn conversation(below: &str) -> Result<String, Failure> {
    let segment = below.strip_prefix("conversations/").filter(|id| !id.is_empty() && !id.contains('/'));
    let segment = segment.ok_or_else(nowhere)?;
    let undecodable = || {
        Failure::plain(
            Code::Malformed,
            "The conversation's id in the path is not well encoded: after a % belong two hex digits, and all must be UTF-8.",
        )
    };
    percent_decoded(segment).ok_or_else(undecodable)
}

fn nowhere() -> Failure {
    let detail = "There is nothing at this path. The roster has: bans, bans/lift, mutes, mutes/lift, roles, roles/remove, blocks, \
                  blocks/lift, conversations/{id}, events, enforcements.";
    Failure::plain(Code::NotFound, detail)
}
