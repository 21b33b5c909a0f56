//! The difference between the clock of this machine and the clock of a shared store. With a wrong clock, a process ends
//! bans too early or too late.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock;
use crate::model::Millis;
use crate::moderation::store::{Store, StoreUnavailable};

/// A difference that is worth a warning. With a small limit, half of the limit is worth a warning.
const LARGE_OFFSET: Duration = Duration::from_secs(5);

/// How much the clock of this machine is ahead of another clock, in milliseconds. Below 0: it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ClockOffset(i64);

/// The last measured offset. Empty before the first measurement, and if no other process has the store.
#[derive(Default)]
pub(super) struct LastClockOffset(ArcSwapOption<ClockOffset>);

impl LastClockOffset {
    /// Compares the clock of this machine with the clock of a shared store. Logs when the offset becomes too large, and
    /// when it is small again.
    pub(super) async fn measure(&self, store: &Store) -> Result<(), StoreUnavailable> {
        let Some(limit) = store.max_clock_offset() else { return Ok(()) };
        let before = clock::now();
        let time = store.now().await?;
        let offset = ClockOffset::between(before, time, clock::now());
        let last = self.0.swap(Some(Arc::new(offset)));
        let was_large = last.is_some_and(|last| last.is_large(limit));
        match (was_large, offset.is_large(limit)) {
            (false, true) => tracing::warn!(
                "{offset}. Entries end at the wrong time. Above {} s, nothing is signed. Correct the clocks",
                limit.as_secs()
            ),
            (true, false) => tracing::info!("the clock of this machine is right again"),
            (false, false) | (true, true) => {}
        }
        Ok(())
    }

    /// Returns how many seconds the clock of this machine is ahead of the clock of a shared store, at least. Below 0: it
    /// is behind. A store that is not shared has this clock. `None`: unknown.
    pub(super) fn seconds(&self, store: &Store) -> Option<f64> {
        if !store.is_shared() {
            return Some(0.0);
        }
        let offset = **self.0.load().as_ref()?;
        let seconds = offset.size().as_secs_f64();
        Some(if offset.0 < 0 { -seconds } else { seconds })
    }

    /// Returns why the clock of this machine is too wrong for a decision, if it is.
    pub(super) fn error(&self, store: &Store) -> Option<String> {
        let (offset, limit) = (self.0.load(), store.max_clock_offset()?);
        let offset = offset.as_deref().filter(|offset| offset.size() > limit)?;
        Some(format!("{offset}, and `max_clock_offset` is {} s. Correct the clocks", limit.as_secs()))
    }
}

impl ClockOffset {
    /// Returns the least offset that is possible if the other clock was read between two readings of this clock. So an
    /// answer that takes long does not look like a wrong clock.
    fn between(before: Millis, other: Millis, after: Millis) -> ClockOffset {
        let ahead = i64::try_from(before.0.saturating_sub(other.0)).unwrap_or(i64::MAX);
        let behind = i64::try_from(other.0.saturating_sub(after.0)).unwrap_or(i64::MAX);
        ClockOffset(if ahead > 0 { ahead } else { -behind })
    }

    fn size(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }

    fn is_large(self, limit: Duration) -> bool {
        self.size() > LARGE_OFFSET.min(limit / 2)
    }
}

impl std::fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let direction = if self.0 < 0 { "behind" } else { "ahead of" };
        let seconds = self.size().as_secs();
        write!(f, "the clock of this machine is {seconds} s {direction} the clock of the moderation store")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_the_least_that_is_possible() {
        for (before, other, after, offset) in [
            (100, 100, 100, 0),
            (100, 50, 110, 50),
            (100, 200, 110, -90),
            (100, 105, 110, 0),
            (0, u64::MAX, 0, -i64::MAX),
        ] {
            assert_eq!(ClockOffset::between(Millis(before), Millis(other), Millis(after)), ClockOffset(offset));
        }
    }
}
