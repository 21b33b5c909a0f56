//! The environment variables of the process. Only this module reads them.

use std::ffi::OsString;

/// Returns the value of the variable, if it is set.
#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment for all others")]
pub fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
