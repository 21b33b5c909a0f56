//! A moderation entry and its stored form: a key that identifies the entry, and a JSON value with its full content.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::{percent_decode, percent_encode};
use crate::model::{CallerKind, ConversationKind, Millis, Pattern};
pub use crate::policy::RegisteredConversation;
use crate::policy::{Block, EntryAuthor, EntryOrigin, RoleBinding, RoleGrant, Sanction};

/// A moderation entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModerationEntry {
    /// A ban.
    Ban(Sanction),
    /// A mute.
    Mute(Sanction),
    /// The role of a user, or the fact that it was removed.
    Role(String, RoleBinding),
    /// A block.
    Block(Block),
    /// A registered conversation.
    Conversation(RegisteredConversation),
}

/// The kinds of entries. Each kind has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// Bans.
    Bans,
    /// Mutes.
    Mutes,
    /// Roles.
    Roles,
    /// Blocks.
    Blocks,
    /// Conversations.
    Conversations,
}

/// Identifies an entry. Each author can have a ban and a mute of the same user in the same scope. Of the other kinds
/// there is only a single entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The table of the entry.
    pub table: EntryKind,
    /// The user. For a conversation: its id.
    pub name: String,
    /// The scope in which the entry applies. `None` for a conversation.
    pub scope: Option<Pattern>,
    /// The only app that the entry concerns. `None`: all apps.
    pub app: Option<Arc<str>>,
    /// The author of a ban or mute. `None` for other entries.
    pub author: Option<(CallerKind, String)>,
}

/// A stored entry that cannot be read. Another version of the program may have written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry {key} cannot be read: {flaw}")]
pub struct MalformedEntry {
    /// The key of the entry.
    pub key: String,
    /// The error in the entry.
    pub flaw: String,
}

/// The stored value of an entry.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEntry {
    /// The user. For a conversation: its id.
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    forgotten: bool,
    by: EntryAuthor,
    /// The time of the last change of the entry, in milliseconds since 1970.
    at: u64,
}

impl EntryKind {
    /// All tables.
    pub const ALL: [EntryKind; 5] =
        [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks, EntryKind::Conversations];

    /// Returns the name of the table in paths and files.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Bans => "bans",
            EntryKind::Mutes => "mutes",
            EntryKind::Roles => "roles",
            EntryKind::Blocks => "blocks",
            EntryKind::Conversations => "conversations",
        }
    }

    /// Returns the start of the keys of the table, up to the first slash.
    fn prefix(self) -> &'static str {
        match self {
            EntryKind::Bans => "ban",
            EntryKind::Mutes => "mute",
            EntryKind::Roles => "role",
            EntryKind::Blocks => "block",
            EntryKind::Conversations => "conversation",
        }
    }
}

impl EntryKey {
    /// Parses a key. Returns `None` unless the text is exactly the text that this program writes for the key.
    pub fn parse(text: &str) -> Option<EntryKey> {
        let mut segments = text.split('/');
        let prefix = segments.next()?;
        let table = EntryKind::ALL.into_iter().find(|table| table.prefix() == prefix)?;
        let segments = segments.map(percent_decode).collect::<Option<Vec<_>>>()?;
        let (name, scope, app, author) = match (table, &*segments) {
            (EntryKind::Bans | EntryKind::Mutes, [name, scope, app, kind, subject]) if !subject.is_empty() => {
                (name, scope, app, Some((caller_kind(kind)?, subject.clone())))
            }
            (EntryKind::Roles | EntryKind::Blocks | EntryKind::Conversations, [name, scope, app]) => {
                (name, scope, app, None)
            }
            _ => return None,
        };
        let scope = match table {
            EntryKind::Conversations => None,
            _ => Some(Pattern::parse(scope).ok()?),
        };
        let app = Some(&**app).filter(|app| !app.is_empty()).map(Arc::from);
        let key = EntryKey { table, name: name.clone(), scope, app, author };
        // Each entry has exactly one spelling. Otherwise the store could hold the same entry twice.
        (!name.is_empty() && key.to_string() == text).then_some(key)
    }
}

