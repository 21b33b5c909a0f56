//! The replicas of the primary: how many must have a change, and whether the settings of Redis fit.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::RequiredReplicas;

/// How long a replica counts after its connection to the primary was lost. A replica that becomes the primary leaves the
/// old primary a moment earlier. In this time, a change that it lacks must not be confirmed.
const MEMORY: Duration = Duration::from_secs(60);

/// The largest number of replicas that the primary had recently.
#[derive(Default)]
pub(super) struct RecentReplicas(Mutex<Option<(u32, Instant)>>);

impl RecentReplicas {
    /// Stores how many replicas the primary has now. Returns how many must have a change so that all have it.
    pub(super) fn update(&self, present: u32, now: Instant) -> u32 {
        let mut most = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |(count, at): &(u32, Instant)| present >= *count || now.saturating_duration_since(*at) > MEMORY;
        if most.as_ref().is_none_or(is_newer) {
            *most = Some((present, now));
        }
        most.map_or(present, |(count, _)| count).max(1)
    }
}

/// Returns the number of replicas in the answer to `INFO replication` that follow the primary.
pub(super) fn count_online(info: &str) -> u32 {
    let is_online = |line: &&str| line.starts_with("slave") && line.contains("state=online");
    u32::try_from(info.lines().filter(is_online).count()).unwrap_or(u32::MAX)
}

/// Returns what is wrong if the required replicas do not fit to `min-replicas-to-write` or to the present replicas.
pub(super) fn replica_warning(required: RequiredReplicas, least: Option<u32>, online: u32) -> Option<String> {
    let expected = online.max(least.unwrap_or(0));
    match required {
        RequiredReplicas::Count(count) if count < expected => Some(format!(
            "Redis has {expected} replicas or requires them, but a change is confirmed when {count} has it: a failover to \
             another replica loses confirmed changes. Set `replicas` in [store] to \"all\" or {expected}"
        )),
        RequiredReplicas::Count(_) | RequiredReplicas::All if least == Some(0) => Some(
            "with `min-replicas-to-write 0`, a primary that has lost its replicas goes on, so processes on its side do \
             not see bans of a new primary: set it to 1"
                .to_owned(),
        ),
        RequiredReplicas::Count(_) | RequiredReplicas::All => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_counts_for_a_while_after_it_is_lost() {
        let (replicas, start) = (RecentReplicas::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(replicas.update(0, start), 1, "without a replica, no change is confirmed");
        assert_eq!(replicas.update(2, at(1)), 2);
        assert_eq!(replicas.update(1, at(2)), 2);
        assert_eq!(replicas.update(1, at(61)), 2);
        assert_eq!(replicas.update(1, at(62)), 1);
        assert_eq!(replicas.update(3, at(63)), 3);
    }

    #[test]
    fn only_replicas_that_follow_count() {
        let info = "role:master\r\nconnected_slaves:2\r\nslave0:ip=::1,port=1,state=online,offset=1,lag=0\r\n\
                    slave1:ip=::1,port=2,state=wait_bgsave,offset=0,lag=0\r\n";
        assert_eq!(count_online(info), 1);
    }

    #[test]
    fn settings_that_do_not_fit_cause_a_warning() {
        let (one, all) = (RequiredReplicas::Count(1), RequiredReplicas::All);
        for (required, least, online, says) in [
            (one, Some(1), 2, "a failover to another replica loses"),
            (one, Some(2), 1, "a failover to another replica loses"),
            (one, Some(0), 1, "min-replicas-to-write 0"),
            (all, Some(0), 2, "min-replicas-to-write 0"),
        ] {
            let warning = replica_warning(required, least, online);
            assert!(warning.as_ref().is_some_and(|text| text.contains(says)), "{warning:?}");
        }
        for (required, least, online) in
            [(one, Some(1), 1), (RequiredReplicas::Count(2), Some(1), 2), (all, Some(1), 3)]
        {
            assert_eq!(replica_warning(required, least, online), None);
        }
        assert_eq!(replica_warning(all, None, 2), None, "the setting is unknown");
    }
}
