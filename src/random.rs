//! Random bytes from the operating system's generator: the one place that asks it.

use rand::TryRng;
#[expect(clippy::disallowed_types, reason = "this is the module that asks the generator for all others")]
use rand::rngs::SysRng;

/// The operating system could not give random bytes. Nothing may be signed without them.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed: {0}")]
pub struct NoEntropy(String);

/// `N` random bytes, fit for keys and nonces.
///
/// # Errors
/// If the operating system's generator fails.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| NoEntropy(error.to_string()))?;
    Ok(bytes)
}
