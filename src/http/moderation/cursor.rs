//! Where a list goes on. To callers a cursor is a text without a meaning.

use super::fields::invalid;
use crate::crypto::{base64url, base64url_decode};
use crate::moderation::EntryKey;
use crate::vendor::InvalidRequest;

/// Where a list of entries goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryCursor {
    /// With the policy file's entry of this number.
    File(usize),
    /// With the first entry of this user, or of whoever comes next.
    User(String),
    /// With what comes after this entry.
    After(EntryKey),
}

impl EntryCursor {
    /// Reads what [`write`](Self::write) wrote.
    pub(super) fn read(text: &str) -> Result<EntryCursor, InvalidRequest> {
        let unknown = || invalid("after", "must be the `next` of a page of the same list");
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

    /// As a text that stands for itself in a query.
    pub(super) fn write(&self) -> String {
        let text = match self {
            EntryCursor::File(number) => format!("file:{number}"),
            EntryCursor::User(user) => format!("user:{user}"),
            EntryCursor::After(key) => format!("after:{key}"),
        };
        base64url(text.as_bytes())
    }
}
