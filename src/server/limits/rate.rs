//! Rates for any number of keys: events per second, and bytes per second for the log lines of refused requests.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::rejections::RejectionCounter;
use super::table::RateTable;

/// The error if a rate is exceeded: the time to wait before the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimited(pub Duration);

/// Limits the number of events per second for each key. After a quiet time, the events of one second may come at once.
#[derive(Debug)]
pub(super) struct KeyedRateLimiter {
    pub(super) per_second: NonZeroU32,
    limiter: RateLimiter<u64, RateTable, MonotonicClock>,
    rejections: Arc<RejectionCounter>,
}

impl KeyedRateLimiter {
    pub(super) fn new(per_second: NonZeroU32, turned_away: Arc<RejectionCounter>) -> KeyedRateLimiter {
        let limiter = RateLimiter::new(Quota::per_second(per_second), RateTable::default(), MonotonicClock);
        KeyedRateLimiter { per_second, limiter, rejections: turned_away }
    }

    /// Counts an event of this key, which is a hash. An event that comes too soon is not counted.
    pub(super) fn check(&self, key: u64) -> Result<(), RateLimited> {
        self.limiter.check_key(&key).map_err(|until| {
            self.rejections.record();
            let wait: Duration = until.wait_time_from(MonotonicClock.now());
            RateLimited(wait)
        })
    }
}

/// The number of seconds for which an unused budget is saved up.
const SAVED_SECONDS: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// The budget of all addresses together, as a multiple of the budget of one address.
const ALL_ADDRESSES: NonZeroU32 = NonZeroU32::new(4).unwrap();

type Middleware<C> = NoOpMiddleware<<C as Clock>::Instant>;

/// Budgets in bytes for the log lines of refused requests: for each address, and for all addresses together. The memory is allocated at the start and does not grow.
#[derive(Debug)]
pub(super) struct ByteBudget<C: Clock = MonotonicClock> {
    pub(super) per_second: NonZeroU32,
    each: RateLimiter<u64, RateTable, C, Middleware<C>>,
    all: RateLimiter<NotKeyed, InMemoryState, C, Middleware<C>>,
}

impl ByteBudget {
    /// Takes the number of bytes per second for each address.
    pub(super) fn new(per_second: NonZeroU32) -> ByteBudget {
        ByteBudget::with_clock(per_second, &MonotonicClock)
    }
}

impl<C: Clock + Clone> ByteBudget<C> {
    fn with_clock(per_second: NonZeroU32, clock: &C) -> ByteBudget<C> {
        let quota = |per_second| Quota::per_second(per_second).allow_burst(max_burst(per_second));
        let total = per_second.saturating_mul(ALL_ADDRESSES);
        ByteBudget {
            per_second,
            each: RateLimiter::new(quota(per_second), RateTable::default(), clock.clone()),
            all: RateLimiter::direct_with_clock(quota(total), clock.clone()),
        }
    }

    /// Takes this number of bytes from the budget of this key, which is a hash, and from the budget of all addresses. A
    /// number larger than a whole budget takes the whole budget. Returns false if there are not enough bytes left.
    pub(super) fn take(&self, key: u64, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let bytes = NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN).min(max_burst(self.per_second));
        matches!(self.each.check_key_n(&key, bytes), Ok(Ok(()))) && matches!(self.all.check_n(bytes), Ok(Ok(())))
    }
}

/// Returns the number of bytes of a budget that may be spent at once.
fn max_burst(per_second: NonZeroU32) -> NonZeroU32 {
    per_second.saturating_mul(SAVED_SECONDS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn budget(per_second: u32) -> (ByteBudget<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (ByteBudget::with_clock(per_second.try_into().unwrap(), &clock), clock)
    }

    /// Returns how many lines of this length the key may write before a line is refused.
    fn lines(budget: &ByteBudget<FakeRelativeClock>, key: u64, bytes: usize) -> usize {
        (0..10_000).take_while(|_| budget.take(key, bytes)).count()
    }

    #[test]
    fn an_address_has_its_rate_and_what_it_saved() {
        let (budget, clock) = budget(1000);
        assert_eq!(lines(&budget, 1, 500), 128);
        clock.advance(Duration::from_secs(1));
        assert_eq!(lines(&budget, 1, 500), 2);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(lines(&budget, 1, 500), 128, "no more than 64 seconds' worth is saved up");
    }

    #[test]
    fn an_address_does_not_use_up_what_others_have_unless_there_are_many() {
        let (budget, clock) = budget(1000);
        let spread = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for address in 0..4 {
            assert_eq!(lines(&budget, spread(address), 500), 128, "address {address}");
        }
        assert_eq!(lines(&budget, spread(4), 500), 0, "all addresses have four times what one has");
        clock.advance(Duration::from_secs(10));
        let written: usize = (10..1000).map(|address| lines(&budget, spread(address), 500)).sum();
        assert_eq!(written, 80);
    }

    #[test]
    fn a_line_that_is_longer_than_the_budget_takes_all_of_it() {
        let (budget, _) = budget(1);
        assert!(budget.take(1, 5000));
        assert!(!budget.take(1, 1));
    }
}
