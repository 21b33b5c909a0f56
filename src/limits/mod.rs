//! What keeps abuse cheap: rates for each address and each caller, and caps on connections and on requests in progress.
//!
//! Its memory is set at the start, whatever comes.

mod budget;
mod concurrency;
mod files;
mod rate;
mod rejections;
mod table;

use core::net::{IpAddr, Ipv6Addr};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use budget::ByteBudget;
pub use concurrency::{AdmissionPermit, ConcurrencyLimit};

use crate::config;
use crate::model::Caller;
use rate::KeyedRateLimiter;
use rejections::RejectionCounter;

/// How many connections the admin listener has at most.
pub const PROBES: usize = 256;

/// What is turned away by the rates, in the log's words.
const ADDRESSES: &str = "requests beyond an address's rate";
const CALLERS: &str = "requests beyond a caller's rate";

/// How many streams of events are served at once. Each reads the moderation store when that changes.
const STREAMS: usize = 100;

/// All limits, and how much of them is used.
#[derive(Debug)]
pub struct Limits {
    per_address: Option<Arc<KeyedRateLimiter>>,
    per_caller: Option<Arc<KeyedRateLimiter>>,
    /// How much the lines of refused requests may add to the audit log.
    refused_lines: Arc<ByteBudget>,
    beyond: Rejections,
    /// How many connections there may be at once.
    pub connections: ConcurrencyLimit,
    /// How many requests may be in progress at once.
    pub in_flight: ConcurrencyLimit,
    /// How many besides may wait for the rest of their body at once.
    pub waiting: ConcurrencyLimit,
    /// How many streams of events there may be at once.
    pub streams: ConcurrencyLimit,
    /// Keyed at random, so that nobody can choose whom to share a counter with.
    hasher: RandomState,
}

/// What the rates have turned away, whatever they were at the time.
#[derive(Clone, Debug)]
struct Rejections {
    address: Arc<RejectionCounter>,
    caller: Arc<RejectionCounter>,
}

/// A rate is exceeded: for how long not to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimited(pub Duration);

impl Limits {
    /// Starts with nothing used.
    pub fn new(settings: &config::LimitsConfig) -> Limits {
        let beyond = Rejections {
            address: Arc::new(RejectionCounter::new(ADDRESSES)),
            caller: Arc::new(RejectionCounter::new(CALLERS)),
        };
        Limits {
            per_address: rate(None, settings.per_address, &beyond.address),
            per_caller: rate(None, settings.per_caller, &beyond.caller),
            refused_lines: Arc::new(ByteBudget::new(settings.refused_lines)),
            beyond,
            connections: ConcurrencyLimit::new(
                files::room(settings.max_connections, None),
                "connections beyond limits.connections",
            ),
            in_flight: ConcurrencyLimit::new(settings.max_in_flight, "requests beyond limits.max_in_flight"),
            waiting: ConcurrencyLimit::new(
                settings.max_in_flight,
                "requests that waited for their body beyond limits.max_in_flight",
            ),
            streams: ConcurrencyLimit::new(STREAMS, "streams of events beyond those that can be served"),
            hasher: RandomState::new(),
        }
    }

    /// Goes on with other settings. What is used stays used, but a rate that changed counts from nothing.
    #[must_use]
    pub fn renewed(&self, settings: &config::LimitsConfig) -> Limits {
        let connections = files::room(settings.max_connections, Some(self.connections.most()));
        Limits {
            per_address: rate(self.per_address.as_ref(), settings.per_address, &self.beyond.address),
            per_caller: rate(self.per_caller.as_ref(), settings.per_caller, &self.beyond.caller),
            refused_lines: self.refused_lines(settings.refused_lines),
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
    /// If the address is beyond its rate.
    pub fn address(&self, address: IpAddr) -> Result<(), RateLimited> {
        let Some(rate) = &self.per_address else { return Ok(()) };
        rate.check(self.hasher.hash_one(rate_limit_key(address)))
    }

    /// Whether the line of a refused request, of so many bytes, may still be written for this address. If so, its budget is smaller by
    /// that.
    pub fn may_write_refused(&self, address: IpAddr, bytes: usize) -> bool {
        self.refused_lines.take(self.hasher.hash_one(rate_limit_key(address)), bytes)
    }

    fn refused_lines(&self, per_second: NonZeroU32) -> Arc<ByteBudget> {
        if self.refused_lines.per_second == per_second {
            return Arc::clone(&self.refused_lines);
        }
        Arc::new(ByteBudget::new(per_second))
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// If the caller is beyond its rate.
    pub fn caller(&self, caller: &Caller) -> Result<(), RateLimited> {
        let Some(rate) = &self.per_caller else { return Ok(()) };
        rate.check(self.hasher.hash_one((caller.kind, &caller.subject)))
    }

    /// How many requests and connections each limit has turned away, by the limit's name in the configuration.
    pub fn turned_away(&self) -> [(&'static str, u64); 5] {
        [
            ("per_address", self.beyond.address.count()),
            ("per_caller", self.beyond.caller.count()),
            ("in_flight", self.in_flight.turned_away() + self.waiting.turned_away()),
            ("connections", self.connections.turned_away()),
            ("streams", self.streams.turned_away()),
        ]
    }
}

/// A rate of so much: the same as before, if it was that.
fn rate(
    before: Option<&Arc<KeyedRateLimiter>>,
    per_second: Option<NonZeroU32>,
    beyond: &Arc<RejectionCounter>,
) -> Option<Arc<KeyedRateLimiter>> {
    let per_second = per_second?;
    let same = before.filter(|before| before.per_second == per_second);
    Some(same.map_or_else(|| Arc::new(KeyedRateLimiter::new(per_second, Arc::clone(beyond))), Arc::clone))
}

/// Rate-limit key: the IPv4 address, or the /64 prefix of an IPv6 address, which is the least that one customer has. In `::/64` are
/// special addresses only, and each counts for itself.
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
    fn what_is_used_stays_used() {
        let settings = config::LimitsConfig {
            per_address: NonZeroU32::new(1),
            per_caller: None,
            max_in_flight: 1,
            max_connections: 1,
            refused_lines: NonZeroU32::new(100).unwrap(),
            trusted_proxies: crate::authn::TrustedProxies::default(),
        };
        let address = |limits: &Limits| limits.address([192, 0, 2, 1].into());
        let limits = Limits::new(&settings);
        let _slots = (limits.connections.take(), limits.in_flight.take());
        assert_eq!(address(&limits), Ok(()));
        let same = limits.renewed(&settings);
        assert!(address(&same).is_err() && same.connections.take().is_none() && same.in_flight.take().is_none());
        let refused = |limits: &Limits| limits.may_write_refused([192, 0, 2, 1].into(), 6400);
        assert!(refused(&limits) && !refused(&limits) && !refused(&same));
        let wider =
            config::LimitsConfig { per_address: NonZeroU32::new(2), max_in_flight: 2, max_connections: 2, ..settings };
        let wider = same.renewed(&wider);
        assert!(address(&wider).is_ok() && wider.connections.take().is_some() && wider.in_flight.take().is_some());
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
