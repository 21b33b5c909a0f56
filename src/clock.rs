//! The wall clock: the one place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Millis;

/// What time it is. A clock before 1970 reads as the epoch.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock for all others")]
pub fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
