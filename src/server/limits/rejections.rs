//! Counts rejections. The log gets a line only at intervals, so that a flood of requests does not become a flood of
//! lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The minimum time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A counter of rejections.
#[derive(Debug)]
pub(super) struct RejectionCounter {
    description: &'static str,
    count: AtomicU64,
    started: Instant,
    /// The time of the next allowed log line, in milliseconds since `began`.
    next_log: AtomicU64,
}

impl RejectionCounter {
    /// Creates a counter at zero. `of` describes the rejected things in the log.
    pub(super) fn new(of: &'static str) -> RejectionCounter {
        RejectionCounter {
            description: of,
            count: AtomicU64::new(0),
            started: Instant::now(),
            next_log: AtomicU64::new(0),
        }
    }

    /// Counts a rejection, and logs it if the last line is old enough.
    pub(super) fn record(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if self.may_log(self.started.elapsed()) {
            tracing::warn!(count, "turned away so far: {}", self.description);
        }
    }

    /// Returns the number of rejections.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn may_log(&self, since_began: Duration) -> bool {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (millis(since_began), self.next_log.load(Ordering::Relaxed));
        let then = now.saturating_add(millis(LOG_INTERVAL));
        now >= next && self.next_log.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// The counters of requests that exceeded a rate. They are kept if the rates change.
#[derive(Clone, Debug)]
pub(super) struct Rejections {
    pub(super) address: Arc<RejectionCounter>,
    pub(super) caller: Arc<RejectionCounter>,
}

impl Default for Rejections {
    fn default() -> Rejections {
        Rejections {
            address: Arc::new(RejectionCounter::new("requests beyond an address's rate")),
            caller: Arc::new(RejectionCounter::new("requests beyond a caller's rate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_the_first_rejection_and_then_one_line_per_interval() {
        let tally = RejectionCounter::new("tests");
        let heard = [0, 1, 9_999, 10_000, 10_001, 30_000].map(|millis| tally.may_log(Duration::from_millis(millis)));
        assert_eq!(heard, [true, false, false, true, false, true]);
    }
}
