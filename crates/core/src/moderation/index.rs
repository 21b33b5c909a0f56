//! The moderation entries in memory, for decisions and for lists.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{EntryKey, EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment};
use crate::model::{Millis, Pattern};
use crate::policy::{EntryIndex, EntryRef, RoleBinding, RoleGrant, RowNumber, SortedRows, UserEntry, UserEntryKind};

/// All entries by name, and the entries that end by time.
#[derive(Debug, Default)]
pub struct ModerationIndex {
    entry_index: EntryIndex,
    /// The entries about users, sorted by table and user, without the roles of owners.
    by_user: SortedRows,
    /// The entries that end by themselves, sorted by their end.
    by_end: SortedRows,
    conversations: BTreeMap<(String, Option<Arc<str>>), RegisteredConversation>,
    entries: usize,
    /// The number of entries by app, for entries that concern a single app.
    apps: BTreeMap<Arc<str>, usize>,
}

/// The largest capacity of a builder. A store with a wrong number of entries must not take all the memory.
const MAX_CAPACITY: usize = 1 << 22;

/// Builds an index of many entries. It sorts them only once.
#[derive(Debug, Default)]
pub struct ModerationIndexBuilder {
    index: ModerationIndex,
}

impl ModerationIndexBuilder {
    /// Creates a builder with room for about this number of entries. So the index does not have to grow step by step.
    pub fn with_capacity(entries: u64) -> ModerationIndexBuilder {
        let mut builder = ModerationIndexBuilder::default();
        builder.index.entry_index.reserve(usize::try_from(entries).unwrap_or(usize::MAX).min(MAX_CAPACITY));
        builder
    }

    /// Adds an entry with its key. If the key was added before, replaces the earlier entry.
    ///
    /// # Errors
    /// Returns an error if there is no room for the entry.
    pub fn add(&mut self, key: &EntryKey, entry: ModerationEntry) -> Result<(), MalformedEntry> {
        self.index.check_room(key)?;
        self.index.remove_unsorted(key);
        self.index.add_unsorted(entry);
        Ok(())
    }

    /// Returns the index.
    pub fn finish(self) -> ModerationIndex {
        let mut index = self.index;
        let entries = &index.entry_index;
        // Most names differ in their first bytes, so that few comparisons read the entries themselves.
        let key = |entry: EntryRef<'_>| Some((table_of(entry)?, name_start(entry.user()), entry.number()));
        let mut by_user: Vec<_> = entries.iter().filter_map(key).collect();
        by_user.sort_unstable_by(|one, other| {
            (one.0, one.1).cmp(&(other.0, other.1)).then_with(|| compare_users(entries, one.2, other.2))
        });
        let by_user: Vec<RowNumber> = by_user.into_iter().map(|(.., row)| row).collect();
        let mut by_end: Vec<_> = entries.iter().filter_map(|entry| Some((entry.until()?, entry.number()))).collect();
        by_end.sort_unstable();
        let by_end: Vec<RowNumber> = by_end.into_iter().map(|(_, row)| row).collect();
        index.by_user = SortedRows::from_sorted(&by_user);
        index.by_end = SortedRows::from_sorted(&by_end);
        index
    }
}

/// Returns the first bytes of a name, for comparisons.
fn name_start(name: &str) -> [u8; 16] {
    let mut start = [0; 16];
    start.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    start
}

