//! Counters for the outcomes of requests to another server.

use std::sync::atomic::{AtomicU64, Ordering};

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// The server returned the requested data.
    Ok,
    /// The server rejected the credential.
    Refused,
    /// The server does not know the conversation.
    Unknown,
    /// The request failed, or its answer cannot be used.
    Failed,
}

impl ExchangeOutcome {
    /// Returns the outcome's name in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeOutcome::Ok => "ok",
            ExchangeOutcome::Refused => "refused",
            ExchangeOutcome::Unknown => "unknown",
            ExchangeOutcome::Failed => "failed",
        }
    }
}

/// The number of requests for each outcome.
#[derive(Debug, Default)]
pub(super) struct ExchangeCounter([AtomicU64; 4]);

impl ExchangeCounter {
    /// Counts a request.
    pub(super) fn add(&self, outcome: ExchangeOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the numbers for these outcomes.
    pub(super) fn counts<const N: usize>(&self, outcomes: [ExchangeOutcome; N]) -> [(ExchangeOutcome, u64); N] {
        outcomes.map(|outcome| (outcome, self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}
