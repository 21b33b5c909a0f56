//! The metrics that are counted while requests are answered. Values that can be read elsewhere at scrape time are not
//! counted here.
//!
//! Label values come from the configuration and from fixed lists, never from callers. So their number is limited.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::AuditDecision;
use super::outbox::OutboxMetrics;
use crate::model::Action;

/// The upper bounds of the histogram buckets, in seconds. A decision takes less than the first bound. Requests to other
/// servers take up to a few seconds.
const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<AnswerLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    decisions: Family<DecisionLabels, Counter>,
    authentications: Family<CallerLabels, Counter>,
    /// TLS handshakes that failed because the certificate of the client was refused.
    pub refused_certificates: Counter,
    /// The metrics of deliveries to vendors and webhooks.
    pub outbox: OutboxMetrics,
}

/// The listener that received a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerLabel {
    /// The listener for callers.
    Main,
    /// The listener for probes and metrics.
    Admin,
}

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteLabel {
    /// An operation of the app with this name.
    Operation(Arc<str>, &'static str),
    /// A path that is the same in every configuration.
    Fixed(&'static str),
    /// No route.
    Other,
}

/// The result of an authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityLabel {
    /// The caller is identified.
    Accepted,
    /// The credential is invalid.
    Refused,
    /// The result is unknown, for example because another server did not answer.
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    listener: &'static str,
    route: RouteLabel,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    route: RouteLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    app: Arc<str>,
    action: &'static str,
    outcome: &'static str,
    rule: DecisionCause,
}

/// The rule that decided, or the name of another cause.
#[derive(Clone, Debug)]
pub enum DecisionCause {
    /// The rule with this id.
    Rule(Arc<str>),
    /// Another cause, for example a ban.
    Other(&'static str),
}

impl DecisionCause {
    fn as_str(&self) -> &str {
        match self {
            DecisionCause::Rule(id) => id,
            DecisionCause::Other(name) => name,
        }
    }
}

// A rule and another cause with the same name have one counter, because their labels are the same.
impl PartialEq for DecisionCause {
    fn eq(&self, other: &DecisionCause) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for DecisionCause {}

impl Hash for DecisionCause {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallerLabels {
    authenticator: OptionalLabel,
    outcome: &'static str,
}

/// A name, or `none`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OptionalLabel(Option<Arc<str>>);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            decisions: Family::default(),
            authentications: Family::default(),
            refused_certificates: Counter::default(),
            outbox: OutboxMetrics::default(),
        }
    }
}

impl Metrics {
    /// Counts an answer, with its status and duration.
    pub fn count_answer(&self, listener: ListenerLabel, route: RouteLabel, status: u16, took: Duration) {
        self.durations_of(route.clone()).observe(took.as_secs_f64());
        self.answers_with(listener, route, status).inc();
    }

    /// Returns the histogram of the durations of this route.
    pub(super) fn durations_of(&self, route: RouteLabel) -> Histogram {
        self.durations.get_or_create(&DurationLabels { route }).clone()
    }

    /// Returns the counter of answers with these labels.
    pub(super) fn answers_with(&self, listener: ListenerLabel, route: RouteLabel, status: u16) -> Counter {
        self.requests.get_or_create(&AnswerLabels { listener: listener.as_str(), route, status }).clone()
    }

    /// Counts a decision about this action of an app.
    pub fn count_decision(&self, app: Arc<str>, action: Action, decision: AuditDecision, rule: DecisionCause) {
        self.decisions_with(app, action, decision, rule).inc();
    }

    /// Returns the counter of decisions with these labels.
    pub(super) fn decisions_with(
        &self,
        app: Arc<str>,
        action: Action,
        decision: AuditDecision,
        rule: DecisionCause,
    ) -> Counter {
        let (action, outcome) = (action.as_str(), decision.as_str());
        self.decisions.get_or_create(&DecisionLabels { app, action, outcome, rule }).clone()
    }

    /// Counts the result of an authentication. `None`: no authenticator was involved.
    pub fn count_authentication(&self, authenticator: Option<&Arc<str>>, identity: IdentityLabel) {
        self.authentications_with(authenticator, identity).inc();
    }

    /// Returns the counter of authentications with these labels.
    pub(super) fn authentications_with(&self, authenticator: Option<&Arc<str>>, identity: IdentityLabel) -> Counter {
        let authenticator = OptionalLabel(authenticator.cloned());
        self.authentications.get_or_create(&CallerLabels { authenticator, outcome: identity.as_str() }).clone()
    }

    /// Adds the metrics to this registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests that were answered", self.requests.clone());
        let help = "Seconds from the end of a request's header to the answer's header";
        registry.register("http_request_duration_seconds", help, self.durations.clone());
        registry.register("decisions", "Decisions, by the rule that decided", self.decisions.clone());
        registry.register("authentications", "Authentications, by outcome", self.authentications.clone());
        let help = "TLS handshakes that failed because the certificate of the client was refused";
        registry.register("tls_refused_certificates", help, self.refused_certificates.clone());
        self.outbox.register(registry);
    }
}

impl ListenerLabel {
    /// Returns the value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            ListenerLabel::Main => "main",
            ListenerLabel::Admin => "admin",
        }
    }
}

impl IdentityLabel {
    fn as_str(self) -> &'static str {
        match self {
            IdentityLabel::Accepted => "accepted",
            IdentityLabel::Refused => "refused",
            IdentityLabel::Unavailable => "unavailable",
        }
    }
}

impl EncodeLabelValue for RouteLabel {
    fn encode(&self, to: &mut LabelValueEncoder) -> fmt::Result {
        write!(to, "{self}")
    }
}

impl fmt::Display for RouteLabel {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteLabel::Operation(app, name) => write!(to, "/v1/{app}/{name}"),
            RouteLabel::Fixed(path) => to.write_str(path),
            RouteLabel::Other => to.write_str("other"),
        }
    }
}

impl EncodeLabelValue for DecisionCause {
    fn encode(&self, to: &mut LabelValueEncoder) -> fmt::Result {
        to.write_str(self.as_str())
    }
}

impl EncodeLabelValue for OptionalLabel {
    fn encode(&self, to: &mut LabelValueEncoder) -> fmt::Result {
        to.write_str(self.0.as_deref().unwrap_or("none"))
    }
}
