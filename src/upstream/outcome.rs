//! Counts what came of the questions to another server.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// What was wanted.
    Ok,
    /// That the credential is nobody's.
    Refused,
    /// That there is no such conversation.
    Unknown,
    /// Nothing that can be relied on.
    Failed,
}

impl ExchangeOutcome {
    /// How the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            ExchangeOutcome::Ok => "ok",
            ExchangeOutcome::Refused => "refused",
            ExchangeOutcome::Unknown => "unknown",
            ExchangeOutcome::Failed => "failed",
        }
    }
}

/// How often each outcome came.
#[derive(Debug, Default)]
pub(super) struct ExchangeCounter([AtomicU64; 4]);

impl ExchangeCounter {
    /// Counts one.
    pub(super) fn add(&self, outcome: ExchangeOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often these came.
    pub(super) fn all<const N: usize>(&self, outcomes: [ExchangeOutcome; N]) -> [(ExchangeOutcome, u64); N] {
        outcomes.map(|outcome| (outcome, self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}
