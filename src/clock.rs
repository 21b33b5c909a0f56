//! The wall clock. Only this module reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Millis;

/// Returns the current time. A time before 1970 becomes 1970.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock for all others")]
pub fn now() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
