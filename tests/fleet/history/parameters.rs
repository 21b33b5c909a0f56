//! The parameters of a history, and its random choices.

use std::time::Duration;

use chat_signer::environment;

/// How long the servers decide without contact to Redis.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(3);

/// Returns the number in an environment variable.
pub(super) fn number(name: &'static str, default: u64) -> u64 {
    environment::get(name).map_or(default, |text| text.to_str().unwrap().parse().unwrap())
}

/// Numbers that look random: a linear congruential generator with Knuth's constants.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}
