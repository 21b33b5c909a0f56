//! Random bytes from the operating system's generator: the one place that asks it.

use std::cell::RefCell;
use std::time::Duration;

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

/// Between half of this time and all of it, so that what waits for the same does not come at the same time.
pub fn jittered(pause: Duration) -> Duration {
    let [drawn] = bytes::<1>().unwrap_or([u8::MAX]);
    pause / 2 + pause / 2 * u32::from(drawn) / u32::from(u8::MAX)
}

/// 16 random bytes for a nonce. They are drawn many at a time: the system call costs more than the whole nonce besides.
///
/// # Errors
/// If the operating system's generator fails.
pub fn nonce() -> Result<[u8; 16], NoEntropy> {
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
