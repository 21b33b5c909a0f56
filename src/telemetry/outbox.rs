//! The metrics of deliveries to vendors and webhooks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics. Clones share the same counters. Apps and webhooks that are not configured have no series.
#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    deliveries: Family<AttemptLabels, Counter>,
    jobs: Family<QueueLabels, Gauge>,
    failing: Family<FailureLabels, Gauge>,
    oldest: Family<KindLabel, Gauge<f64, AtomicU64>>,
}

/// The kind of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryKind {
    /// Bans and mutes, to vendors.
    Enforcement,
    /// Events, to webhooks.
    Webhook,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The job is done.
    Done,
    /// The job will be tried again.
    Failed,
    /// The job was returned without a result.
    Unfinished,
    /// The job cannot be done.
    DeadLetter,
}

/// The jobs of one kind in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// The number of jobs that are not done.
    pub pending: u64,
    /// The number of jobs that can be taken now.
    pub due: u64,
    /// The numbers of jobs that failed the last time and will be tried again, by the name of the cause.
    pub failing: Vec<(&'static str, u64)>,
    /// The number of dead letters.
    pub dead_letter: u64,
    /// The number of jobs whose app or webhook is not configured in this process. They wait for another process.
    pub unconfigured: u64,
    /// How long the oldest due job has been due, in milliseconds.
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
struct FailureLabels {
    kind: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

impl OutboxMetrics {
    /// Counts an attempt for this app, or for the webhook at this host.
    pub fn count_attempt(&self, kind: DeliveryKind, target: Arc<str>, outcome: AttemptOutcome) {
        self.counter(kind, target, outcome).inc();
    }

    /// Creates the series for this app or host, with the value 0.
    pub fn create_series(&self, kind: DeliveryKind, target: &Arc<str>) {
        for outcome in [AttemptOutcome::Done, AttemptOutcome::Failed, AttemptOutcome::DeadLetter] {
            drop(self.counter(kind, Arc::clone(target), outcome));
        }
    }

    fn counter(
        &self,
        kind: DeliveryKind,
        target: Arc<str>,
        outcome: AttemptOutcome,
    ) -> impl std::ops::Deref<Target = Counter> {
        let (kind, outcome) = (kind.as_str(), outcome.as_str());
        self.deliveries.get_or_create(&AttemptLabels { kind, target, outcome })
    }

    /// Sets the gauges for the jobs that wait.
    pub fn set_queue_depth(&self, kind: DeliveryKind, waiting: &QueueDepth) {
        let kind = kind.as_str();
        let QueueDepth { due, failing, dead_letter, unconfigured, .. } = waiting;
        let all_failing = failing.iter().map(|(_, count)| count).sum();
        let states =
            [("due", *due), ("failing", all_failing), ("dead_letter", *dead_letter), ("unconfigured", *unconfigured)];
        for (state, count) in states {
            self.jobs.get_or_create(&QueueLabels { kind, state }).set(count.cast_signed());
        }
        for &(cause, count) in failing {
            self.failing.get_or_create(&FailureLabels { kind, cause }).set(count.cast_signed());
        }
        self.oldest.get_or_create(&KindLabel { kind }).set(Duration::from_millis(waiting.oldest).as_secs_f64());
    }

    /// Adds the metrics to this registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts to deliver something to a vendor or webhook";
        registry.register("deliveries", help, self.deliveries.clone());
        registry.register(
            "outbox_jobs",
            "Jobs that are due, that failed, that are dead letters, or whose app or webhook is not configured",
            self.jobs.clone(),
        );
        let help = "Jobs whose last attempt failed and that are tried again, by the cause";
        registry.register("outbox_failing_jobs", help, self.failing.clone());
        let help = "Seconds for which the oldest due job has been due";
        registry.register("outbox_oldest_due_seconds", help, self.oldest.clone());
    }
}

impl DeliveryKind {
    /// All kinds.
    pub const ALL: [DeliveryKind; 2] = [DeliveryKind::Enforcement, DeliveryKind::Webhook];

    /// Returns the beginning of the keys of these jobs.
    pub fn key_prefix(self) -> &'static str {
        match self {
            DeliveryKind::Enforcement => "enforce:",
            DeliveryKind::Webhook => "webhook:",
        }
    }

    /// Returns the value of the label.
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
