//! The resources below `/v1/moderation/`.

use crate::crypto::percent_decode;
use crate::moderation::EntryKind;
use crate::server::http::error::{ApiError, ErrorCode};

/// A resource below `/v1/moderation/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server::http) enum ModerationResource {
    /// The entries of a table, which can be listed and created.
    Entries(EntryKind),
    /// The route that removes entries of a table.
    Removal(EntryKind),
    /// A conversation, by its id.
    Conversation(String),
    /// The stream of events.
    Events,
    /// The jobs of the outbox: enforcements at vendors and deliveries to webhooks.
    Enforcements,
}

impl ModerationResource {
    /// Returns the resource at this path below `/v1/moderation/`.
    ///
    /// # Errors
    /// Returns an error if the path leads to no resource, or if the id of a conversation is not well encoded.
    pub(in crate::server::http) fn from_path(below: &str) -> Result<ModerationResource, ApiError> {
        Ok(match below {
            "bans" => ModerationResource::Entries(EntryKind::Bans),
            "mutes" => ModerationResource::Entries(EntryKind::Mutes),
            "roles" => ModerationResource::Entries(EntryKind::Roles),
            "blocks" => ModerationResource::Entries(EntryKind::Blocks),
            "bans/lift" => ModerationResource::Removal(EntryKind::Bans),
            "mutes/lift" => ModerationResource::Removal(EntryKind::Mutes),
            "roles/remove" => ModerationResource::Removal(EntryKind::Roles),
            "blocks/lift" => ModerationResource::Removal(EntryKind::Blocks),
            "events" => ModerationResource::Events,
            "enforcements" => ModerationResource::Enforcements,
            _ => ModerationResource::Conversation(conversation_id(below)?),
        })
    }

    /// Returns the supported methods.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            ModerationResource::Entries(_) => "GET, POST",
            ModerationResource::Removal(_) => "POST",
            ModerationResource::Conversation(_) => "GET, PUT, DELETE",
            ModerationResource::Events | ModerationResource::Enforcements => "GET",
        }
    }

    /// Returns the media type of a successful answer.
    pub(super) fn media_type(&self) -> &'static str {
        if *self == ModerationResource::Events { "text/event-stream" } else { "application/json" }
    }

    /// Returns the path of the resource, with a placeholder for the id of a conversation.
    pub(in crate::server::http) fn path_template(&self) -> &'static str {
        match self {
            ModerationResource::Entries(EntryKind::Bans) => "/v1/moderation/bans",
            ModerationResource::Entries(EntryKind::Mutes) => "/v1/moderation/mutes",
            ModerationResource::Entries(EntryKind::Roles) => "/v1/moderation/roles",
            ModerationResource::Entries(EntryKind::Blocks) => "/v1/moderation/blocks",
            ModerationResource::Removal(EntryKind::Bans) => "/v1/moderation/bans/lift",
            ModerationResource::Removal(EntryKind::Mutes) => "/v1/moderation/mutes/lift",
            ModerationResource::Removal(EntryKind::Roles) => "/v1/moderation/roles/remove",
            ModerationResource::Removal(EntryKind::Blocks) => "/v1/moderation/blocks/lift",
            ModerationResource::Entries(EntryKind::Conversations)
            | ModerationResource::Removal(EntryKind::Conversations) => "/v1/moderation/conversations",
            ModerationResource::Conversation(_) => "/v1/moderation/conversations/{id}",
            ModerationResource::Events => "/v1/moderation/events",
            ModerationResource::Enforcements => "/v1/moderation/enforcements",
        }
    }
}

/// Returns the id of the conversation in a path: one segment, percent-encoded.
fn conversation_id(below: &str) -> Result<String, ApiError> {
    let segment = below.strip_prefix("conversations/").filter(|id| !id.is_empty() && !id.contains('/'));
    let segment = segment.ok_or_else(not_found)?;
    let undecodable = || {
        ApiError::with_same_message(
            ErrorCode::Malformed,
            "The conversation's id in the path is not well encoded: two hex digits must follow each %, and the text \
             must be UTF-8.",
        )
    };
    percent_decode(segment).ok_or_else(undecodable)
}

fn not_found() -> ApiError {
    let detail = "There is nothing at this path. Moderation has: bans, bans/lift, mutes, mutes/lift, roles, \
                  roles/remove, blocks, blocks/lift, conversations/{id}, events, enforcements.";
    ApiError::with_same_message(ErrorCode::NotFound, detail)
}
