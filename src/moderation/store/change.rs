//! Changes of a store: those to make, those that were made, and the limits of their log.

use serde::{Deserialize, Serialize};

use super::failure::StoreUnavailable;
use super::job::NewJob;
use crate::model::Millis;

/// The number of changes that the log keeps.
pub const LOG_LIMIT: u64 = 10_000;

/// The maximum number of changes in one read.
pub const READ_LIMIT_CHANGES: usize = 500;

/// The limit of one read of changes, in bytes. The last change can exceed it, so a single larger change can be read.
pub const READ_LIMIT_BYTES: usize = 1 << 20;

/// A change to make.
#[derive(Clone, Debug, Default)]
pub struct NewChange {
    /// The new values of entries, by key. `None` deletes the entry.
    pub puts: Vec<(String, Option<String>)>,
    /// The events to publish, as JSON.
    pub events: Vec<String>,
    /// The jobs that the change requests.
    pub jobs: Vec<NewJob>,
    /// The request that made the change. `None`: it was not made by a request.
    pub request: Option<ChangeRequest>,
}

/// The request that made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// The id of the request.
    pub id: String,
    /// The SHA-256 of the policy file that allowed it.
    pub policy: String,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChange {
    /// The number of the change.
    pub version: u64,
    /// The random id of the change.
    pub id: String,
    /// The time at which the change was made.
    pub at: Millis,
    /// The new values of entries, by key. `None`: the entry was deleted.
    pub puts: Vec<(String, Option<String>)>,
    /// The events of the change, as JSON.
    pub events: Vec<String>,
    /// The request that made the change. `None`: it was not made by a request, or an older version made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ChangeRequest>,
}

/// The error of a commit: the change was not made, or it is unknown whether it was made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another change was made first. Read the store again.
    #[error("the store has changed meanwhile")]
    Behind,
    /// The store is not available. The change was possibly made. To find out, read the store again.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// The changes after a number, or the information that some of them are no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangesSince {
    /// The first of the changes, in order, without a gap, up to the limits of one read. Empty: there are no later
    /// changes.
    Changes(Vec<StoredChange>),
    /// Some of the changes are no longer kept. Read all contents.
    NoLongerKept,
}

/// Returns the changes that fit into one read. Each item has the size of the change in bytes.
pub(super) fn limit_read<T>(changes: impl Iterator<Item = (usize, T)>) -> impl Iterator<Item = T> {
    let mut bytes = 0;
    let is_room = move |(size, _): &(usize, T)| {
        let is_room = bytes < READ_LIMIT_BYTES;
        bytes += size;
        is_room
    };
    changes.take(READ_LIMIT_CHANGES).take_while(is_room).map(|(_, change)| change)
}
