//! The reasons why a store cannot be used.

use std::io::{self, ErrorKind};

use crate::random::EntropyError;

/// The reason why a store cannot be used, as a metric label. Each reason needs a different action from the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// There is no connection, or no answer arrived in time.
    Unreachable,
    /// Redis has no free memory, or the disk has no free space.
    Full,
    /// The server or the file system accepts no writes.
    ReadOnly,
    /// The Redis user lacks a permission, or the process lacks a permission on the file.
    Forbidden,
    /// It is unknown whether a change is as durable as the configuration requires.
    NotDurable,
    /// The file is no longer at the path where it was opened.
    Missing,
    /// The content of the store cannot be parsed.
    Damaged,
    /// A write to the file failed. The file must be opened again.
    RestartNeeded,
    /// The store is not the store that this process knew, or the store has lost changes.
    Refused,
    /// The store has not answered for too long.
    Stale,
    /// Any other reason.
    Other,
}

impl FailureReason {
    /// All reasons.
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

    /// Returns the reason for an error of the file system.
    pub(super) fn from_io_error(error: &io::Error) -> FailureReason {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => FailureReason::Full,
            ErrorKind::ReadOnlyFilesystem => FailureReason::ReadOnly,
            ErrorKind::PermissionDenied => FailureReason::Forbidden,
            ErrorKind::NotFound => FailureReason::Missing,
            _ => FailureReason::Other,
        }
    }

    /// Returns the value of the metric label.
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

/// The error of a store that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store can't be used: {message}")]
pub struct StoreUnavailable {
    /// The reason, for metrics.
    pub reason: FailureReason,
    /// A sentence for the log.
    pub message: String,
}

impl StoreUnavailable {
    pub(crate) fn new(reason: FailureReason, message: impl Into<String>) -> StoreUnavailable {
        StoreUnavailable { reason, message: message.into() }
    }
}

impl From<EntropyError> for StoreUnavailable {
    fn from(error: EntropyError) -> StoreUnavailable {
        StoreUnavailable::new(FailureReason::Other, error.to_string())
    }
}
