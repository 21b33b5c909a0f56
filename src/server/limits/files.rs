//! The limit on open files of the process, which also limits its connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::MAX_ADMIN_CONNECTIONS;

/// The number of files besides the connections of callers: listeners, logs, connections to other servers.
const RESERVED_FILES: u64 = 64;

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
