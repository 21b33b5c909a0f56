//! A moderation entry, its key, and its stored value.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{percent_decode, percent_encode};
use crate::model::{CallerKind, ConversationKind, Millis, Pattern};
use crate::policy::{Block, EntryOrigin, RoleBinding, RoleGrant, Sanction};

/// A moderation entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModerationEntry {
    /// A ban.
    Ban(Sanction),
    /// A mute.
    Mute(Sanction),
    /// The role of a user, or the fact that it was removed.
    Role(RoleAssignment),
    /// A block.
    Block(Block),
    /// A registered conversation.
    Conversation(RegisteredConversation),
}

/// The role of a user in a scope, or the fact that it was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// The user.
    pub user: String,
    /// The scope.
    pub scope: Pattern,
    /// The only app that the entry concerns. `None`: all apps.
    pub app: Option<Arc<str>>,
    /// The name of the role. `None`: the role was removed.
    pub role: Option<Arc<str>>,
    /// The origin of the entry.
    pub origin: EntryOrigin,
}

impl From<RoleAssignment> for RoleBinding {
    fn from(RoleAssignment { scope, app, role, origin, .. }: RoleAssignment) -> RoleBinding {
        let grant = role.map_or(RoleGrant::Removed, RoleGrant::RoleName);
        RoleBinding { scope, app, grant, listed: false, origin }
    }
}

/// A conversation that was registered at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredConversation {
    /// The id.
    pub id: String,
    /// The app that the entry is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The kind.
    pub kind: ConversationKind,
    /// The owner, if one was set. The owner never changes after that.
    pub owner: Option<String>,
    /// Whether the conversation was forgotten. Then only its owner is remembered, so that nobody else can become the
    /// owner.
    pub forgotten: bool,
    /// Where the entry comes from.
    pub origin: EntryOrigin,
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
            ModerationEntry::Role(_) => EntryKind::Roles,
            ModerationEntry::Block(_) => EntryKind::Blocks,
            ModerationEntry::Conversation(_) => EntryKind::Conversations,
        }
    }

    /// Returns the user. For a conversation: its id.
    pub fn name(&self) -> &str {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.user,
            ModerationEntry::Role(assignment) => &assignment.user,
            ModerationEntry::Block(block) => &block.user,
            ModerationEntry::Conversation(conversation) => &conversation.id,
        }
    }

    /// Returns the only app that the entry concerns. `None`: all apps.
    pub fn app(&self) -> Option<&Arc<str>> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => sanction.app.as_ref(),
            ModerationEntry::Role(assignment) => assignment.app.as_ref(),
            ModerationEntry::Block(block) => block.app.as_ref(),
            ModerationEntry::Conversation(conversation) => conversation.app.as_ref(),
        }
    }

    /// Returns whether the entry concerns this app.
    pub fn is_for_app(&self, app: &str) -> bool {
        self.app().is_none_or(|own| **own == *app)
    }

    /// Returns the scope in which the entry applies. `None` for a conversation.
    pub fn scope(&self) -> Option<&Pattern> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => Some(&sanction.scope),
            ModerationEntry::Role(assignment) => Some(&assignment.scope),
            ModerationEntry::Block(block) => Some(&block.conversation),
            ModerationEntry::Conversation(_) => None,
        }
    }

    /// Returns the origin of the entry: the policy file, or the author and the time of the change.
    pub fn origin(&self) -> &EntryOrigin {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &sanction.origin,
            ModerationEntry::Role(assignment) => &assignment.origin,
            ModerationEntry::Block(block) => &block.origin,
            ModerationEntry::Conversation(conversation) => &conversation.origin,
        }
    }

    pub(super) fn origin_mut(&mut self) -> &mut EntryOrigin {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => &mut sanction.origin,
            ModerationEntry::Role(assignment) => &mut assignment.origin,
            ModerationEntry::Block(block) => &mut block.origin,
            ModerationEntry::Conversation(conversation) => &mut conversation.origin,
        }
    }

    /// Returns the ban or mute, if the entry is one.
    pub fn sanction(&self) -> Option<&Sanction> {
        match self {
            ModerationEntry::Ban(sanction) | ModerationEntry::Mute(sanction) => Some(sanction),
            ModerationEntry::Role(_) | ModerationEntry::Block(_) | ModerationEntry::Conversation(_) => None,
        }
    }

    /// Returns the time at which the entry ends by itself, if it does.
    pub fn until(&self) -> Option<Millis> {
        self.sanction()?.until
    }

    /// Returns whether the entry has not ended at the time `now`.
    pub fn is_in_force(&self, now: Millis) -> bool {
        self.sanction().is_none_or(|sanction| sanction.is_in_force(now))
    }

    /// Returns whether another entry of the same key has the same content, regardless of author and time.
    pub fn has_same_content(&self, other: &ModerationEntry) -> bool {
        let mut other = other.clone();
        other.origin_mut().clone_from(self.origin());
        *self == other
    }

    /// Returns whether the entry is stored under this key.
    pub(super) fn has_key(&self, key: &EntryKey) -> bool {
        let author = self.sanction().and_then(|sanction| sanction.origin.author());
        self.table() == key.table
            && self.name() == key.name
            && self.scope() == key.scope.as_ref()
            && self.app() == key.app.as_ref()
            && author.map(|author| (author.kind, &author.subject)) == key.author.as_ref().map(|(kind, id)| (*kind, id))
    }

    /// Returns the key under which the entry is stored.
    pub fn key(&self) -> EntryKey {
        let author = self.sanction().and_then(|sanction| sanction.origin.author());
        EntryKey {
            table: self.table(),
            name: self.name().to_owned(),
            scope: self.scope().cloned(),
            app: self.app().cloned(),
            author: author.map(|author| (author.kind, author.subject.clone())),
        }
    }
}
