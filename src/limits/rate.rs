//! A rate for each of any number of keys.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::{Quota, RateLimiter};

use super::table::Table;
use super::{Tally, TooSoon};

/// How many events a second each key may have. After a quiet time a second's worth of them may come at once.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) per_second: NonZeroU32,
    limiter: RateLimiter<u64, Table, MonotonicClock>,
    turned_away: Arc<Tally>,
}

impl Rate {
    pub(super) fn new(per_second: NonZeroU32, turned_away: Arc<Tally>) -> Rate {
        let limiter = RateLimiter::new(Quota::per_second(per_second), Table::default(), MonotonicClock);
        Rate { per_second, limiter, turned_away }
    }

    /// Counts an event of this key, which is a hash. One that comes too soon counts for nothing.
    pub(super) fn check(&self, key: u64) -> Result<(), TooSoon> {
        self.limiter.check_key(&key).map_err(|until| {
            self.turned_away.note();
            let wait: Duration = until.wait_time_from(MonotonicClock.now());
            TooSoon(wait)
        })
    }
}
