//! Secrets: bytes that are never printed, are wiped when dropped, and compare in constant time.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use subtle::ConstantTimeEq;

/// Secret bytes, with [`Secret::expose`] as the one way out.
pub struct Secret(SecretBox<[u8]>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(SecretBox::new(bytes.into_boxed_slice()))
    }

    /// The bytes. Only for setting up a key: what is exposed must not be stored or shown.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Secret {}

impl Clone for Secret {
    fn clone(&self) -> Secret {
        Secret::new(self.expose().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_shown_and_compares_by_value() {
        let secret = Secret::new(b"canary".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret, secret.clone());
        assert_ne!(secret, Secret::new(b"canarY".to_vec()));
    }
}
