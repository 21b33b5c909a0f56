//! Nonces that keep a signed message from being read as another message.

use crate::crypto;

/// A value that makes each signature unique.
///
/// A nonce starts with a letter, so it is never a timestamp. It holds a digit, so it is never one of LeanCloud's action
/// words. It holds no `:`, which would shift the fields of the signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes a nonce of 34 characters that holds all of these 128 random bits.
    pub fn from_entropy(entropy: [u8; 16]) -> Nonce {
        Nonce(format!("n1{}", crypto::hex(&entropy)))
    }

    /// Reads a nonce that an operator chose: 2 to 128 visible ASCII characters without `:`. The first must be a letter,
    /// and at least one must be a digit.
    ///
    /// # Errors
    /// Returns what is wrong, in words that complete "the nonce …".
    pub fn parse(text: &str) -> Result<Nonce, String> {
        let wrong = if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            "must start with a letter from a to z"
        } else if !text.bytes().any(|byte| byte.is_ascii_digit()) {
            "must hold a digit"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            "must hold only visible ASCII characters, and no `:`"
        } else if text.len() > 128 {
            "must have at most 128 characters"
        } else {
            return Ok(Nonce(text.to_owned()));
        };
        Err(wrong.to_owned())
    }

    /// Returns the nonce as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keeps_every_random_bit_and_the_rules() {
        for entropy in [[0; 16], [0xff; 16], [0xab; 16]] {
            let nonce = Nonce::from_entropy(entropy);
            assert_eq!(Nonce::parse(nonce.as_str()), Ok(nonce.clone()));
            assert!(nonce.as_str().len() >= 16);
            assert!(nonce.as_str().ends_with(&crypto::hex(&entropy)));
        }
    }

    #[test]
    fn refuses_what_could_be_read_as_something_else() {
        for good in ["a1", "akywke3f28", "A/b+c=9"] {
            assert_eq!(Nonce::parse(good).unwrap().as_str(), good);
        }
        let long = format!("a1{}", "x".repeat(127));
        for bad in ["", "1a", "12345", "invite", "é1", "a1:b", "a1 b", "a1\n", "a1é", "_a1", &long] {
            assert!(Nonce::parse(bad).is_err(), "{bad:?}");
        }
    }
}