/// Writes the segments, percent-encoded and separated by slashes.
impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope.as_ref().map(Pattern::to_string).unwrap_or_default();
        let segment = |text: &str| percent_encode(text.as_bytes());
        let app = segment(self.app.as_deref().unwrap_or_default());
        write!(f, "{}/{}/{}/{app}", self.table.prefix(), segment(&self.name), segment(&scope))?;
        match &self.author {
            Some((kind, subject)) => write!(f, "/{}/{}", kind.as_str(), segment(subject)),
            None => Ok(()),
        }
    }
}

fn caller_kind(word: &str) -> Option<CallerKind> {
    [CallerKind::User, CallerKind::Service].into_iter().find(|kind| kind.as_str() == word)
}

impl ModerationEntry {
    /// Returns the table of the entry.
    pub fn table(&self) -> EntryKind {
        match self {
            ModerationEntry::Ban(_) => EntryKind::Bans,
            ModerationEntry::Mute(_) => EntryKind::Mutes,
            ModerationEntry::Role(..) => EntryKind::Roles,
            ModerationEntry::Block(_) => EntryKind::Blocks,
            ModerationEntry::Conversation(_) => EntryKind::Conversations,
        }
    }

    /// Returns the user. For a conversation: its id.
    pub fn name(&self) -> &str {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.user,
            ModerationEntry::Role(user, _) => user,
            ModerationEntry::Block(block) => &block.user,
            ModerationEntry::Conversation(conversation) => &conversation.id,
        }
    }

    /// Returns the only app that the entry concerns. `None`: all apps.
    pub fn app(&self) -> Option<&Arc<str>> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => sanction.app.as_ref(),
            ModerationEntry::Role(_, role_binding) => role_binding.app.as_ref(),
            ModerationEntry::Block(block) => block.app.as_ref(),
            ModerationEntry::Conversation(conversation) => conversation.app.as_ref(),
        }
    }

    /// Returns the scope in which the entry applies. `None` for a conversation.
    pub fn scope(&self) -> Option<&Pattern> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => Some(&sanction.scope),
            ModerationEntry::Role(_, role_binding) => Some(&role_binding.scope),
            ModerationEntry::Block(block) => Some(&block.conversation),
            ModerationEntry::Conversation(_) => None,
        }
    }

    /// Returns the origin of the entry: the policy file, or the author and the time of the change.
    pub fn origin(&self) -> &EntryOrigin {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.origin,
            ModerationEntry::Role(_, role_binding) => &role_binding.origin,
            ModerationEntry::Block(block) => &block.origin,
            ModerationEntry::Conversation(conversation) => &conversation.origin,
        }
    }

    /// Returns the time at which the entry ends by itself, if it does.
    pub fn until(&self) -> Option<Millis> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => sanction.until,
            _ => None,
        }
    }

    /// Returns whether the entry has ended at the time `now`.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// Returns whether another entry of the same key has the same content, regardless of author and time.
    pub fn has_same_content(&self, other: &ModerationEntry) -> bool {
        match (self, other) {
            (ModerationEntry::Ban(a), ModerationEntry::Ban(b))
            | (ModerationEntry::Mute(a), ModerationEntry::Mute(b)) => (a.until, &a.reason) == (b.until, &b.reason),
            (ModerationEntry::Role(_, a), ModerationEntry::Role(_, b)) => a.grant == b.grant,
            (ModerationEntry::Block(_), ModerationEntry::Block(_)) => true,
            (ModerationEntry::Conversation(a), ModerationEntry::Conversation(b)) => {
                (a.kind, &a.owner, a.forgotten) == (b.kind, &b.owner, b.forgotten)
            }
            _ => false,
        }
    }

    /// Returns the key under which the entry is stored.
    pub fn key(&self) -> EntryKey {
        let sanctions = matches!(self.table(), EntryKind::Bans | EntryKind::Mutes);
        let author = self.origin().author().filter(|_| sanctions);
        EntryKey {
            table: self.table(),
            name: self.name().to_owned(),
            scope: self.scope().cloned(),
            app: self.app().cloned(),
            author: author.map(|author| (author.kind, author.subject.clone())),
        }
    }

    /// Returns the stored value. An entry of the policy file is stored as an entry of a service, because the operator
    /// who imports it is responsible for it.
    pub fn value(&self) -> String {
        let (by, at) = match self.origin() {
            EntryOrigin::Runtime { author, at } => (EntryAuthor::clone(author), at.0),
            EntryOrigin::File { .. } => {
                (EntryAuthor { kind: CallerKind::Service, subject: "policy-file".to_owned(), role: None }, 0)
            }
        };
        let mut kept = StoredEntry {
            id: self.name().to_owned(),
            scope: self.scope().map(Pattern::to_string),
            app: self.app().map(ToString::to_string),
            until: self.until().map(|until| until.0),
            reason: None,
            role: None,
            kind: None,
            owner: None,
            forgotten: false,
            by,
            at,
        };
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => {
                kept.reason.clone_from(&sanction.reason);
            }
            ModerationEntry::Role(_, RoleBinding { grant: RoleGrant::RoleName(word), .. }) => {
                kept.role = Some(word.to_string());
            }
            ModerationEntry::Role(..) | ModerationEntry::Block(_) => {}
            ModerationEntry::Conversation(conversation) => {
                kept.kind = Some(conversation.kind.as_str().to_owned());
                kept.owner.clone_from(&conversation.owner);
                kept.forgotten = conversation.forgotten;
            }
        }
        // The value always serializes to JSON.
        serde_json::to_string(&kept).unwrap_or_default()
    }

    /// Reads a stored entry.
    ///
    /// # Errors
    /// Returns an error if the entry cannot be read, or if it is stored under a key that is not its own.
    pub fn parse(key: &str, value: &str) -> Result<ModerationEntry, MalformedEntry> {
        let malformed = |flaw: String| MalformedEntry { key: key.to_owned(), flaw };
        let kept: StoredEntry = serde_json::from_str(value).map_err(|error| malformed(error.to_string()))?;
        let key = EntryKey::parse(key).ok_or_else(|| malformed("its key is malformed".to_owned()))?;
        let record =
            kept.into_entry(key.table).ok_or_else(|| malformed("a required value is missing or invalid".to_owned()))?;
        if record.key() == key { Ok(record) } else { Err(malformed("it belongs to another key".to_owned())) }
    }
}

