//! Callers with an API key in a header.

use std::fmt;

use http::HeaderName;

use super::Common;
use crate::crypto;

/// Takes keys from one header. Only their hashes are kept.
pub struct ApiKey {
    /// What all authenticators have.
    pub common: Common,
    /// Where the key stands. Not `authorization`.
    pub header: HeaderName,
    /// Each key's id, which is the caller's subject, and the SHA-256 of the key.
    pub keys: Vec<(String, [u8; 32])>,
}

impl ApiKey {
    /// The id of the key with this hash. Looks at every key, so that the time it takes tells nothing of which one it was.
    pub(super) fn id(&self, sha256: &[u8; 32]) -> Option<&str> {
        let matching = self.keys.iter().filter(|(_, known)| crypto::equal(known, sha256));
        matching.fold(None, |first, (id, _)| first.or(Some(id)))
    }

    /// Whether one of the keys has this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == id)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|(id, _)| id).collect();
        f.debug_struct("ApiKey")
            .field("common", &self.common)
            .field("header", &self.header)
            .field("keys", &ids)
            .finish()
    }
}
