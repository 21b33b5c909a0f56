//! A rate limiter with any number of keys.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::{Quota, RateLimiter};

use super::table::RateTable;
use super::{RateLimited, RejectionCounter};

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
