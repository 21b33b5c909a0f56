//! Stores the state of the rates in a table that never grows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// The number of counters in a row.
const WIDTH: usize = 1 << 16;

/// The number of locks.
const LOCKS: usize = 64;

/// The state of all keys, in two rows of counters (a count-min sketch with conservative update). A key has one counter
/// in each row, and the less used counter decides. So a key is rejected too soon only if busy keys share both of its
/// counters. It is never rejected too late.
#[derive(Debug)]
pub(super) struct RateTable {
    rows: [Box<[AtomicU64]>; 2],
    /// The events of a key are counted one after another. Without locks, an event between the changes to the two
    /// counters of another event would see the unchanged counter, and both events would be counted as one.
    locks: [Mutex<()>; LOCKS],
}

impl Default for RateTable {
    fn default() -> RateTable {
        let rows = std::array::from_fn(|_| (0..WIDTH).map(|_| AtomicU64::new(0)).collect());
        RateTable { rows, locks: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl RateTable {
    /// Returns the two counters of a key, selected by the lower and the upper half of its hash.
    fn counters(&self, hash: u64) -> [&AtomicU64; 2] {
        #[expect(clippy::cast_possible_truncation, reason = "what is cut off doesn't count")]
        let places = [hash as usize % WIDTH, (hash >> 32) as usize % WIDTH];
        [&self.rows[0][places[0]], &self.rows[1][places[1]]]
    }

    fn lock(&self, hash: u64) -> &Mutex<()> {
        #[expect(clippy::cast_possible_truncation, reason = "what is cut off doesn't count")]
        let place = hash as usize % LOCKS;
        &self.locks[place]
    }
}

impl StateStore for RateTable {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, hash: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let _one_at_a_time = self.lock(*hash).lock().unwrap_or_else(PoisonError::into_inner);
        let [one, other] = self.counters(*hash);
        // Other keys may change one of the counters at the same time.
        loop {
            let seen = [one, other].map(|counter| counter.load(Ordering::Relaxed));
            let (lesser, greater) = if seen[0] <= seen[1] { (one, other) } else { (other, one) };
            let old = seen[0].min(seen[1]);
            let (answer, new) = decide(Some(Nanos::new(old)))?;
            let replaced = lesser.compare_exchange(old, new.as_u64(), Ordering::Relaxed, Ordering::Relaxed);
            if replaced.is_ok() {
                greater.fetch_max(new.as_u64(), Ordering::Relaxed);
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use governor::clock::{Clock, FakeRelativeClock};
    use governor::middleware::NoOpMiddleware;
    use governor::{Quota, RateLimiter};

    use super::*;

    type Limiter =
        RateLimiter<u64, RateTable, FakeRelativeClock, NoOpMiddleware<<FakeRelativeClock as Clock>::Instant>>;

    fn limiter(per_second: u32) -> (Limiter, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(per_second.try_into().unwrap());
        (RateLimiter::new(quota, RateTable::default(), clock.clone()), clock)
    }

    /// Returns how many events of this key are accepted before an event is rejected.
    fn burst(limiter: &Limiter, key: u64) -> usize {
        (0..1000).take_while(|_| limiter.check_key(&key).is_ok()).count()
    }

    /// Returns the hash of a key with these counters.
    fn hash_of(lower: u64, upper: u64) -> u64 {
        upper << 32 | lower
    }

    #[test]
    fn a_rate_is_kept_from_second_to_second() {
        let (limiter, clock) = limiter(20);
        assert_eq!(burst(&limiter, 1), 20);
        clock.advance(Duration::from_millis(500));
        assert_eq!(burst(&limiter, 1), 10);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(burst(&limiter, 1), 20, "no more than a second's worth is saved up");
    }

    #[test]
    fn keys_that_share_one_counter_do_not_disturb_each_other() {
        let (limiter, _) = limiter(20);
        assert_eq!(burst(&limiter, hash_of(1, 1)), 20);
        assert_eq!(burst(&limiter, hash_of(1, 2)), 20);
        assert_eq!(burst(&limiter, hash_of(2, 1)), 20);
        assert_eq!(burst(&limiter, hash_of(2, 2)), 0, "both its counters are used up by others");
        assert_eq!(burst(&limiter, hash_of(3, 3)), 20);
    }

    #[test]
    fn no_key_gets_more_than_its_rate_however_many_there_are() {
        let (limiter, _) = limiter(2);
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..200_000 {
            let _ = limiter.check_key(&spread(number));
        }
        assert!((0..200_000).all(|number| burst(&limiter, spread(number)) <= 2));
    }

    #[test]
    fn few_of_many_keys_are_turned_away_too_soon() {
        let (limiter, _) = limiter(1);
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let early = (0..10_000).filter(|number| limiter.check_key(&spread(*number)).is_err()).count();
        assert!(early < 200, "{early} of 10,000");
    }

    #[test]
    fn events_at_once_are_counted_once_each() {
        let (limiter, _) = limiter(1000);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| burst(&limiter, 7))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }
}
