//! Why a store can't be used.

use crate::random::NoEntropy;

/// Why a store can't be used, for metrics: each asks something else of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// There is no connection, or no answer in time.
    Unreachable,
    /// Redis has no memory left, or the disk no space.
    Full,
    /// The server or the file system takes no writes.
    ReadOnly,
    /// The user of Redis, or of the file, lacks a right.
    Forbidden,
    /// It isn't known that a change is as durable as the configuration demands.
    NotDurable,
    /// The file is no longer where it was opened.
    Missing,
    /// What the store holds can't be understood.
    Damaged,
    /// A write to the file has failed, so that the file must be opened again.
    RestartNeeded,
    /// The store is not the one that was known, or has lost changes.
    Refused,
    /// The store has not been heard of for too long.
    Stale,
    /// Anything else.
    Other,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [FailureReason; 11] = [
        FailureReason::Unreachable,
        FailureReason::Full,
        FailureReason::ReadOnly,
        FailureReason::Forbidden,
        FailureReason::NotDurable,
        FailureReason::Missing,
        FailureReason::Damaged,
        FailureReason::RestartNeeded,
        FailureReason::Refused,
        FailureReason::Stale,
        FailureReason::Other,
    ];

    /// As metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::Unreachable => "unreachable",
            FailureReason::Full => "full",
            FailureReason::ReadOnly => "read_only",
            FailureReason::Forbidden => "forbidden",
            FailureReason::NotDurable => "not_durable",
            FailureReason::Missing => "missing",
            FailureReason::Damaged => "damaged",
            FailureReason::RestartNeeded => "restart_needed",
            FailureReason::Refused => "refused",
            FailureReason::Stale => "stale",
            FailureReason::Other => "other",
        }
    }
}

/// Why a store can't be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store can't be used: {message}")]
pub struct StoreUnavailable {
    /// What is counted.
    pub reason: FailureReason,
    /// A sentence for the log.
    pub message: String,
}

impl StoreUnavailable {
    pub(crate) fn new(reason: FailureReason, message: impl Into<String>) -> StoreUnavailable {
        StoreUnavailable { reason, message: message.into() }
    }
}

impl From<NoEntropy> for StoreUnavailable {
    fn from(error: NoEntropy) -> StoreUnavailable {
        StoreUnavailable::new(FailureReason::Other, error.to_string())
    }
}
