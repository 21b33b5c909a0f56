//! The JSON form of an entry.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::{EntryKey, EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment};
use crate::model::{ConversationKind, Millis, Pattern};
use crate::policy::{Block, EntryAuthor, EntryOrigin, Sanction};

/// The JSON form of an entry, in the store, in lists and in events. Fields that the entry does not have are left out.
/// An earlier version wrote `id` and `scope` for `user` and `conversation`, and times as numbers. These can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntryRecord {
    /// The only app that the entry concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The time of the last change of an entry that was made at run time.
    #[serde(skip_serializing_if = "Option::is_none", with = "time_text")]
    pub at: Option<Millis>,
    /// The author of an entry that was made at run time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<EntryAuthor>,
    /// The conversation or pattern. `None`: the entry applies everywhere.
    #[serde(alias = "scope", skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Whether only the owner of the conversation is remembered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
    /// The kind of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConversationKind>,
    /// The line of an entry of the policy file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The owner of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The reason of a ban or mute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The name of the role. `None`: the role was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The source of the entry. `None` in the store and in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<EntrySource>,
    /// The end of a ban or mute.
    #[serde(skip_serializing_if = "Option::is_none", with = "time_text")]
    pub until: Option<Millis>,
    /// The user. `None` for a conversation.
    #[serde(alias = "id", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The source of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntrySource {
    /// The policy file.
    File,
    /// The moderation store.
    Moderation,
}

impl From<&ModerationEntry> for EntryRecord {
    fn from(entry: &ModerationEntry) -> EntryRecord {
        let scope = entry.scope().filter(|scope| **scope != Pattern::Everything);
        let record = EntryRecord {
            app: entry.app().map(ToString::to_string),
            conversation: scope.map(Pattern::to_string),
            user: Some(entry.name().to_owned()),
            ..EntryRecord::default()
        };
        let record = match entry {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => {
                EntryRecord { until: sanction.until, reason: sanction.reason.clone(), ..record }
            }
            ModerationEntry::Role(RoleAssignment { role, .. }) => {
                EntryRecord { role: role.as_deref().map(str::to_owned), ..record }
            }
            ModerationEntry::Block(_) => record,
            ModerationEntry::Conversation(RegisteredConversation { id, kind, owner, forgotten, .. }) => EntryRecord {
                user: None,
                conversation: Some(id.clone()),
                kind: Some(*kind),
                owner: owner.clone(),
                forgotten: *forgotten,
                ..record
            },
        };
        record.with_origin(entry.origin())
    }
}

/// The stored form.
impl ModerationEntry {
    /// Returns the stored value: the record of the entry as JSON. It can be read again if the entry was made at run
    /// time.
    pub fn value(&self) -> String {
        let record = EntryRecord { source: None, ..EntryRecord::from(self) };
        // A record always serializes to JSON.
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// Reads a stored entry.
    ///
    /// # Errors
    /// Returns an error if the entry cannot be read, or if it is stored under a key that is not its own.
    pub fn parse(key: &str, value: &str) -> Result<ModerationEntry, MalformedEntry> {
        ModerationEntry::parse_with_key(key, value).map(|(_, entry)| entry)
    }

    /// Reads a stored entry and its key.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`parse`](Self::parse).
    pub fn parse_with_key(key: &str, value: &str) -> Result<(EntryKey, ModerationEntry), MalformedEntry> {
        let malformed = |flaw: String| MalformedEntry { key: key.to_owned(), flaw };
        let record: EntryRecord = serde_json::from_str(value).map_err(|error| malformed(error.to_string()))?;
        let key = EntryKey::parse(key).ok_or_else(|| malformed("its key is malformed".to_owned()))?;
        let entry = record
            .into_entry(key.table)
            .ok_or_else(|| malformed("a required value is missing or invalid".to_owned()))?;
        if !entry.has_key(&key) {
            return Err(malformed("it belongs to another key".to_owned()));
        }
        Ok((key, entry))
    }
}

impl EntryRecord {
    /// Returns the record as lists show it: without the kind of a conversation that was forgotten.
    #[must_use]
    pub fn for_list(self) -> EntryRecord {
        EntryRecord { kind: self.kind.filter(|_| !self.forgotten), ..self }
    }

    /// Returns the record as events show it: as in lists, and without the origin of the entry. `by` is the author of
    /// the event.
    #[must_use]
    pub fn for_event(self, by: Option<&EntryAuthor>) -> EntryRecord {
        let by = by.map(|author| EntryAuthor { role: None, ..author.clone() });
        EntryRecord { by, at: None, source: None, line: None, forgotten: false, ..self.for_list() }
    }

    fn with_origin(self, origin: &EntryOrigin) -> EntryRecord {
        match origin {
            EntryOrigin::File { line } => EntryRecord { source: Some(EntrySource::File), line: Some(*line), ..self },
            EntryOrigin::Runtime { author, at } => EntryRecord {
                source: Some(EntrySource::Moderation),
                by: Some(EntryAuthor::clone(author)),
                at: Some(*at),
                ..self
            },
        }
    }

    /// Returns the entry of this table, if the record is one that was made at run time.
    pub(super) fn into_entry(self, table: EntryKind) -> Option<ModerationEntry> {
        let origin = EntryOrigin::Runtime { author: Arc::new(self.by?), at: self.at? };
        let app = self.app.map(Arc::from);
        if table == EntryKind::Conversations {
            // An earlier version wrote the id of a conversation in `id`, which is now an alias of `user`.
            let id = self.conversation.or(self.user)?;
            let (kind, owner, forgotten) = (self.kind?, self.owner, self.forgotten);
            return Some(ModerationEntry::Conversation(RegisteredConversation {
                id,
                app,
                kind,
                owner,
                forgotten,
                origin,
            }));
        }
        let user = self.user?;
        let scope = self.conversation.map_or(Some(Pattern::Everything), |scope| Pattern::parse(&scope).ok())?;
        let sanction =
            |user, scope, app, origin| Sanction { user, scope, app, until: self.until, reason: self.reason, origin };
        Some(match table {
            EntryKind::Bans => ModerationEntry::Ban(sanction(user, scope, app, origin)),
            EntryKind::Mutes => ModerationEntry::Mute(sanction(user, scope, app, origin)),
            EntryKind::Roles => {
                let role = self.role.map(Arc::from);
                ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin })
            }
            EntryKind::Blocks => ModerationEntry::Block(Block { user, conversation: scope, app, origin }),
            EntryKind::Conversations => return None,
        })
    }
}

/// Times as text, to the millisecond and never later than the year 9999. Numbers can be read as well.
mod time_text {
    use std::fmt;

    use serde::de::{Error, Visitor};

    use super::{Deserializer, Millis, Serializer};

    struct TimeVisitor;

    impl Visitor<'_> for TimeVisitor {
        type Value = Millis;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time of the form 2027-01-01T00:00:00Z")
        }

        fn visit_u64<E: Error>(self, time: u64) -> Result<Millis, E> {
            Ok(Millis(time))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
            Millis::parse(text).map_err(|_| E::custom("a time must have the form 2027-01-01T00:00:00Z"))
        }
    }

    #[expect(clippy::ref_option, reason = "the signature that serde requires")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Millis>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.collect_str(&(*time).min(Millis::LAST)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Millis>, D::Error> {
        from.deserialize_any(TimeVisitor).map(Some)
    }
}
