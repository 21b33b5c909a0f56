//! The names of Centrifugo's channels.

use crate::model::{Pattern, check_identifier};

/// The longest name of a channel, in bytes: Centrifugo's default.
const MAX_CHANNEL_BYTES: usize = 255;

/// Reads the name of a channel.
///
/// # Errors
/// Returns the flaw, in words that complete "channel …".
pub(super) fn parse_channel(name: &str) -> Result<Pattern, String> {
    check_identifier(name, MAX_CHANNEL_BYTES).map_err(|flaw| flaw.to_string())?;
    if name.len() > MAX_CHANNEL_BYTES {
        return Err(format!("must have at most {MAX_CHANNEL_BYTES} bytes"));
    }
    // Centrifugo gives these characters a meaning: the users of a channel, and names of its own.
    if name.contains(['#', '&']) {
        return Err("must not hold `#` or `&`: Centrifugo lets the users after `#` in without a token".to_owned());
    }
    if name.contains('*') {
        return Err("must not hold `*`: a request is for one channel".to_owned());
    }
    Ok(Pattern::Exact(name.to_owned()))
}
