//! What is counted of what is carried to vendors and webhooks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counts. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    deliveries: Family<Delivered, Counter>,
    jobs: Family<Stand, Gauge>,
    oldest: Gauge<f64, AtomicU64>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is tried again.
    Failed,
    /// It was given back.
    Unfinished,
    /// It can't be done.
    SetAside,
}

/// What waits in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// What is due.
    pub due: u32,
    /// What was set aside.
    pub set_aside: u32,
    /// For how long the oldest of what is due has been, in milliseconds.
    pub oldest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    kind: &'static str,
    target: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stand {
    state: &'static str,
}

impl Counts {
    /// Counts an attempt: what kind it was of, and which app or webhook it was about.
    pub fn delivered(&self, (kind, target): (&'static str, Arc<str>), outcome: Outcome) {
        self.deliveries.get_or_create(&Delivered { kind, target, outcome: outcome.as_str() }).inc();
    }

    /// Shows what waits.
    pub fn waiting(&self, waiting: &Waiting) {
        self.jobs.get_or_create(&Stand { state: "due" }).set(waiting.due.into());
        self.jobs.get_or_create(&Stand { state: "set_aside" }).set(waiting.set_aside.into());
        self.oldest.set(std::time::Duration::from_millis(waiting.oldest).as_secs_f64());
    }

    /// Has the counts shown by this registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts to carry something to a vendor or webhook";
        registry.register("deliveries", help, self.deliveries.clone());
        registry.register("outbox_jobs", "What is due and not done, or was set aside", self.jobs.clone());
        let help = "Seconds for which the oldest of what is due has been";
        registry.register("outbox_oldest_due_seconds", help, self.oldest.clone());
    }
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Unfinished => "unfinished",
            Outcome::SetAside => "set_aside",
        }
    }
}