impl ModerationIndex {
    /// Builds an index of stored entries.
    ///
    /// # Errors
    /// Returns an error if an entry cannot be read.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ModerationIndex, MalformedEntry> {
        let mut builder = ModerationIndexBuilder::default();
        for (key, value) in entries {
            let (key, entry) = ModerationEntry::parse_with_key(key, value)?;
            builder.add(&key, entry)?;
        }
        Ok(builder.finish())
    }

    /// Returns the entries that decisions read.
    pub fn entries(&self) -> &EntryIndex {
        &self.entry_index
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Returns the apps of entries that concern a single app, with the number of their entries.
    pub fn apps(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.apps.iter().map(|(app, entries)| (app, *entries))
    }

    /// Returns the app of this name, if it has entries.
    pub fn app(&self, name: &str) -> Option<&Arc<str>> {
        self.apps.get_key_value(name).map(|(app, _)| app)
    }

    /// Applies the change of an entry: its new value, or `None` if the entry was deleted.
    ///
    /// # Errors
    /// Returns an error if the entry cannot be read, or if there is no room for it. The index then stays unchanged.
    pub fn apply(&mut self, key: &str, value: Option<&str>) -> Result<(), MalformedEntry> {
        if let Some(value) = value {
            let (parsed, entry) = ModerationEntry::parse_with_key(key, value)?;
            self.check_room(&parsed)?;
            self.put(&parsed, entry);
            return Ok(());
        }
        let malformed = || MalformedEntry { key: key.to_owned(), flaw: "its key is malformed".to_owned() };
        self.remove(&EntryKey::parse(key).ok_or_else(malformed)?);
        Ok(())
    }

    /// Returns the entry with this key.
    pub fn find(&self, key: &EntryKey) -> Option<ModerationEntry> {
        match key.table {
            EntryKind::Conversations => {
                self.conversation(&key.name, key.app.as_ref()).cloned().map(ModerationEntry::Conversation)
            }
            EntryKind::Bans | EntryKind::Mutes | EntryKind::Roles | EntryKind::Blocks => {
                to_moderation_entry(self.find_row(key)?)
            }
        }
    }

    /// Returns the entries of a user in a table that have exactly this scope.
    pub fn entries_with_scope(&self, table: EntryKind, user: &str, scope: &Pattern) -> Vec<ModerationEntry> {
        let near = self.entry_index.with_scope(user, scope).filter(|entry| table_of(*entry) == Some(table));
        near.filter_map(to_moderation_entry).collect()
    }

    /// Returns the entry of a conversation for exactly this app, or for all apps if `app` is `None`.
    pub fn conversation(&self, id: &str, app: Option<&Arc<str>>) -> Option<&RegisteredConversation> {
        self.conversations.get(&(id.to_owned(), app.cloned()))
    }

    /// Returns all entries of a conversation: for single apps and for all apps.
    pub fn conversations_of(&self, id: &str) -> impl Iterator<Item = &RegisteredConversation> {
        let from = (id.to_owned(), None);
        self.conversations.range(from..).take_while(move |((name, _), _)| name == id).map(|(_, entry)| entry)
    }

    /// Returns the entries of conversations, sorted by id, from this id on.
    pub fn conversations_from(&self, id: &str) -> impl Iterator<Item = &RegisteredConversation> {
        self.conversations.range((id.to_owned(), None)..).map(|(_, entry)| entry)
    }

    /// Returns the entries of a user in a table, in the order of their keys.
    pub fn entries_of_user(&self, table: EntryKind, user: &str) -> Vec<ModerationEntry> {
        let all = self.entry_index.all_about(user).filter(|entry| table_of(*entry) == Some(table));
        let mut found: Vec<ModerationEntry> = all.filter_map(to_moderation_entry).collect();
        found.sort_by_cached_key(ModerationEntry::key);
        found
    }

    /// Returns the users who have entries in a table, in order, from the name `from` on.
    pub fn users(&self, table: EntryKind, from: &str) -> impl Iterator<Item = &str> {
        let place = |row: RowNumber| (table_of(self.entry_index.entry(row)), self.entry_index.entry(row).user());
        let rows = self.by_user.after(move |row| place(row) < (Some(table), from));
        let users = rows.map(place).take_while(move |(own, _)| *own == Some(table)).map(|(_, user)| user);
        let mut last = None;
        users.filter(move |user| last.replace(*user) != Some(*user))
    }

    /// Returns the keys of entries that have ended at the time `now`, at most `most` keys.
    pub fn ended(&self, now: Millis, most: usize) -> Vec<EntryKey> {
        let ended =
            self.by_end.iter().map(|row| self.entry_index.entry(row)).take_while(|entry| !entry.is_in_force(now));
        ended.take(most).filter_map(|entry| Some(to_moderation_entry(entry)?.key())).collect()
    }

    /// Returns the time at which the next entry ends, if an entry ends.
    pub fn next_ending(&self) -> Option<Millis> {
        self.by_end.iter().next().and_then(|row| self.entry_index.entry(row).until())
    }

    fn check_room(&self, key: &EntryKey) -> Result<(), MalformedEntry> {
        if self.entry_index.is_full() {
            let flaw = "there are more entries than the program can hold".to_owned();
            return Err(MalformedEntry { key: key.to_string(), flaw });
        }
        Ok(())
    }

    fn put(&mut self, key: &EntryKey, entry: ModerationEntry) {
        self.remove(key);
        let Some(row) = self.add_unsorted(entry) else { return };
        let ModerationIndex { entry_index, by_user, by_end, .. } = self;
        by_user.insert(row, |other| compare_users(entry_index, other, row));
        if entry_index.entry(row).until().is_some() {
            by_end.insert(row, |other| compare_ends(entry_index, other, row));
        }
    }

    fn remove(&mut self, key: &EntryKey) {
        if let Some(row) = self.find_row(key).map(EntryRef::number) {
            let ModerationIndex { entry_index, by_user, by_end, .. } = self;
            by_user.remove(|other| compare_users(entry_index, other, row));
            if entry_index.entry(row).until().is_some() {
                by_end.remove(|other| compare_ends(entry_index, other, row));
            }
        }
        self.remove_unsorted(key);
    }

    /// Adds an entry, but not to the lists. Returns its row, if it belongs into the lists.
    fn add_unsorted(&mut self, entry: ModerationEntry) -> Option<RowNumber> {
        self.entries += 1;
        if let Some(app) = entry.app() {
            *self.apps.entry(Arc::clone(app)).or_default() += 1;
        }
        let user = entry.name().to_owned();
        let entry = match entry {
            ModerationEntry::Ban(ban) => UserEntry::Ban(ban),
            ModerationEntry::Mute(mute) => UserEntry::Mute(mute),
            ModerationEntry::Role(assignment) => UserEntry::Role(assignment.into()),
            ModerationEntry::Block(block) => UserEntry::Block(block),
            ModerationEntry::Conversation(conversation) => {
                self.put_conversation(conversation);
                return None;
            }
        };
        Some(self.entry_index.add_row(&user, entry))
    }

    fn put_conversation(&mut self, conversation: RegisteredConversation) {
        let RegisteredConversation { id, app, kind, owner, forgotten, origin } = &conversation;
        if !forgotten {
            self.entry_index.set_kind(id, app.clone(), *kind);
        }
        if let Some(owner) = owner {
            let held = if *forgotten { RoleGrant::Remembered } else { RoleGrant::RoleName(OWNER_ROLE.into()) };
            let (scope, app, origin) = (Pattern::Exact(id.clone()), app.clone(), origin.clone());
            let role_binding = RoleBinding { scope, app, grant: held, listed: true, origin };
            self.entry_index.add(owner, UserEntry::Role(role_binding));
        }
        self.conversations.insert((conversation.id.clone(), conversation.app.clone()), conversation);
    }

    /// Removes an entry, but not from the lists.
    fn remove_unsorted(&mut self, key: &EntryKey) {
        if key.table == EntryKind::Conversations {
            let Some(conversation) = self.conversations.remove(&(key.name.clone(), key.app.clone())) else { return };
            self.remove_conversation(&conversation);
        } else {
            let Some(row) = self.find_row(key).map(EntryRef::number) else { return };
            self.entry_index.remove_row(row);
        }
        self.entries -= 1;
        self.decrement_app_count(key.app.as_ref());
    }

    /// Subtracts an entry from the number of entries of an app.
    fn decrement_app_count(&mut self, app: Option<&Arc<str>>) {
        let Some((app, entries)) = app.and_then(|app| self.apps.get_mut(app).map(|entries| (app, entries))) else {
            return;
        };
        *entries -= 1;
        if *entries == 0 {
            self.apps.remove(app);
        }
    }

    fn remove_conversation(&mut self, RegisteredConversation { id, app, owner, .. }: &RegisteredConversation) {
        self.entry_index.forget_kind(id, app.as_ref());
        if let Some(owner) = owner {
            let is_owner_role = |entry: EntryRef<'_>| entry.is_listed() && entry.app() == app.as_ref();
            self.entry_index.remove(owner, &Pattern::Exact(id.clone()), is_owner_role);
        }
    }

    /// Returns the entry about a user that has this key.
    fn find_row(&self, key: &EntryKey) -> Option<EntryRef<'_>> {
        let mut near = self.entry_index.with_scope(&key.name, key.scope.as_ref()?);
        near.find(|entry| {
            let is_by_author = || match (entry.kind(), entry.author(), &key.author) {
                (UserEntryKind::Ban | UserEntryKind::Mute, Some(author), Some((kind, subject))) => {
                    (author.kind, &author.subject) == (*kind, subject)
                }
                (UserEntryKind::Ban | UserEntryKind::Mute, author, wanted) => author.is_none() && wanted.is_none(),
                (UserEntryKind::Block | UserEntryKind::Role, _, wanted) => wanted.is_none(),
            };
            table_of(*entry) == Some(key.table) && entry.app() == key.app.as_ref() && is_by_author()
        })
    }
}

