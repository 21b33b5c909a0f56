//! One entry of the moderation entries, and how it is kept: a key that says what it is about, and a value that says all of it, as JSON.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::{percent_decoded, percent_encoded};
use crate::model::{CallerKind, ConversationKind, Millis, Pattern};
pub use crate::policy::RegisteredConversation;
use crate::policy::{Block, EntryAuthor, EntryOrigin, RoleBinding, RoleGrant, Sanction};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModerationEntry {
    /// A ban.
    Ban(Sanction),
    /// A mute.
    Mute(Sanction),
    /// A user's role, or that it was taken away.
    Role(String, RoleBinding),
    /// A block.
    Block(Block),
    /// A conversation.
    Conversation(RegisteredConversation),
}

/// What sort of entries there are.
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

/// What an entry is about. Of bans and mutes each author has one in a place; of all else there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// Its table.
    pub table: EntryKind,
    /// The user; of a conversation its id.
    pub name: String,
    /// Where it holds; nothing for a conversation.
    pub scope: Option<Pattern>,
    /// The one app that it is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// Whose ban or mute it is.
    pub author: Option<(CallerKind, String)>,
}

/// A kept entry that can't be understood: another version of the program may have written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry {key} can't be understood: {flaw}")]
pub struct MalformedEntry {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub flaw: String,
}

/// An entry's value, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEntry {
    /// The user; of a conversation its id.
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
    /// Milliseconds since 1970.
    at: u64,
}

impl EntryKind {
    /// Every table.
    pub const ALL: [EntryKind; 5] =
        [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks, EntryKind::Conversations];

    /// How paths and files spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Bans => "bans",
            EntryKind::Mutes => "mutes",
            EntryKind::Roles => "roles",
            EntryKind::Blocks => "blocks",
            EntryKind::Conversations => "conversations",
        }
    }

    /// What a key of the table begins with, up to its first slash.
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
    /// The key that is written so, and not otherwise.
    pub fn parse(text: &str) -> Option<EntryKey> {
        let mut segments = text.split('/');
        let prefix = segments.next()?;
        let table = EntryKind::ALL.into_iter().find(|table| table.prefix() == prefix)?;
        let segments = segments.map(percent_decoded).collect::<Option<Vec<_>>>()?;
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
        // One entry has one spelling, or there could be two of it.
        (!name.is_empty() && key.to_string() == text).then_some(key)
    }
}

/// Its segments, percent-encoded, between slashes.
impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope.as_ref().map(Pattern::to_string).unwrap_or_default();
        let segment = |text: &str| percent_encoded(text.as_bytes());
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
    /// The table it is in.
    pub fn table(&self) -> EntryKind {
        match self {
            ModerationEntry::Ban(_) => EntryKind::Bans,
            ModerationEntry::Mute(_) => EntryKind::Mutes,
            ModerationEntry::Role(..) => EntryKind::Roles,
            ModerationEntry::Block(_) => EntryKind::Blocks,
            ModerationEntry::Conversation(_) => EntryKind::Conversations,
        }
    }

    /// The user; of a conversation its id.
    pub fn name(&self) -> &str {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.user,
            ModerationEntry::Role(user, _) => user,
            ModerationEntry::Block(block) => &block.user,
            ModerationEntry::Conversation(conversation) => &conversation.id,
        }
    }

    /// The one app that it is about; all, where there is none.
    pub fn app(&self) -> Option<&Arc<str>> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => sanction.app.as_ref(),
            ModerationEntry::Role(_, tenure) => tenure.app.as_ref(),
            ModerationEntry::Block(block) => block.app.as_ref(),
            ModerationEntry::Conversation(conversation) => conversation.app.as_ref(),
        }
    }

    /// Where it holds; nothing for a conversation.
    pub fn scope(&self) -> Option<&Pattern> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => Some(&sanction.scope),
            ModerationEntry::Role(_, tenure) => Some(&tenure.scope),
            ModerationEntry::Block(block) => Some(&block.conversation),
            ModerationEntry::Conversation(_) => None,
        }
    }

    /// By whose word.
    pub fn origin(&self) -> &EntryOrigin {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.origin,
            ModerationEntry::Role(_, tenure) => &tenure.origin,
            ModerationEntry::Block(block) => &block.origin,
            ModerationEntry::Conversation(conversation) => &conversation.origin,
        }
    }

    /// When it ends, if it does by itself.
    pub fn until(&self) -> Option<Millis> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => sanction.until,
            _ => None,
        }
    }

    /// Whether it has ended by then.
    pub fn has_ended(&self, now: Millis) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// Whether another says the same of the same, whoever said it and when.
    pub(super) fn says_the_same_as(&self, other: &ModerationEntry) -> bool {
        match (self, other) {
            (ModerationEntry::Ban(a), ModerationEntry::Ban(b))
            | (ModerationEntry::Mute(a), ModerationEntry::Mute(b)) => (a.until, &a.reason) == (b.until, &b.reason),
            (ModerationEntry::Role(_, a), ModerationEntry::Role(_, b)) => a.held == b.held,
            (ModerationEntry::Block(_), ModerationEntry::Block(_)) => true,
            (ModerationEntry::Conversation(a), ModerationEntry::Conversation(b)) => {
                (a.kind, &a.owner, a.forgotten) == (b.kind, &b.owner, b.forgotten)
            }
            _ => false,
        }
    }

    /// Under which key it is kept.
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

    /// The value that is kept of it. An entry of the policy file becomes a service's: who takes it over vouches for it.
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
                kept.reason.clone_from(&sanction.reason)
            }
            ModerationEntry::Role(_, RoleBinding { held: RoleGrant::Word(word), .. }) => {
                kept.role = Some(word.to_string())
            }
            ModerationEntry::Role(..) | ModerationEntry::Block(_) => {}
            ModerationEntry::Conversation(conversation) => {
                kept.kind = Some(conversation.kind.as_str().to_owned());
                kept.owner.clone_from(&conversation.owner);
                kept.forgotten = conversation.forgotten;
            }
        }
        // All of it can be written as JSON.
        serde_json::to_string(&kept).unwrap_or_default()
    }

    /// Reads a kept entry.
    ///
    /// # Errors
    /// If it can't be understood, or is kept under another key than its own.
    pub fn read(key: &str, value: &str) -> Result<ModerationEntry, MalformedEntry> {
        let malformed = |flaw: String| MalformedEntry { key: key.to_owned(), flaw };
        let kept: StoredEntry = serde_json::from_str(value).map_err(|error| malformed(error.to_string()))?;
        let key = EntryKey::parse(key).ok_or_else(|| malformed("it has no proper key".to_owned()))?;
        let record = kept.record(key.table).ok_or_else(|| malformed("it lacks something".to_owned()))?;
        if record.key() == key { Ok(record) } else { Err(malformed("it belongs under another key".to_owned())) }
    }
}

impl StoredEntry {
    fn record(self, table: EntryKind) -> Option<ModerationEntry> {
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
                let held = self.role.map_or(RoleGrant::Removed, |word| RoleGrant::Word(word.into()));
                ModerationEntry::Role(self.id, RoleBinding { scope, app, held, listed: false, origin })
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
