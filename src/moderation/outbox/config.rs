//! The time limits of the outbox, and the delay before a retry.

use std::time::Duration;

use crate::moderation::ModerationReplica;

/// The longest delay that another server can ask for.
const MAX_REQUESTED_DELAY: Duration = Duration::from_secs(3600);

/// Time limits and concurrency of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// How long a process holds a job. Much longer than any request.
    pub lease: Duration,
    /// The time limit for the answer of a vendor.
    pub patience: Duration,
    /// The time limit for the answer of a webhook.
    pub webhook_patience: Duration,
    /// The delay before the first retry, and the longest delay.
    pub backoff: (Duration, Duration),
    /// The time between two checks for due jobs, if there is no hint of a job.
    pub poll: Duration,
    /// The time between two counts of the waiting jobs.
    pub count: Duration,
    /// The maximum number of jobs in progress for each queue of an app or a webhook.
    pub at_once: usize,
    /// How long after a change another process can give out signatures without knowing the change. `None`: there is no
    /// other process.
    pub lag: Option<Duration>,
}

impl Default for OutboxConfig {
    fn default() -> OutboxConfig {
        OutboxConfig {
            lease: Duration::from_secs(30),
            patience: Duration::from_secs(5),
            webhook_patience: Duration::from_secs(10),
            backoff: (Duration::from_secs(1), Duration::from_secs(600)),
            poll: Duration::from_secs(1),
            count: Duration::from_secs(15),
            at_once: 16,
            lag: None,
        }
    }
}

/// The maximum difference between the clocks of processes, of the store and of vendors.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(10);

impl OutboxConfig {
    /// Returns the default configuration, with the lag of this replica.
    pub fn for_replica(moderation: &ModerationReplica) -> OutboxConfig {
        OutboxConfig {
            lag: moderation.propagation_delay().map(|lag| lag.saturating_add(MAX_CLOCK_SKEW)),
            ..OutboxConfig::default()
        }
    }
}

/// Returns the delay after this number of failures. The delay doubles each time, up to a limit. A random part of up to
/// a half is subtracted, because jobs that failed together should not retry together. The delay is not shorter than
/// `asked`, the delay that the other server asked for.
pub(super) fn retry_delay(terms: &OutboxConfig, failures: u32, asked: Option<Duration>, chance: u32) -> Duration {
    let (least, most) = terms.backoff;
    let whole = least.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX)).min(most);
    let random = whole.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 2.0);
    let wait = whole.saturating_sub(random).max(least.min(whole));
    asked.map_or(wait, |asked| wait.max(asked.min(MAX_REQUESTED_DELAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_a_limit_with_jitter() {
        let terms = OutboxConfig::default();
        let wait = |failures, chance| retry_delay(&terms, failures, None, chance).as_secs();
        assert_eq!([wait(0, 0), wait(3, 0), wait(20, 0), wait(u32::MAX, 0)], [1, 8, 600, 600]);
        assert_eq!([wait(0, u32::MAX), wait(3, u32::MAX), wait(20, u32::MAX)], [1, 4, 300]);
    }

    #[test]
    fn requested_delay_is_limited() {
        let asked = |seconds| retry_delay(&OutboxConfig::default(), 2, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!([asked(1), asked(30), asked(1_000_000)], [4, 30, 3600]);
    }
}
