//! The demonstration's secrets. They are public, so they are known here by value: a configuration that trusts them is a demonstration,
//! and must not be anything else.

use crate::secret::Secret;

/// The secret that the demonstration's callers are signed with.
const CALLER: &[u8] = b"demonstration-only-caller-secret-not-for-production-use-0000000000";

/// Every secret of the demonstration.
const SECRETS: [&[u8]; 4] = [
    CALLER,
    b"demonstration-only-leancloud-master-key",
    b"demonstration-only-talkjs-secret-key",
    b"demoapp.demokey:demonstration-only-ably-key-secret",
];

/// SHA-256 of the demonstration's API key, `demo-service-key-not-for-production`.
const API_KEY_SHA256: &str = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";

/// Whether this is the secret that the demonstration's callers are signed with.
pub(super) fn is_caller(secret: &Secret) -> bool {
    secret.expose() == CALLER
}

/// Whether this is one of the demonstration's secrets.
pub(super) fn is_secret(bytes: &[u8]) -> bool {
    SECRETS.contains(&bytes)
}

/// Whether this is the hash of the demonstration's API key.
pub(super) fn is_api_key(sha256: &[u8; 32]) -> bool {
    hex::encode(sha256) == API_KEY_SHA256
}
