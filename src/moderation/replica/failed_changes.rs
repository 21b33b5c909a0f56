//! The numbers of failed changes, by origin and reason.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{ChangeError, ModerationReplica};
use crate::moderation::store::FailureReason;

/// The origin of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOrigin {
    /// A caller, who got a 503 and can try again.
    Caller,
    /// The expiry of entries in this program. It tries again every second.
    Expiry,
}

/// The counters. Every series exists from the start, so the first failure is an increase.
#[derive(Debug)]
pub(crate) struct FailedChanges(Family<FailedChange, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedChange {
    origin: &'static str,
    reason: &'static str,
}

impl Default for FailedChanges {
    fn default() -> FailedChanges {
        let counts = FailedChanges(Family::default());
        for origin in [ChangeOrigin::Caller, ChangeOrigin::Expiry] {
            for reason in FailureReason::ALL {
                drop(counts.counter(origin, reason));
            }
        }
        counts
    }
}

impl FailedChanges {
    /// Registers the counters in this registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Changes that failed, or whose result is unknown";
        registry.register("moderation_failed_changes", help, self.0.clone());
    }

    fn counter(&self, origin: ChangeOrigin, reason: FailureReason) -> impl std::ops::Deref<Target = Counter> {
        self.0.get_or_create(&FailedChange { origin: origin.as_str(), reason: reason.as_str() })
    }
}

impl ChangeOrigin {
    fn as_str(self) -> &'static str {
        match self {
            ChangeOrigin::Caller => "caller",
            ChangeOrigin::Expiry => "expiry",
        }
    }
}

impl ModerationReplica {
    /// Counts a failed change.
    pub(in crate::moderation) fn count_failure(&self, origin: ChangeOrigin, not_changed: &ChangeError) {
        let reason = match not_changed {
            ChangeError::NoStore => return,
            ChangeError::Stale(_) if self.refused.load().is_some() => FailureReason::Refused,
            ChangeError::Stale(_) => FailureReason::Stale,
            ChangeError::Unavailable(unavailable) | ChangeError::Broken(unavailable) => unavailable.reason,
        };
        self.failed_changes.counter(origin, reason).inc();
    }
}
