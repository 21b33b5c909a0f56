//! Protection against abuse: rates for each address and each caller, and limits on connections and on requests in
//! progress.
//!
//! The memory is allocated at the start and does not grow.

mod concurrency;
mod rate;
mod rejections;
mod table;

use core::net::{IpAddr, Ipv6Addr};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;

pub use concurrency::{AdmissionPermit, ConcurrencyLimit, MAX_ADMIN_CONNECTIONS};
pub use rate::RateLimited;

use crate::config;
use crate::model::Caller;
use concurrency::available_connections;
use rate::{ByteBudget, KeyedRateLimiter};
use rejections::{RejectionCounter, Rejections};

/// The maximum number of event streams at the same time. Each stream reads the moderation store when the store changes.
const MAX_EVENT_STREAMS: usize = 100;

/// All limits and their current use.
#[derive(Debug)]
pub struct Limits {
    per_address: Option<Arc<KeyedRateLimiter>>,
    per_caller: Option<Arc<KeyedRateLimiter>>,
    /// The budget for the audit lines of refused requests.
    refused_lines: Arc<ByteBudget>,
    beyond: Rejections,
    /// The limit on connections.
    pub connections: ConcurrencyLimit,
    /// The limit on requests in progress.
    pub in_flight: ConcurrencyLimit,
    /// The limit on further requests that wait for the rest of their body.
    pub waiting: ConcurrencyLimit,
    /// The limit on event streams.
    pub streams: ConcurrencyLimit,
    /// A hasher with a random key, so that a client cannot choose to share a counter with another client.
    hasher: RandomState,
}

impl Limits {
    /// Creates unused limits.
    pub fn new(settings: &config::LimitsConfig) -> Limits {
        let beyond = Rejections::default();
        Limits {
            per_address: rate_limiter(None, settings.per_address, &beyond.address),
            per_caller: rate_limiter(None, settings.per_caller, &beyond.caller),
            refused_lines: Arc::new(ByteBudget::new(settings.refused_lines)),
            beyond,
            connections: ConcurrencyLimit::new(
                available_connections(settings.max_connections, None),
                "connections beyond limits.max_connections",
            ),
            in_flight: ConcurrencyLimit::new(settings.max_in_flight, "requests beyond limits.max_in_flight"),
            waiting: ConcurrencyLimit::new(
                settings.max_in_flight,
                "requests that waited for their body beyond limits.max_in_flight",
            ),
            streams: ConcurrencyLimit::new(MAX_EVENT_STREAMS, "event streams beyond the limit"),
            hasher: RandomState::new(),
        }
    }

    /// Returns the limits with new settings. Taken slots and counters are kept, but a changed rate starts again from
    /// zero.
    #[must_use]
    pub fn with_settings(&self, settings: &config::LimitsConfig) -> Limits {
        let connections = available_connections(settings.max_connections, Some(self.connections.capacity()));
        Limits {
            per_address: rate_limiter(self.per_address.as_ref(), settings.per_address, &self.beyond.address),
            per_caller: rate_limiter(self.per_caller.as_ref(), settings.per_caller, &self.beyond.caller),
            refused_lines: self.audit_budget(settings.refused_lines),
            beyond: self.beyond.clone(),
            connections: self.connections.resized(connections),
            in_flight: self.in_flight.resized(settings.max_in_flight),
            waiting: self.waiting.resized(settings.max_in_flight),
            streams: self.streams.clone(),
            hasher: self.hasher.clone(),
        }
    }

    /// Counts a request of this address.
    ///
    /// # Errors
    /// Returns an error if the address exceeds its rate.
    pub fn check_address(&self, address: IpAddr) -> Result<(), RateLimited> {
        let Some(rate) = &self.per_address else { return Ok(()) };
        rate.check(self.hasher.hash_one(rate_limit_key(address)))
    }

    /// Returns whether an audit line of a refused request, with this number of bytes, may be written for this address.
    /// If it may, the bytes are taken from the budget of the address.
    pub fn take_audit_budget(&self, address: IpAddr, bytes: usize) -> bool {
        self.refused_lines.take(self.hasher.hash_one(rate_limit_key(address)), bytes)
    }

    fn audit_budget(&self, per_second: NonZeroU32) -> Arc<ByteBudget> {
        if self.refused_lines.per_second == per_second {
            return Arc::clone(&self.refused_lines);
        }
        Arc::new(ByteBudget::new(per_second))
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// Returns an error if the caller exceeds its rate.
    pub fn caller(&self, caller: &Caller) -> Result<(), RateLimited> {
        let Some(rate) = &self.per_caller else { return Ok(()) };
        rate.check(self.hasher.hash_one((caller.kind, &caller.subject)))
    }

    /// Returns the number of requests and connections that each limit has rejected, by the name of the limit in the
    /// metrics.
    pub fn rejections(&self) -> [(&'static str, u64); 5] {
        [
            ("per_address", self.beyond.address.count()),
            ("per_caller", self.beyond.caller.count()),
            ("in_flight", self.in_flight.rejections() + self.waiting.rejections()),
            ("connections", self.connections.rejections()),
            ("streams", self.streams.rejections()),
        ]
    }
}

/// Returns a rate limiter for this rate. Reuses the limiter from before if its rate is the same.
fn rate_limiter(
    before: Option<&Arc<KeyedRateLimiter>>,
    per_second: Option<NonZeroU32>,
    beyond: &Arc<RejectionCounter>,
) -> Option<Arc<KeyedRateLimiter>> {
    let per_second = per_second?;
    let same = before.filter(|before| before.per_second == per_second);
    Some(same.map_or_else(|| Arc::new(KeyedRateLimiter::new(per_second, Arc::clone(beyond))), Arc::clone))
}

/// Returns the rate-limit key: the IPv4 address, or the /64 prefix of an IPv6 address, which is the smallest network of
/// one customer. The prefix `::/64` holds only special addresses, so each of them is a key.
pub fn rate_limit_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => match address.to_bits() >> 64 << 64 {
            0 => IpAddr::V6(address),
            prefix => IpAddr::V6(Ipv6Addr::from_bits(prefix)),
        },
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn used_slots_and_rates_survive_new_settings() {
        let settings = config::LimitsConfig {
            per_address: NonZeroU32::new(1),
            per_caller: None,
            max_in_flight: 1,
            max_connections: 1,
            refused_lines: NonZeroU32::new(100).unwrap(),
            max_token_size: 8 << 10,
            trusted_proxies: crate::authn::TrustedProxies::default(),
        };
        let address = |limits: &Limits| limits.check_address([192, 0, 2, 1].into());
        let limits = Limits::new(&settings);
        let _slots = (limits.connections.try_acquire(), limits.in_flight.try_acquire());
        assert_eq!(address(&limits), Ok(()));
        let same = limits.with_settings(&settings);
        assert!(
            address(&same).is_err()
                && same.connections.try_acquire().is_none()
                && same.in_flight.try_acquire().is_none()
        );
        let refused = |limits: &Limits| limits.take_audit_budget([192, 0, 2, 1].into(), 6400);
        assert!(refused(&limits) && !refused(&limits) && !refused(&same));
        let wider =
            config::LimitsConfig { per_address: NonZeroU32::new(2), max_in_flight: 2, max_connections: 2, ..settings };
        let wider = same.with_settings(&wider);
        assert!(
            address(&wider).is_ok()
                && wider.connections.try_acquire().is_some()
                && wider.in_flight.try_acquire().is_some()
        );
    }

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        let of = |text: &str| rate_limit_key(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("192.0.2.1"), of("::1"));
        assert_ne!(of("::"), of("::1"));
    }
}