/// The name of the role of a conversation's owner.
pub const OWNER_ROLE: &str = "owner";

/// Compares two entries by table and user.
fn compare_users(entries: &EntryIndex, one: RowNumber, other: RowNumber) -> Ordering {
    let key = |row| (table_of(entries.entry(row)), entries.entry(row).user(), row);
    key(one).cmp(&key(other))
}

/// Compares two entries by their end.
fn compare_ends(entries: &EntryIndex, one: RowNumber, other: RowNumber) -> Ordering {
    let key = |row| (entries.entry(row).until(), row);
    key(one).cmp(&key(other))
}

/// Returns the table of an entry. `None`: it is the role of an owner, which is a part of the conversation's entry.
fn table_of(entry: EntryRef<'_>) -> Option<EntryKind> {
    match entry.kind() {
        UserEntryKind::Ban => Some(EntryKind::Bans),
        UserEntryKind::Mute => Some(EntryKind::Mutes),
        UserEntryKind::Block => Some(EntryKind::Blocks),
        UserEntryKind::Role => (!entry.is_listed()).then_some(EntryKind::Roles),
    }
}

/// Converts an entry of a user to a moderation entry. Returns `None` for the role of an owner.
fn to_moderation_entry(entry: EntryRef<'_>) -> Option<ModerationEntry> {
    if entry.is_listed() {
        return None;
    }
    match entry.to_entry() {
        UserEntry::Ban(ban) => Some(ModerationEntry::Ban(ban)),
        UserEntry::Mute(mute) => Some(ModerationEntry::Mute(mute)),
        UserEntry::Block(block) => Some(ModerationEntry::Block(block)),
        UserEntry::Role(RoleBinding { scope, app, grant, origin, .. }) => {
            let role = match grant {
                RoleGrant::RoleName(role) => Some(role),
                RoleGrant::Removed => None,
                RoleGrant::Role(_) | RoleGrant::Remembered => return None,
            };
            Some(ModerationEntry::Role(RoleAssignment { user: entry.user().to_owned(), scope, app, role, origin }))
        }
    }
}
