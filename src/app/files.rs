//! How many files, and so connections, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides callers' connections: listeners, logs, probes.
const OTHERS: u64 = 64;

/// Asks the system for as many as it lets this process have, which is often far more than it gives at first. Warns where that isn't
/// enough for so many connections.
pub(super) fn allow(connections: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if let Some(most) = getrlimit(Resource::Nofile).current.filter(|most| *most < wanted) {
        tracing::warn!("the system allows {most} open files: too few for limits.connections = {connections}");
    }
}
