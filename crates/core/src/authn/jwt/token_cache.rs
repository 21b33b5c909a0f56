//! Caches tokens with a valid signature. A cached token needs no signature check and no JSON parsing.
//!
//! A cached token is accepted only if a new verification would give the same result: its dates are valid now, and the
//! keys that verified it are still the current keys. Failures are not cached. The tokens themselves are not stored: the
//! cache stores a MAC of each token under a secret key.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::key_set::KeyGeneration;
use crate::authn::binding::TokenCaller;
use crate::crypto::mac::HmacSha256;
use crate::model::{Caller, Millis};

/// The number of parts of the cache, so that parallel requests seldom wait for each other.
const SHARDS: usize = 16;

/// The capacity of each part, and the maximum weight of one token, in bytes as [`estimate_weight`] estimates them.
const MAX_SHARD_BYTES: usize = 1 << 20;
const MAX_TOKEN_WEIGHT: usize = 32 << 10;

/// The cache of verified tokens.
pub(in crate::authn) struct TokenCache {
    key: HmacSha256,
    shards: [Mutex<CacheShard>; SHARDS],
}

/// The MAC of a token.
pub(in crate::authn) type TokenDigest = [u8; 32];

/// The result of the verification of a token.
#[derive(Clone, Debug)]
pub(in crate::authn) struct VerifiedToken {
    pub(in crate::authn) caller: TokenCaller,
    /// The period in which the dates of the token are valid, in milliseconds since 1970.
    pub(super) validity: Range<u64>,
    pub(super) key_generation: KeyGeneration,
}

#[derive(Default)]
struct CacheShard {
    entries: HashMap<TokenDigest, (VerifiedToken, usize)>,
    /// The digests in the order of insertion. The oldest is removed first.
    order: VecDeque<TokenDigest>,
    weight: usize,
}

impl TokenCache {
    /// Creates an empty cache. The key must be random and secret. A client that knew the key could search for two
    /// tokens with the same MAC.
    pub(in crate::authn) fn new(key: &[u8; 32]) -> TokenCache {
        TokenCache { key: HmacSha256::new(key), shards: Default::default() }
    }

    /// Returns the MAC of this token.
    pub(in crate::authn) fn digest(&self, token: &str) -> TokenDigest {
        self.key.mac(token.as_bytes())
    }

    /// Returns the caller of the token, if the token is cached and still valid.
    pub(in crate::authn) fn get(&self, id: &TokenDigest, now: Millis) -> Option<TokenCaller> {
        let part = self.shard(id);
        let (finding, _) = part.entries.get(id)?;
        finding.is_valid(now).then(|| finding.caller.clone())
    }

    /// Caches a verified token. A token that is too heavy is not cached.
    pub(in crate::authn) fn insert(&self, id: TokenDigest, finding: VerifiedToken) {
        let weight = estimate_weight(finding.caller.unconfirmed_caller());
        if weight <= MAX_TOKEN_WEIGHT {
            self.shard(&id).insert(id, finding, weight);
        }
    }

