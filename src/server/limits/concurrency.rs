//! Limits the number of things that exist at the same time. The limit on open files of the process also limits its
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::rejections::RejectionCounter;

/// The maximum number of connections to the admin listener.
pub const MAX_ADMIN_CONNECTIONS: usize = 256;

/// The number of files besides the connections of callers: listeners, logs, connections to other servers.
const RESERVED_FILES: u64 = 64;

/// A limit on the number of things that exist at the same time.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    most: usize,
    taken: Arc<AtomicUsize>,
    turned_away: Arc<RejectionCounter>,
}

/// A taken slot. Dropping it frees the slot.
#[derive(Debug)]
pub struct AdmissionPermit(Arc<AtomicUsize>);

impl ConcurrencyLimit {
    /// Creates a limit with `most` slots. `beyond` describes the rejected things in the log.
    pub fn new(most: usize, beyond: &'static str) -> ConcurrencyLimit {
        ConcurrencyLimit { most, taken: Arc::default(), turned_away: Arc::new(RejectionCounter::new(beyond)) }
    }

    /// Returns the same limit with `most` slots. Slots that are already taken stay taken.
    #[must_use]
    pub fn resized(&self, most: usize) -> ConcurrencyLimit {
        ConcurrencyLimit { most, ..self.clone() }
    }

    /// Takes a slot if one is free.
    pub fn try_acquire(&self) -> Option<AdmissionPermit> {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
            return Some(AdmissionPermit(Arc::clone(&self.taken)));
        }
        self.turned_away.record();
        None
    }

    /// Returns the number of slots.
    pub fn capacity(&self) -> usize {
        self.most
    }

    /// Returns the number of taken slots.
    pub fn in_use(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns how many times there was no free slot.
    pub fn rejections(&self) -> u64 {
        self.turned_away.count()
    }
}

impl Drop for AdmissionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns how many of the configured connections callers can have, because the admin listener and other parts of the
/// program also need files. Raises the limit of open files to the maximum that the system allows, which is often far
/// more than the initial limit. Logs a warning if the limit is too low, unless it gave the same result `before`.
pub(super) fn available_connections(connections: usize, before: Option<usize>) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Some(most) = getrlimit(Resource::Nofile).current else { return connections };
    let rest = RESERVED_FILES + u64::try_from(MAX_ADMIN_CONNECTIONS).unwrap_or(u64::MAX);
    // If the limit is very low, callers get half of the files.
    let room = usize::try_from(most.saturating_sub(rest).max(most / 2)).unwrap_or(usize::MAX);
    if room < connections && before != Some(room) {
        tracing::warn!(
            "the system allows {most} open files: callers have room for {room} connections, not limits.max_connections = {connections}"
        );
    }
    room.min(connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_it_is_dropped() {
        let cap = ConcurrencyLimit::new(2, "tests");
        let slots = [cap.try_acquire(), cap.try_acquire()];
        assert!(slots.iter().all(Option::is_some));
        assert!(cap.try_acquire().is_none() && cap.try_acquire().is_none());
        drop(slots);
        assert!(cap.try_acquire().is_some());
    }

    #[test]
    fn what_was_taken_counts_under_another_size() {
        let cap = ConcurrencyLimit::new(2, "tests");
        let slots = [cap.try_acquire(), cap.try_acquire()];
        let smaller = cap.resized(1);
        assert!(smaller.try_acquire().is_none() && cap.resized(3).try_acquire().is_some());
        drop(slots);
        let slot = smaller.try_acquire();
        assert!(slot.is_some() && smaller.try_acquire().is_none());
    }
}
