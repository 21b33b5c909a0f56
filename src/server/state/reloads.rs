//! The outcomes of reloads, and which parts of the configuration keep earlier values.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock;
use crate::model::Millis;

/// The outcome of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// All changes are in force.
    Applied,
    /// Some changes are in force. The other parts keep their earlier values.
    Partial,
    /// No change is in force.
    Refused,
}

impl ReloadOutcome {
    const ALL: [ReloadOutcome; 3] = [ReloadOutcome::Applied, ReloadOutcome::Partial, ReloadOutcome::Refused];

    fn as_str(self) -> &'static str {
        match self {
            ReloadOutcome::Applied => "applied",
            ReloadOutcome::Partial => "partial",
            ReloadOutcome::Refused => "refused",
        }
    }
}

/// The parts of the configuration. Each part that keeps earlier values has the reason.
pub type ConfigParts = BTreeMap<String, Option<String>>;

/// The reloads since the start, and the state that they left.
#[derive(Debug)]
pub struct Reloads {
    /// The number of reloads with each outcome.
    counts: [AtomicU64; 3],
    state: Mutex<ReloadState>,
}

#[derive(Clone, Debug)]
struct ReloadState {
    last_success: Millis,
    failure: Option<String>,
    parts: ConfigParts,
}

impl Reloads {
    /// Returns the state at the start.
    pub(super) fn new() -> Reloads {
        let state = ReloadState { last_success: clock::now(), failure: None, parts: ConfigParts::new() };
        Reloads { counts: Default::default(), state: Mutex::new(state) }
    }

    /// Records a reload. `failure` says why a whole file, or all of them, are not in force.
    pub fn record(&self, outcome: ReloadOutcome, failure: Option<String>) {
        if let Some(count) = self.counts.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let mut state = self.lock();
        state.failure = failure;
        if outcome == ReloadOutcome::Applied {
            state.last_success = clock::now();
        }
    }

    /// Records which parts there are, and which of them keep earlier values.
    pub fn set_parts(&self, parts: ConfigParts) {
        self.lock().parts = parts;
    }

    /// Returns the number of reloads with each outcome.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ReloadOutcome::ALL
            .iter()
            .zip(&self.counts)
            .map(|(outcome, count)| (outcome.as_str(), count.load(Ordering::Relaxed)))
    }

    /// Returns the time of the last reload that applied all changes. At first this is the time of the start.
    pub fn last_success(&self) -> Millis {
        self.lock().last_success
    }

    /// Returns why a whole file, or all of them, are not in force.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Returns the parts of the configuration.
    pub fn parts(&self) -> ConfigParts {
        self.lock().parts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, ReloadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
