//! How many files, and so connections, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::PROBES;

/// What is open besides connections to the listeners: these, logs, what others are asked over.
const OTHERS: u64 = 64;

/// How many of so many connections callers may have, as probes and all else need files, too. Asks the system for as many as it lets
/// this process have, which is often far more than it gives at first. Warns where that isn't enough, unless that was known `before`.
pub(super) fn room(connections: usize, before: Option<usize>) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Some(most) = getrlimit(Resource::Nofile).current else { return connections };
    let rest = OTHERS + u64::try_from(PROBES).unwrap_or(u64::MAX);
    // Where there are very few, each has a share.
    let room = usize::try_from(most.saturating_sub(rest).max(most / 2)).unwrap_or(usize::MAX);
    if room < connections && before != Some(room) {
        tracing::warn!(
            "the system allows {most} open files: callers have room for {room} connections, not limits.max_connections = {connections}"
        );
    }
    room.min(connections)
}
