//! Whether the store would accept a change, according to probes at intervals and to the changes themselves.
//!
//! Signing does not depend on this. While a store accepts no changes, nobody can be banned, but existing bans still
//! apply.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::moderation::store::{FailureReason, StoreUnavailable};

/// The result of the last probe or change.
#[derive(Default)]
pub(super) struct WriteHealth {
    /// Why a change would not be stored, if so. Empty before the first probe.
    last: ArcSwapOption<Result<(), StoreUnavailable>>,
    /// Locked during a probe.
    pub(super) probing: Mutex<()>,
}

impl WriteHealth {
    /// Returns why a change would not be stored, if so.
    pub(super) fn failure(&self) -> Option<StoreUnavailable> {
        self.last.load().as_deref().and_then(|last| last.clone().err())
    }

    /// Returns whether the last probe or change was successful. `None`: nothing has been tried yet.
    pub(super) fn is_writable(&self) -> Option<bool> {
        self.last.load().as_deref().map(Result::is_ok)
    }

    /// Stores the result of a write. Logs when writes begin to fail, and when they succeed again.
    pub(super) fn record(&self, written: Result<(), StoreUnavailable>) {
        let failure = written.as_ref().err().map(|unavailable| unavailable.message.clone());
        let before = self.last.swap(Some(Arc::new(written)));
        let did_fail = before.is_some_and(|before| before.is_err());
        match failure {
            Some(failure) if !did_fail => {
                tracing::error!("changes cannot be stored, so nobody can be banned; signing continues: {failure}");
            }
            None if did_fail => tracing::info!("changes can be stored again"),
            Some(_) | None => {}
        }
    }
}

/// The origin of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOrigin {
    /// A caller, who got a 503 and can try again.
    Caller,
    /// The expiry of entries in this program. It tries again every second.
    Expiry,
}

/// The numbers of failed changes, by origin and reason. Every series exists from the start, so the first failure is an increase.
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

    /// Counts a failed change.
    pub(super) fn count(&self, origin: ChangeOrigin, reason: FailureReason) {
        self.counter(origin, reason).inc();
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
