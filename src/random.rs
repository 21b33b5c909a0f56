//! Random bytes from the generator of the operating system. Only this module calls the generator.

use std::cell::RefCell;
use std::time::Duration;

use rand::TryRng;
#[expect(clippy::disallowed_types, reason = "this is the module that asks the generator for all others")]
use rand::rngs::SysRng;

/// The error if the operating system cannot provide random bytes. Nothing may be signed without them.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed: {0}")]
pub struct EntropyError(String);

/// Returns `N` random bytes, suitable for keys and nonces.
///
/// # Errors
/// Returns an error if the generator of the operating system fails.
pub fn bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| EntropyError(error.to_string()))?;
    Ok(bytes)
}

/// Returns a random time between half of this time and all of it, so that tasks that wait for the same event do not all
/// start at once.
pub fn with_jitter(pause: Duration) -> Duration {
    let [drawn] = bytes::<1>().unwrap_or([u8::MAX]);
    pause / 2 + pause / 2 * u32::from(drawn) / u32::from(u8::MAX)
}

/// Returns 16 random bytes for a nonce. Many nonces are drawn at once, because the system call costs more than the rest
/// of the nonce.
///
/// # Errors
/// Returns an error if the generator of the operating system fails.
pub fn nonce() -> Result<[u8; 16], EntropyError> {
    thread_local! {
        static DRAWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    }
    DRAWN.with_borrow_mut(|drawn| {
        if let Some(nonce) = drawn.pop() {
            return Ok(nonce);
        }
        drawn.extend_from_slice(bytes::<{ 31 * 16 }>()?.as_chunks().0);
        bytes()
    })
}
