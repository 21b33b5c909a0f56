//! The cursor at which a list continues. To callers it is an opaque text.

use super::fields::invalid_field;
use crate::crypto::{base64url, base64url_decode};
use crate::moderation::EntryKey;
use crate::vendor::InvalidRequest;

/// The cursor at which a list of entries continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryCursor {
    /// At the entry of the policy file with this number.
    File(usize),
    /// At the first entry of this user or, if there is none, of the next user.
    User(String),
    /// After this entry.
    After(EntryKey),
}

impl EntryCursor {
    /// Reads a text that [`write`](Self::write) wrote.
    pub(super) fn decode(text: &str) -> Result<EntryCursor, InvalidRequest> {
        let unknown = || invalid_field("after", "must be the `next` of a page of the same list");
        let decoded = base64url_decode(text).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unknown)?;
        let (kind, rest) = decoded.split_once(':').ok_or_else(unknown)?;
        let cursor = match kind {
            "file" => rest.parse().ok().map(EntryCursor::File),
            "user" => Some(EntryCursor::User(rest.to_owned())),
            "after" => EntryKey::parse(rest).map(EntryCursor::After),
            _ => None,
        };
        cursor.ok_or_else(unknown)
    }

    /// Returns the cursor as a text that needs no encoding in a query.
    pub(super) fn encode(&self) -> String {
        let text = match self {
            EntryCursor::File(number) => format!("file:{number}"),
            EntryCursor::User(user) => format!("user:{user}"),
            EntryCursor::After(key) => format!("after:{key}"),
        };
        base64url(text.as_bytes())
    }
}
