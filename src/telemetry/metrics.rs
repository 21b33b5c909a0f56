//! What is counted while requests are answered. What can be read from elsewhere when someone looks is not counted here.
//!
//! Values of labels come from the configuration and from fixed lists, never from callers, so there are only so many of them.

use std::borrow::Cow;
use std::fmt::{self, Write};
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

/// The upper bounds of the times that are told apart, in seconds. A decision takes less than the first; asking others takes up to some
/// seconds.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counts.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<AnswerLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    decisions: Family<DecisionLabels, Counter>,
    authentications: Family<CallerLabels, Counter>,
    /// What is carried to vendors and webhooks.
    pub outbox: OutboxMetrics,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerLabel {
    /// Where callers are served.
    Main,
    /// Where probes and metrics are.
    Admin,
}

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouteLabel {
    /// To an operation of the app of this name.
    Operation(Arc<str>, &'static str),
    /// To a cloud function of LeanCloud's demo servers.
    Function(&'static str),
    /// To a path that is the same in every configuration.
    Fixed(&'static str),
    /// Nowhere.
    Other,
}

/// What was found out about a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityLabel {
    /// Who it is.
    Accepted,
    /// That the credential doesn't hold.
    Refused,
    /// Nothing, as nobody could tell.
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
    rule: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallerLabels {
    authenticator: OptionalLabel,
    outcome: &'static str,
}

/// A name, where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OptionalLabel(Option<Arc<str>>);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            decisions: Family::default(),
            authentications: Family::default(),
            outbox: OutboxMetrics::default(),
        }
    }
}

impl Metrics {
    /// Counts an answer: its status, and how long it took.
    pub fn answered(&self, listener: ListenerLabel, route: RouteLabel, status: u16, took: Duration) {
        let timed = DurationLabels { route };
        self.durations.get_or_create(&timed).observe(took.as_secs_f64());
        self.requests.get_or_create(&AnswerLabels { listener: listener.as_str(), route: timed.route, status }).inc();
    }

    /// Counts a decision about this action of an app: the id of the rule that decided, or what did instead.
    pub fn decided(&self, app: Arc<str>, action: Action, decision: AuditDecision, rule: Cow<'static, str>) {
        let (action, outcome) = (action.as_str(), decision.as_str());
        self.decisions.get_or_create(&DecisionLabels { app, action, outcome, rule }).inc();
    }

    /// Counts what an authenticator found out about a caller, or what was found without one.
    pub fn identified(&self, authenticator: Option<&Arc<str>>, identity: IdentityLabel) {
        let authenticator = OptionalLabel(authenticator.cloned());
        self.authentications.get_or_create(&CallerLabels { authenticator, outcome: identity.as_str() }).inc();
    }

    /// Has the counts shown by this registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests that were answered", self.requests.clone());
        let help = "Seconds from the end of a request's header to the answer's header";
        registry.register("http_request_duration_seconds", help, self.durations.clone());
        registry.register("decisions", "Decisions, by the rule that decided", self.decisions.clone());
        registry.register("authentications", "Callers, by what was found out about them", self.authentications.clone());
        self.outbox.register(registry);
    }
}

impl ListenerLabel {
    /// How labels spell it.
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
            RouteLabel::Function(name) => write!(to, "/1.1/functions/{name}"),
            RouteLabel::Fixed(path) => to.write_str(path),
            RouteLabel::Other => to.write_str("other"),
        }
    }
}

impl EncodeLabelValue for OptionalLabel {
    fn encode(&self, to: &mut LabelValueEncoder) -> fmt::Result {
        to.write_str(self.0.as_deref().unwrap_or("none"))
    }
}
