//! What there is below `/v1/moderation/`.

use crate::crypto::percent_decoded;
use crate::http::{ApiError, ErrorCode};
use crate::moderation::EntryKind;

/// Something below `/v1/moderation/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum ModerationResource {
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

impl ModerationResource {
    /// What is at this path.
    ///
    /// # Errors
    /// If there is nothing, or a conversation's id is not well encoded.
    pub(in crate::http) fn at(below: &str) -> Result<ModerationResource, ApiError> {
        Ok(match below {
            "bans" => ModerationResource::Entries(EntryKind::Bans),
            "mutes" => ModerationResource::Entries(EntryKind::Mutes),
            "roles" => ModerationResource::Entries(EntryKind::Roles),
            "blocks" => ModerationResource::Entries(EntryKind::Blocks),
            "bans/lift" => ModerationResource::Lifting(EntryKind::Bans),
            "mutes/lift" => ModerationResource::Lifting(EntryKind::Mutes),
            "roles/remove" => ModerationResource::Lifting(EntryKind::Roles),
            "blocks/lift" => ModerationResource::Lifting(EntryKind::Blocks),
            "events" => ModerationResource::Events,
            "enforcements" => ModerationResource::Enforcements,
            _ => ModerationResource::Conversation(conversation(below)?),
        })
    }

    /// The methods that it takes.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            ModerationResource::Entries(_) => "GET, POST",
            ModerationResource::Lifting(_) => "POST",
            ModerationResource::Conversation(_) => "GET, PUT, DELETE",
            ModerationResource::Events | ModerationResource::Enforcements => "GET",
        }
    }

    /// What is answered, if all is well.
    pub(super) fn media(&self) -> &'static str {
        if *self == ModerationResource::Events { "text/event-stream" } else { "application/json" }
    }

    /// Its path, whatever the conversation.
    pub(in crate::http) fn template(&self) -> &'static str {
        match self {
            ModerationResource::Entries(EntryKind::Bans) => "/v1/moderation/bans",
            ModerationResource::Entries(EntryKind::Mutes) => "/v1/moderation/mutes",
            ModerationResource::Entries(EntryKind::Roles) => "/v1/moderation/roles",
            ModerationResource::Entries(EntryKind::Blocks) => "/v1/moderation/blocks",
            ModerationResource::Lifting(EntryKind::Bans) => "/v1/moderation/bans/lift",
            ModerationResource::Lifting(EntryKind::Mutes) => "/v1/moderation/mutes/lift",
            ModerationResource::Lifting(EntryKind::Roles) => "/v1/moderation/roles/remove",
            ModerationResource::Lifting(EntryKind::Blocks) => "/v1/moderation/blocks/lift",
            ModerationResource::Entries(EntryKind::Conversations)
            | ModerationResource::Lifting(EntryKind::Conversations) => "/v1/moderation/conversations",
            ModerationResource::Conversation(_) => "/v1/moderation/conversations/{id}",
            ModerationResource::Events => "/v1/moderation/events",
            ModerationResource::Enforcements => "/v1/moderation/enforcements",
        }
    }
}

/// The conversation's id in a path: one segment, percent-encoded.
fn conversation(below: &str) -> Result<String, ApiError> {
    let segment = below.strip_prefix("conversations/").filter(|id| !id.is_empty() && !id.contains('/'));
    let segment = segment.ok_or_else(nowhere)?;
    let undecodable = || {
        ApiError::plain(
            ErrorCode::Malformed,
            "The conversation's id in the path is not well encoded: after a % belong two hex digits, and all must be UTF-8.",
        )
    };
    percent_decoded(segment).ok_or_else(undecodable)
}

fn nowhere() -> ApiError {
    let detail = "There is nothing at this path. Moderation has: bans, bans/lift, mutes, mutes/lift, roles, roles/remove, blocks, \
                  blocks/lift, conversations/{id}, events, enforcements.";
    ApiError::plain(ErrorCode::NotFound, detail)
}
