//! Counts what came of the questions to another server.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was wanted.
    Ok,
    /// That the credential is nobody's.
    Refused,
    /// That there is no such conversation.
    Unknown,
    /// Nothing that can be relied on.
    Failed,
}

impl Outcome {
    /// How the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Unknown => "unknown",
            Outcome::Failed => "failed",
        }
    }
}

/// How often each outcome came.
#[derive(Debug, Default)]
pub(super) struct Count([AtomicU64; 4]);

impl Count {
    /// Counts one.
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often these came.
    pub(super) fn all<const N: usize>(&self, outcomes: [Outcome; N]) -> [(Outcome, u64); N] {
        outcomes.map(|outcome| (outcome, self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}