    fn shard(&self, [first, ..]: &TokenDigest) -> MutexGuard<'_, CacheShard> {
        // Every step under the lock leaves the part in a consistent state, so a poisoned lock is still usable.
        self.shards[usize::from(*first) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheShard {
    fn insert(&mut self, id: TokenDigest, finding: VerifiedToken, weight: usize) {
        match self.entries.insert(id, (finding, weight)) {
            Some((_, replaced)) => self.weight -= replaced,
            None => self.order.push_back(id),
        }
        self.weight += weight;
        while self.weight > MAX_SHARD_BYTES {
            self.evict_oldest();
        }
    }

    fn evict_oldest(&mut self) {
        let oldest = self.order.pop_front().and_then(|id| self.entries.remove(&id));
        self.weight = oldest.map_or(0, |(_, weight)| self.weight - weight);
    }
}

impl VerifiedToken {
    fn is_valid(&self, now: Millis) -> bool {
        self.key_generation.is_current() && self.validity.contains(&now.0)
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCache(…)")
    }
}

/// Estimates the memory of a caller in the cache, in bytes. The estimate is rather too high than too low.
fn estimate_weight(caller: &Caller) -> usize {
    /// The entry, its digest (twice), the caller, and the overhead of the allocations.
    const ENTRY: usize = 512;
    const BINDING: usize = 96;
    let bindings = caller.bindings.iter().map(|(scope, _)| BINDING + scope.to_string().len());
    ENTRY + caller.subject.len() + bindings.sum::<usize>() + object_weight(&caller.claims)
}

/// Estimates the memory of a map. It consists of nodes for up to 11 members, which are at least half full.
fn object_weight(members: &Map<String, Value>) -> usize {
    const NODE: usize = 720;
    const MEMBER: usize = 160;
    let inside: usize = members.iter().map(|(name, value)| MEMBER + name.len() + value_weight(value)).sum();
    if members.is_empty() { 0 } else { NODE + inside }
}

/// Estimates the memory of a value beside its own slot.
fn value_weight(value: &Value) -> usize {
    const PLACE: usize = 64;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => 16 + text.len(),
        Value::Array(values) => values.iter().map(|value| PLACE + value_weight(value)).sum(),
        Value::Object(members) => object_weight(members),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::CallerKind;

    const NOW: Millis = Millis(1);

    fn finding(claims: Value) -> VerifiedToken {
        let Value::Object(claims) = claims else { unreachable!("claims are an object") };
        let (kind, subject, authenticator) = (CallerKind::User, "tom".to_owned(), "app-users".into());
        let caller = Arc::new(Caller { kind, subject, authenticator, claims, bindings: Vec::new() });
        VerifiedToken { caller: TokenCaller::new(caller, None), validity: 0..2, key_generation: KeyGeneration::Fixed }
    }

    fn total(verified: &TokenCache) -> usize {
        verified.shards.iter().map(|part| part.lock().unwrap().weight).sum()
    }

    #[test]
    fn a_flood_takes_bounded_memory_and_pushes_out_the_oldest() {
        let verified = TokenCache::new(&[1; 32]);
        let ids: Vec<_> = (0..50_000).map(|number| verified.digest(&number.to_string())).collect();
        for id in &ids {
            verified.insert(*id, finding(json!({"pad": "x".repeat(1000)})));
        }
        for part in &verified.shards {
            let part = part.lock().unwrap();
            assert_eq!(part.order.len(), part.entries.len());
            assert_eq!(part.weight, part.entries.values().map(|(_, weight)| weight).sum::<usize>());
            assert!((MAX_SHARD_BYTES - MAX_TOKEN_WEIGHT..=MAX_SHARD_BYTES).contains(&part.weight), "{}", part.weight);
        }
        let known: Vec<_> = ids.iter().map(|id| verified.get(id, NOW).is_some()).collect();
        assert!(known[49_000..].iter().all(|known| *known), "the newest stay");
        assert!(!known[..10_000].iter().any(|known| *known), "the oldest go");
    }

    #[test]
    fn one_token_has_one_place_however_often_it_is_verified() {
        let (verified, one) = (TokenCache::new(&[1; 32]), finding(json!({"a": 1})));
        let id = verified.digest("one");
        for _ in 0..3 {
            verified.insert(id, one.clone());
        }
        assert_eq!(total(&verified), estimate_weight(one.caller.unconfirmed_caller()));
        verified.insert(id, finding(json!({})));
        assert_eq!(total(&verified), estimate_weight(finding(json!({})).caller.unconfirmed_caller()));
    }

    #[test]
    fn what_is_too_heavy_is_not_remembered() {
        let verified = TokenCache::new(&[1; 32]);
        // Each of these has about 6 KiB of JSON, the maximum for claims.
        let cases = [
            (json!({"a": "x".repeat(6000)}), true),
            (json!({"a": vec![1; 3000]}), false),
            (json!({"a": vec![json!({"b": 0}); 750]}), false),
        ];
        for (number, (claims, fits)) in cases.into_iter().enumerate() {
            let id = verified.digest(&number.to_string());
            verified.insert(id, finding(claims));
            assert_eq!(verified.get(&id, NOW).is_some(), fits, "{number}");
        }
    }

    #[test]
    fn what_stands_for_a_token_depends_on_the_key() {
        let (one, other) = (TokenCache::new(&[1; 32]), TokenCache::new(&[2; 32]));
        assert_eq!(one.digest("token"), one.digest("token"));
        assert_ne!(one.digest("token"), one.digest("tokem"));
        assert_ne!(one.digest("token"), other.digest("token"));
    }
}
