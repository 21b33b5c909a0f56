//! Secrets: bytes that are never printed, are wiped when they are dropped, and are compared in constant time.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use subtle::ConstantTimeEq;

/// Secret bytes. [`Secret::expose`] is the only way to read them.
pub struct Secret(SecretBox<[u8]>);

impl Secret {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(SecretBox::new(bytes.into_boxed_slice()))
    }

    /// Returns the bytes. Use them only to set up a key. They must not be stored or shown.
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
