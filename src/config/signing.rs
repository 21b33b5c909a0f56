//! Secrets that sign, and the check that a secret is not easy to guess.

use std::collections::HashSet;

use super::file::ConfigFile;
use super::report::ByteRange;
use crate::authn::Issuer;
use crate::crypto::mac::KeyBlocks;
use crate::crypto::sha256;

/// A secret that signs something.
pub(super) struct SigningSecret {
    pub(super) blocks: KeyBlocks,
    pub(super) sha256: [u8; 32],
    /// The owner: `[apps.NAME]`, the name of an authenticator, or `[[webhooks]]`.
    pub(super) owner: String,
    /// The place of the secret in the file.
    pub(super) place: ByteRange,
    /// The issuer of tokens that are signed with the secret.
    pub(super) issuer: Option<Issuer>,
}

impl SigningSecret {
    /// Describes a secret of this owner.
    pub(super) fn new(secret: &[u8], owner: &str, place: &ByteRange) -> SigningSecret {
        let (blocks, sha256) = (KeyBlocks::new(secret), sha256(secret));
        SigningSecret { blocks, sha256, owner: owner.to_owned(), place: place.clone(), issuer: None }
    }
}

/// The least number of bytes of a secret that cannot be guessed: 128 bits.
const MIN_SECRET_BYTES: usize = 16;

/// Secrets of random bytes, digits or letters practically always have more different bytes than this.
const MAX_WEAK_DISTINCT_BYTES: usize = 5;

/// Returns what makes a secret easy to guess. The text continues a sentence after its name. Returns `None` if there is
/// nothing obvious.
pub(super) fn weakness(secret: &[u8]) -> Option<String> {
    // HMAC pads keys with zeros, so zeros at the end add nothing.
    let end = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let secret = secret.get(..end).unwrap_or_default();
    let repeats = |piece: &usize| secret.iter().zip(secret.iter().skip(*piece)).all(|(one, next)| one == next);
    let piece = (1..secret.len()).find(repeats).unwrap_or(secret.len());
    let different = secret.iter().collect::<HashSet<_>>().len();
    if secret.len() < MIN_SECRET_BYTES {
        Some(format!("has {}, which can be guessed", count(secret.len())))
    } else if piece < MIN_SECRET_BYTES {
        Some(format!("only repeats its first {}", count(piece)))
    } else if different <= MAX_WEAK_DISTINCT_BYTES {
        Some(format!("consists of only {different} different bytes"))
    } else {
        None
    }
}

fn count(bytes: usize) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

/// Warns if a secret is easy to guess. `what` names it in the message.
pub(super) fn warn_if_weak(file: &ConfigFile<'_>, place: &ByteRange, what: &str, secret: &[u8]) {
    if let Some(weakness) = weakness(secret) {
        let help =
            "use random bytes: `openssl rand -hex 32` makes some; copy a vendor's key completely from its console";
        file.warning(place, format!("{what} {weakness}"), help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_repetitive_secrets_are_told_from_random_ones() {
        let text = |secret: &str| weakness(secret.as_bytes());
        assert_eq!(weakness(b"").unwrap_or_default(), "has 0 bytes, which can be guessed");
        assert_eq!(text("fifteen-bytes-!").unwrap_or_default(), "has 15 bytes, which can be guessed");
        assert_eq!(
            weakness(&[b"key".as_slice(), &[0; 61]].concat()).unwrap_or_default(),
            "has 3 bytes, which can be guessed"
        );
        assert_eq!(text(&"a".repeat(64)).unwrap_or_default(), "only repeats its first 1 byte");
        assert_eq!(text(&"change-me".repeat(5)[..40]).unwrap_or_default(), "only repeats its first 9 bytes");
        assert_eq!(text("01101001100101101001011001101001").unwrap_or_default(), "consists of only 2 different bytes");
        for secret in ["d41d8cd98f00b204e9800998ecf8427e", "sixteen-bytes-!!", "hG7Qd0p2Lx9ZVtYw4Kc8Ub1n"] {
            assert_eq!(text(secret), None, "{secret}");
        }
    }
}
