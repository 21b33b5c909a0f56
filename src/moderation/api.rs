//! The answers of the moderation routes, as the server and the command line share them.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct ListPage<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The cursor of the next page. `None`: this is the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer to a change: the targets for which it was made, and those for which it failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct CommandReply {
    /// The users, or the id of the conversation.
    pub succeeded: Vec<String>,
    /// The targets for which the change failed.
    pub failed: Vec<FailedTarget>,
    /// The targets in `succeeded` for which nothing was to do. Older servers leave it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
}

/// A target for which a change failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedTarget {
    /// The user, or the id of the conversation.
    pub user: String,
    /// The error code.
    pub code: String,
    /// The message for people.
    pub reason: String,
}
