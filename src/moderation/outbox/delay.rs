//! The delay before a retry.

use std::time::Duration;

use super::OutboxConfig;

/// The longest delay that another server can ask for.
const MAX_REQUESTED_DELAY: Duration = Duration::from_secs(3600);

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
