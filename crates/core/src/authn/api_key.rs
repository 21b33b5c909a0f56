//! Callers with an API key in a header.

use std::fmt;

use http::HeaderName;

use super::common::Common;
use crate::crypto;

/// Accepts API keys in one header. Only the hashes of the keys are stored.
pub struct ApiKey {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The header with the key. It must not be `authorization`.
    pub header: HeaderName,
    /// The id of each key, which is the subject of the caller, and the SHA-256 hash of the key.
    pub keys: Vec<(String, [u8; 32])>,
}

impl ApiKey {
    /// Returns the id of the key with this hash. Compares all keys, so the time does not reveal which key matched.
    pub(super) fn find_id(&self, sha256: &[u8; 32]) -> Option<&str> {
        let matching = self.keys.iter().filter(|(_, known)| crypto::constant_time_eq(known, sha256));
        matching.fold(None, |first, (id, _)| first.or(Some(id)))
    }

    /// Returns whether one of the keys has this id.
    pub(super) fn has_id(&self, id: &str) -> bool {
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
