//! The process's environment variables: the one place that reads them.

use std::ffi::OsString;

/// The variable's value, if it is set.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment for all others")]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
