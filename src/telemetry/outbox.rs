//! What is counted of what is carried to vendors and webhooks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counts. Clones count together. What isn't configured has no series.
#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    deliveries: Family<AttemptLabels, Counter>,
    jobs: Family<QueueLabels, Gauge>,
    oldest: Family<KindLabel, Gauge<f64, AtomicU64>>,
}

/// What kind of thing is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryKind {
    /// Bans and mutes, to vendors.
    Enforcement,
    /// Events, to webhooks.
    Webhook,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It is done.
    Done,
    /// It is tried again.
    Failed,
    /// It was given back.
    Unfinished,
    /// It can't be done.
    DeadLetter,
}

/// What waits in the store, of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// What is due.
    pub due: u32,
    /// What failed the last time and is to be tried again.
    pub failing: u32,
    /// What became a dead letter.
    pub dead_letter: u32,
    /// What waits for a process that has its app or webhook configured, as this one hasn't.
    pub unconfigured: u32,
    /// For how long the oldest of what is due has been, in milliseconds.
    pub oldest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    kind: &'static str,
    target: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    kind: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl OutboxMetrics {
    /// Counts an attempt for this app, or for the webhook at this host.
    pub fn delivered(&self, kind: DeliveryKind, target: Arc<str>, outcome: AttemptOutcome) {
        self.of(kind, target, outcome).inc();
    }

    /// Has something to count for this app or host, if only that there was nothing yet.
    pub fn expect(&self, kind: DeliveryKind, target: &Arc<str>) {
        for outcome in [AttemptOutcome::Done, AttemptOutcome::Failed, AttemptOutcome::DeadLetter] {
            drop(self.of(kind, Arc::clone(target), outcome));
        }
    }

    fn of(
        &self,
        kind: DeliveryKind,
        target: Arc<str>,
        outcome: AttemptOutcome,
    ) -> impl std::ops::Deref<Target = Counter> {
        let (kind, outcome) = (kind.as_str(), outcome.as_str());
        self.deliveries.get_or_create(&AttemptLabels { kind, target, outcome })
    }

    /// Shows what waits.
    pub fn waiting(&self, kind: DeliveryKind, waiting: &QueueDepth) {
        let kind = kind.as_str();
        let QueueDepth { due, failing, dead_letter, unconfigured, .. } = *waiting;
        let states = [("due", due), ("failing", failing), ("dead_letter", dead_letter), ("unconfigured", unconfigured)];
        for (state, count) in states {
            self.jobs.get_or_create(&QueueLabels { kind, state }).set(count.into());
        }
        self.oldest.get_or_create(&KindLabel { kind }).set(Duration::from_millis(waiting.oldest).as_secs_f64());
    }

    /// Has the counts shown by this registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts to carry something to a vendor or webhook";
        registry.register("deliveries", help, self.deliveries.clone());
        registry.register(
            "outbox_jobs",
            "What is due and not done, what failed, what is a dead letter, and what is for nobody who is configured",
            self.jobs.clone(),
        );
        let help = "Seconds for which the oldest of what is due has been";
        registry.register("outbox_oldest_due_seconds", help, self.oldest.clone());
    }
}

impl DeliveryKind {
    /// Every kind.
    pub const ALL: [DeliveryKind; 2] = [DeliveryKind::Enforcement, DeliveryKind::Webhook];

    /// How labels spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryKind::Enforcement => "enforcement",
            DeliveryKind::Webhook => "webhook",
        }
    }
}

impl AttemptOutcome {
    fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Done => "done",
            AttemptOutcome::Failed => "failed",
            AttemptOutcome::Unfinished => "unfinished",
            AttemptOutcome::DeadLetter => "dead_letter",
        }
    }
}
