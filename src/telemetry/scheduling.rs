//! Measures how late the program runs: the time in which it was ready to run, but got no CPU time, or was stopped.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// The interval of the measurements.
const INTERVAL: Duration = Duration::from_millis(250);

/// The least delay that is logged.
const MIN_LOGGED: Duration = Duration::from_secs(1);

/// The least delay that is kept for [`SchedulingDelay::within`], and the number of delays.
const RECENT: (Duration, usize) = (Duration::from_millis(100), 64);

/// How late the measurements were.
#[derive(Debug)]
pub struct SchedulingDelay(Mutex<Measurements>);

#[derive(Debug)]
struct Measurements {
    /// The last measurement. Before the first: nothing is measured.
    last: Option<Instant>,
    total: Duration,
    /// The end and the length of the last delays.
    recent: VecDeque<(Instant, Duration)>,
}

impl Default for SchedulingDelay {
    fn default() -> SchedulingDelay {
        SchedulingDelay(Mutex::new(Measurements { last: None, total: Duration::ZERO, recent: VecDeque::new() }))
    }
}

impl SchedulingDelay {
    /// Measures without end. Logs each delay of a second or more.
    pub async fn measure(&self) {
        self.lock().last = Some(Instant::now());
        loop {
            sleep(INTERVAL).await;
            let delay = self.lock().record(Instant::now());
            if delay >= MIN_LOGGED {
                tracing::warn!("this process did not run for {}: {DELAY_CAUSES}", seconds(delay));
            }
        }
    }

    /// Returns the sum of all delays.
    pub fn total(&self) -> Duration {
        let measurements = self.lock();
        measurements.total.saturating_add(measurements.pending(Instant::now()))
    }

    /// Returns the sum of the delays of at least a tenth of a second in the last `window`.
    pub fn within(&self, window: Duration) -> Duration {
        self.lock().within(Instant::now(), window)
    }

    fn lock(&self) -> MutexGuard<'_, Measurements> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Measurements {
    /// Records a measurement, and returns its delay.
    fn record(&mut self, now: Instant) -> Duration {
        let delay = self.pending(now);
        self.last = Some(now);
        self.total = self.total.saturating_add(delay);
        if delay >= RECENT.0 {
            self.recent.truncate(RECENT.1 - 1);
            self.recent.push_front((now, delay));
        }
        delay
    }

    /// Returns how late the next measurement is.
    fn pending(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last).saturating_sub(INTERVAL))
    }

    fn within(&self, now: Instant, window: Duration) -> Duration {
        let pending = Some(self.pending(now)).filter(|delay| *delay >= RECENT.0);
        let recent = self.recent.iter().map(|(end, delay)| {
            let since = now.saturating_duration_since(*end);
            window.saturating_sub(since).min(*delay)
        });
        pending.into_iter().map(|delay| delay.min(window)).chain(recent).sum()
    }
}

/// The possible causes of a delay, for messages.
pub const DELAY_CAUSES: &str = "it got no CPU time, or it was stopped";

/// Returns the text of a duration, in seconds with one decimal place.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn delays_are_summed_within_a_window() {
        let began = Instant::now();
        let at = |millis: u64| began + Duration::from_millis(millis);
        let millis = Duration::from_millis;
        let mut measurements = Measurements { last: None, total: Duration::ZERO, recent: VecDeque::new() };
        assert_eq!((measurements.pending(at(9000)), measurements.record(at(0))), (millis(0), millis(0)));
        assert_eq!(measurements.record(at(255)), millis(5));
        assert_eq!(measurements.record(at(5505)), millis(5000));
        assert_eq!(measurements.within(at(5505), millis(60_000)), millis(5000));
        // Only a part of the delay is in the window, and the measurement that is late now counts as well.
        assert_eq!(measurements.within(at(6505), millis(2000)), millis(1000 + 750));
        assert_eq!(measurements.within(at(20_000), millis(5000)), millis(5000));
        assert_eq!(measurements.record(at(5755)), millis(0));
        assert_eq!((measurements.total, measurements.recent.len()), (millis(5005), 1));
        for number in 0..200 {
            measurements.record(at(5755 + 1000 * (number + 1)));
        }
        assert_eq!(measurements.recent.len(), RECENT.1);
    }
}
