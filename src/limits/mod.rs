//! What keeps abuse cheap: rates for each address and each caller, and caps on connections and on requests in progress.
//!
//! Its memory is set at the start, whatever comes.

mod cap;
mod rate;
mod table;
mod tally;

use core::net::IpAddr;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

pub use cap::{Cap, Slot};

use crate::config;
use crate::model::Caller;
use rate::Rate;
use tally::Tally;

/// All limits, and how much of them is used.
#[derive(Debug)]
pub struct Limits {
    per_address: Option<Rate>,
    per_caller: Option<Rate>,
    /// How many connections there may be at once.
    pub connections: Arc<Cap>,
    /// How many requests may be in progress at once.
    pub in_flight: Cap,
    /// How many besides may wait for the rest of their body at once.
    pub waiting: Cap,
    /// Keyed at random, so that nobody can choose whom to share a counter with.
    hasher: RandomState,
}

/// A rate is exceeded: for how long not to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSoon(pub Duration);

impl Limits {
    /// Starts with nothing used.
    pub fn new(settings: &config::Limits) -> Limits {
        let rate = |per_second, of| Some(Rate::new(per_second?, Tally::new(of)));
        Limits {
            per_address: rate(settings.per_address, "requests beyond an address's rate"),
            per_caller: rate(settings.per_caller, "requests beyond a caller's rate"),
            connections: Arc::new(Cap::new(settings.connections, "connections beyond limits.connections")),
            in_flight: Cap::new(settings.in_flight, "requests beyond limits.in_flight"),
            waiting: Cap::new(settings.in_flight, "requests that waited for their body beyond limits.in_flight"),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of the address that `of` finds out, which is only asked where that matters.
    ///
    /// # Errors
    /// If the address is beyond its rate.
    pub fn address(&self, of: impl FnOnce() -> IpAddr) -> Result<(), TooSoon> {
        let Some(rate) = &self.per_address else { return Ok(()) };
        rate.check(self.hasher.hash_one(neighbourhood(of())))
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// If the caller is beyond its rate.
    pub fn caller(&self, caller: &Caller) -> Result<(), TooSoon> {
        let Some(rate) = &self.per_caller else { return Ok(()) };
        rate.check(self.hasher.hash_one((caller.kind, &caller.subject)))
    }
}

/// Whose requests are counted together: an IPv4 address's, and those of the 2^64 IPv6 addresses that one customer has at least.
fn neighbourhood(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("192.0.2.1"), of("::1"));
    }
}
