//! What is random in these tests, all of it from one number.

use std::time::Duration;

use chat_signer::{clock, environment};

/// Sets the number, to repeat what a failed test did.
const SEED: &str = "CHAT_SIGNER_TEST_SEED";

/// Numbers that look random: SplitMix64, by Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
pub(crate) struct Chance(u64);

impl Chance {
    /// From a number that is another each time, and is printed.
    pub(crate) fn new() -> Chance {
        let seed =
            environment::get(SEED).map_or_else(|| clock::now().0, |seed| seed.to_str().unwrap().parse().unwrap());
        println!("{SEED}={seed}");
        Chance(seed)
    }

    /// Another one, which goes its own way.
    pub(crate) fn split(&mut self) -> Chance {
        Chance(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// One of these.
    pub(crate) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Less than this long.
    pub(crate) fn shorter_than(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.next() % u64::try_from(most.as_nanos()).unwrap())
    }
}
