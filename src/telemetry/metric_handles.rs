//! The counters that most requests use, without a search for their labels.
//!
//! A snapshot of the settings has handles for its apps and authenticators. A handle finds its counter in [`Metrics`] when
//! it is first used, so that the metrics show no counter that counted nothing. Counters are never removed from the
//! metrics. So a handle of an earlier snapshot counts the same as a new one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::AuditDecision;
use super::metrics::{DecisionCause, IdentityLabel, ListenerLabel, Metrics, RouteLabel};
use crate::model::Action;

/// The status of most answers.
const OK: u16 = 200;

/// How many combinations of an action and a rule a handle keeps. Further ones are searched each time.
const MAX_RULES: usize = 8;

/// The counters of one operation of an app.
#[derive(Debug)]
pub struct OperationHandle {
    app: Arc<str>,
    route: RouteLabel,
    durations: OnceLock<Histogram>,
    answers: OnceLock<Counter>,
    allowed: [OnceLock<AllowedHandle>; MAX_RULES],
}

/// The counter of the requests that a rule allowed.
#[derive(Debug)]
struct AllowedHandle {
    action: Action,
    rule: Arc<str>,
    counter: Counter,
}

/// The counters of accepted callers, by authenticator.
#[derive(Debug)]
pub struct AcceptedHandles(Vec<(Arc<str>, OnceLock<Counter>)>);

impl OperationHandle {
    /// Makes the handle of an operation of this app.
    pub fn new(app: &Arc<str>, operation: &'static str) -> OperationHandle {
        OperationHandle {
            app: Arc::clone(app),
            route: RouteLabel::Operation(Arc::clone(app), operation),
            durations: OnceLock::new(),
            answers: OnceLock::new(),
            allowed: Default::default(),
        }
    }

    /// Does the same as [`Metrics::count_answer`] for the main listener.
    pub fn count_answer(&self, metrics: &Metrics, status: u16, took: Duration) {
        if status != OK {
            metrics.count_answer(ListenerLabel::Main, self.route.clone(), status, took);
            return;
        }
        self.durations.get_or_init(|| metrics.durations_of(self.route.clone())).observe(took.as_secs_f64());
        self.answers.get_or_init(|| metrics.answers_with(ListenerLabel::Main, self.route.clone(), OK)).inc();
    }

    /// Does the same as [`Metrics::count_decision`] for a request that was allowed by this rule.
    pub fn count_allowed(&self, metrics: &Metrics, action: Action, rule: &Arc<str>) {
        let find = || {
            metrics.decisions_with(
                Arc::clone(&self.app),
                action,
                AuditDecision::Allow,
                DecisionCause::Rule(Arc::clone(rule)),
            )
        };
        for place in &self.allowed {
            let handle = place.get_or_init(|| AllowedHandle { action, rule: Arc::clone(rule), counter: find() });
            if handle.action == action && handle.rule == *rule {
                handle.counter.inc();
                return;
            }
        }
        find().inc();
    }
}

impl AcceptedHandles {
    /// Makes the handles of these authenticators.
    pub fn new<'a>(authenticators: impl Iterator<Item = &'a Arc<str>>) -> AcceptedHandles {
        AcceptedHandles(authenticators.map(|name| (Arc::clone(name), OnceLock::new())).collect())
    }

    /// Counts a caller that this authenticator accepted.
    pub fn count(&self, metrics: &Metrics, authenticator: &Arc<str>) {
        match self.0.iter().find(|(name, _)| name == authenticator) {
            Some((name, counter)) => {
                counter.get_or_init(|| metrics.authentications_with(Some(name), IdentityLabel::Accepted)).inc();
            }
            None => metrics.count_authentication(Some(authenticator), IdentityLabel::Accepted),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let mut lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    #[test]
    fn handles_count_in_the_same_counters() {
        let (by_handle, by_label) = (Metrics::default(), Metrics::default());
        let (app, user): (Arc<str>, Arc<str>) = ("ably".into(), "app-users".into());
        let rules: Vec<Arc<str>> = (0..2 * MAX_RULES).map(|number| format!("rule-{number}").into()).collect();
        let (took, actions) = (Duration::from_micros(90), [Action::Login, Action::Create]);
        // The second set of handles is that of a later snapshot.
        for _ in 0..2 {
            let operation = OperationHandle::new(&app, "token");
            let accepted = AcceptedHandles::new([&user].into_iter());
            for rule in &rules {
                for (action, status) in actions.into_iter().zip([200, 503]) {
                    operation.count_allowed(&by_handle, action, rule);
                    let cause = DecisionCause::Rule(Arc::clone(rule));
                    by_label.count_decision(Arc::clone(&app), action, AuditDecision::Allow, cause);
                    operation.count_answer(&by_handle, status, took);
                    let route = RouteLabel::Operation(Arc::clone(&app), "token");
                    by_label.count_answer(ListenerLabel::Main, route, status, took);
                }
            }
            for name in [user.clone(), "other".into()] {
                accepted.count(&by_handle, &name);
                by_label.count_authentication(Some(&name), IdentityLabel::Accepted);
            }
        }
        assert_eq!(text(&by_handle), text(&by_label));
    }
}