impl StoredEntry {
    fn into_entry(self, table: EntryKind) -> Option<ModerationEntry> {
        let origin = EntryOrigin::Runtime { author: Arc::new(self.by), at: Millis(self.at) };
        let app = self.app.map(Arc::from);
        if table == EntryKind::Conversations {
            let kind = ConversationKind::parse(self.kind.as_deref()?)?;
            let (owner, forgotten) = (self.owner, self.forgotten);
            return Some(ModerationEntry::Conversation(RegisteredConversation {
                id: self.id,
                app,
                kind,
                owner,
                forgotten,
                origin,
            }));
        }
        let scope = Pattern::parse(self.scope.as_deref()?).ok()?;
        Some(match table {
            EntryKind::Roles => {
                let held = self.role.map_or(RoleGrant::Removed, |word| RoleGrant::RoleName(word.into()));
                ModerationEntry::Role(self.id, RoleBinding { scope, app, grant: held, listed: false, origin })
            }
            EntryKind::Blocks => ModerationEntry::Block(Block { user: self.id, conversation: scope, app, origin }),
            _ => {
                let (until, reason) = (self.until.map(Millis), self.reason);
                let sanction = Sanction { user: self.id, scope, app, until, reason, origin };
                if table == EntryKind::Bans { ModerationEntry::Ban(sanction) } else { ModerationEntry::Mute(sanction) }
            }
        })
    }
}
