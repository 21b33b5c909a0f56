//! Entries about users and conversations, indexed by name. A lookup costs the same for ten entries and for a million.

mod entry;
mod pool;
mod rows;
mod sorted_rows;
mod texts;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

pub use self::entry::{RoleBinding, RoleGrant, UserEntry};
use self::pool::next_number;
use self::rows::EntryRows;
pub use self::rows::{EntryRef, UserEntryKind};
pub(crate) use self::sorted_rows::{RowNumber, SortedRows};
use super::rule::{BindingEntry, EntryOrigin, PolicyEntries};
use crate::model::{ConversationKind, Pattern, room, unqualified};

/// The entries about users, by user name, and the kinds of conversations.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    rows: EntryRows,
    /// The users, by the hash of the name. The hash is keyed with a random value, because callers choose the names.
    users: HashTable<UserRows>,
    hasher: RandomState,
    /// The rows of users who have several entries, sorted by type of scope and name.
    lists: Vec<Vec<RowNumber>>,
    free_lists: Vec<u32>,
    kinds: HashMap<String, Vec<(AppScope, ConversationKind)>>,
    /// The conversations of each kind, sorted by id, to find those inside a pattern.
    by_kind: HashMap<ConversationKind, BTreeSet<(String, AppScope)>>,
}

/// The app that an entry is for, or `None` for all apps.
type AppScope = Option<Arc<str>>;

/// Where the entries of one user are. If the user has one entry, this is the number of its row. If there are several, the
/// highest bit is set, and the other bits are the index in `lists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UserRows(u32);

impl EntryIndex {
    /// Indexes the entries of a policy file.
    pub fn new(entries: &PolicyEntries) -> EntryIndex {
        let mut entry_index = EntryIndex::default();
        for ban in &entries.bans {
            entry_index.add(&ban.user, UserEntry::Ban(ban.clone()));
        }
        for mute in &entries.mutes {
            entry_index.add(&mute.user, UserEntry::Mute(mute.clone()));
        }
        for block in &entries.blocks {
            entry_index.add(&block.user, UserEntry::Block(block.clone()));
        }
        for BindingEntry { user, scope, app, role, line } in &entries.bindings {
            let origin = EntryOrigin::File { line: *line };
            let (scope, app, held) = (scope.clone(), app.clone(), RoleGrant::Role(*role));
            entry_index.add(user, UserEntry::Role(RoleBinding { scope, app, grant: held, listed: false, origin }));
        }
        for conversation in &entries.conversations {
            let scope = Pattern::Exact(conversation.id.clone());
            for (user, role) in &conversation.members {
                let origin = EntryOrigin::File { line: conversation.line };
                let (scope, app, held) = (scope.clone(), conversation.app.clone(), RoleGrant::Role(*role));
                entry_index.add(user, UserEntry::Role(RoleBinding { scope, app, grant: held, listed: true, origin }));
            }
            entry_index.set_kind(&conversation.id, conversation.app.clone(), conversation.kind);
        }
        entry_index
    }

    /// Makes room for this number of further entries, each about another user.
    pub(crate) fn reserve(&mut self, entries: usize) {
        let EntryIndex { rows, users, hasher, lists, .. } = self;
        users.reserve(entries, |user| hasher.hash_one(rows.user_of(user.first(lists))));
        rows.reserve(entries);
    }

    /// Adds an entry about a user.
    pub fn add(&mut self, user: &str, entry: UserEntry) {
        self.add_row(user, entry);
    }

    /// Adds an entry about a user. Returns the number of its row.
    pub(crate) fn add_row(&mut self, user: &str, entry: UserEntry) -> RowNumber {
        let EntryIndex { rows, users, hasher, lists, free_lists, .. } = self;
        let hash = hasher.hash_one(user.as_bytes());
        let is_user = |other: &UserRows| rows.user_of(other.first(lists)) == user.as_bytes();
        let Some(known) = users.find_mut(hash, is_user) else {
            let row = rows.add(user, None, entry);
            let hash_of = |other: &UserRows| hasher.hash_one(rows.user_of(other.first(lists)));
            users.insert_unique(hash, UserRows(row), hash_of);
            return row;
        };
        let row = rows.add(user, Some(known.first(lists)), entry);
        if known.list().is_none() {
            *known = UserRows::new_list(lists, free_lists, known.0);
        }
        if let Some(list) = known.list() {
            insert_sorted(&mut lists[list], row, rows);
        }
        row
    }

    /// Returns the size of the rows and their texts in bytes, with the places of removed entries.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.rows.size()
    }

    /// Returns whether there is no room for another entry.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.is_full()
    }

    /// Removes the entries about a user in this scope for which `is` returns true. Returns whether any entry was
    /// removed.
    pub fn remove(&mut self, user: &str, scope: &Pattern, is: impl Fn(EntryRef<'_>) -> bool) -> bool {
        let gone: Vec<RowNumber> =
            self.with_scope(user, scope).filter(|entry| is(*entry)).map(EntryRef::number).collect();
        for row in &gone {
            self.remove_row(*row);
        }
        !gone.is_empty()
    }

    /// Removes the entry of this row.
    pub(crate) fn remove_row(&mut self, row: RowNumber) {
        let EntryIndex { rows, users, hasher, lists, free_lists, .. } = self;
        let user = rows.user_of(row);
        let found = users.find_entry(hasher.hash_one(user), |other| rows.user_of(other.first(lists)) == user);
        if let Ok(mut known) = found {
            match known.get().list() {
                None => drop(known.remove()),
                Some(list) => {
                    lists[list].retain(|other| *other != row);
                    if let [left] = lists[list][..] {
                        lists[list] = Vec::new();
                        free_lists.push(known.get().0 & !UserRows::IS_LIST);
                        *known.get_mut() = UserRows(left);
                    }
                }
            }
        }
        rows.remove(row);
    }

    /// Returns the entry of a row.
    pub(crate) fn entry(&self, row: RowNumber) -> EntryRef<'_> {
        self.rows.entry(row)
    }

    /// Returns all entries. If no entry was removed, they are in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.rows.iter()
    }

    /// Returns all entries about a user.
    pub fn all_about(&self, user: &str) -> impl Iterator<Item = EntryRef<'_>> {
        self.about(user).entries()
    }

    /// Returns the entries about a user that have exactly this scope.
    pub fn with_scope<'a>(&'a self, user: &str, scope: &Pattern) -> impl Iterator<Item = EntryRef<'a>> + use<'a> {
        let list = self.about(user).of_class(ScopeClass::of(scope)).named(sort_name(scope));
        let scope = scope.clone();
        list.entries().filter(move |entry| *entry.scope() == scope)
    }

    fn about(&self, user: &str) -> UserEntries<'_> {
        let EntryIndex { rows, users, hasher, lists, .. } = self;
        let is_user = |other: &UserRows| rows.user_of(other.first(lists)) == user.as_bytes();
        let known = users.find(hasher.hash_one(user.as_bytes()), is_user);
        UserEntries { rows, list: known.map_or(&[], |known| known.rows(lists)) }
    }

    /// Sets the kind of a conversation. Replaces the kind that was set for the same `app`.
    pub fn set_kind(&mut self, id: &str, app: Option<Arc<str>>, kind: ConversationKind) {
        self.forget_kind(id, app.as_ref());
        let home = home_of(id);
        self.kinds.entry(home.clone()).or_default().push((app.clone(), kind));
        self.by_kind.entry(kind).or_default().insert((home, app));
    }

    /// Removes the kind of a conversation.
    pub fn forget_kind(&mut self, id: &str, app: Option<&Arc<str>>) {
        let home = home_of(id);
        let Some(known) = self.kinds.get_mut(&home) else { return };
        for (own, kind) in known.extract_if(.., |(own, _)| own.as_ref() == app) {
            self.by_kind.entry(kind).or_default().remove(&(home.clone(), own));
        }
        if known.is_empty() {
            self.kinds.remove(&home);
        }
    }

    /// Returns the entries about a user in an app whose scope may overlap `place`. The result contains all that do, and
    /// perhaps some that do not. If `place` is `None`, returns the entries for everywhere.
    pub fn entries_near<'a, 'p>(
        &'a self,
        user: &str,
        app: &'a str,
        place: Option<&'p Pattern>,
    ) -> impl Iterator<Item = EntryRef<'a>> + use<'a, 'p> {
        let known = Some(self.about(user)).filter(|known| !known.list.is_empty());
        let near = known.into_iter().flat_map(move |known| known.near(place));
        near.filter(move |entry| entry.is_for_app(app))
    }

    /// Returns the kind of a conversation, if it is known here. A kind for exactly this app precedes one for all apps.
    pub(super) fn kind(&self, name: &str, app: &str) -> Option<ConversationKind> {
        let here = self.kinds.get(name)?.iter().filter(|(own, _)| own.as_deref().is_none_or(|own| own == app));
        here.max_by_key(|(own, _)| own.is_some()).map(|(_, kind)| *kind)
    }

    /// Returns the first known conversation of this kind, sorted by name, whose name starts with `prefix` and does not
    /// sort before `from`.
    pub(super) fn next_of_kind(&self, kind: ConversationKind, app: &str, prefix: &str, from: &str) -> Option<&str> {
        let known = self.by_kind.get(&kind)?.range((from.to_owned(), None)..);
        let mut inside = known.take_while(|(id, _)| id.starts_with(prefix));
        inside.find(|(_, own)| own.as_deref().is_none_or(|own| own == app)).map(|(id, _)| id.as_str())
    }
}

impl UserRows {
    const IS_LIST: u32 = 1 << 31;

    /// Makes a list of the only row of a user.
    fn new_list(lists: &mut Vec<Vec<RowNumber>>, free: &mut Vec<u32>, row: RowNumber) -> UserRows {
        let list = free.pop().unwrap_or_else(|| next_number(lists));
        match lists.get_mut(list as usize) {
            Some(place) => place.push(row),
            None => lists.push(vec![row]),
        }
        UserRows(list | Self::IS_LIST)
    }

    /// Returns the number of the list, if the user has several rows.
    fn list(self) -> Option<usize> {
        (self.0 & Self::IS_LIST != 0).then_some((self.0 & !Self::IS_LIST) as usize)
    }

    fn first(self, lists: &[Vec<RowNumber>]) -> RowNumber {
        self.list().map_or(self.0, |list| lists[list][0])
    }

    /// Returns the rows of the user, sorted by type of scope and name.
    fn rows<'a>(&'a self, lists: &'a [Vec<RowNumber>]) -> &'a [RowNumber] {
        self.list().map_or(std::slice::from_ref(&self.0), |list| &lists[list])
    }
}

/// Inserts a row in sort order, after rows of the same scope. Most lists are short, so a list grows in small steps.
fn insert_sorted(list: &mut Vec<RowNumber>, row: RowNumber, rows: &EntryRows) {
    let scope = rows.entry(row).scope();
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 2);
    }
    let place = list.partition_point(|other| sort_key(rows.entry(*other).scope()) <= sort_key(scope));
    list.insert(place, row);
}

/// The types of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ScopeClass {
    Everywhere,
    /// A namespace that is not inside a room.
    Under,
    /// A conversation, or channels of a room.
    Exact,
}

impl ScopeClass {
    fn of(scope: &Pattern) -> ScopeClass {
        match scope {
            Pattern::Everything => ScopeClass::Everywhere,
            Pattern::Namespace(_) if scope.room().is_none() => ScopeClass::Under,
            Pattern::Namespace(_) | Pattern::Exact(_) => ScopeClass::Exact,
        }
    }
}

/// Entries of one user, sorted by type of scope and name.
#[derive(Clone, Copy)]
struct UserEntries<'a> {
    rows: &'a EntryRows,
    list: &'a [RowNumber],
}

impl<'a> UserEntries<'a> {
    fn entries(self) -> impl Iterator<Item = EntryRef<'a>> {
        self.list.iter().map(move |row| self.rows.entry(*row))
    }

    /// Returns the entries whose scope is of this type.
    fn of_class(self, class: ScopeClass) -> UserEntries<'a> {
        self.part(|scope| ScopeClass::of(scope) < class, |scope| ScopeClass::of(scope) == class)
    }

    /// Returns the entries of this name. All entries must be of one type.
    fn named(self, name: &str) -> UserEntries<'a> {
        self.part(|scope| sort_name(scope) < name, |scope| sort_name(scope) == name)
    }

    /// Returns the entries whose name starts with `prefix`. All entries must be of one type.
    fn with_prefix(self, prefix: &str) -> UserEntries<'a> {
        self.part(|scope| sort_name(scope) < prefix, |scope| sort_name(scope).starts_with(prefix))
    }

    /// Returns the entries for which `is_inside` returns true. They come directly after those for which `is_before`
    /// returns true.
    fn part(self, is_before: impl Fn(&Pattern) -> bool, is_inside: impl Fn(&Pattern) -> bool) -> UserEntries<'a> {
        let scope = |row: &RowNumber| self.rows.entry(*row).scope();
        let start = self.list.partition_point(|row| is_before(scope(row)));
        let count = self.list[start..].partition_point(|row| is_inside(scope(row)));
        UserEntries { list: &self.list[start..start + count], ..self }
    }

    /// Returns the entries whose scope may overlap `place`: the entries for everywhere, for the prefixes around it,
    /// for the place itself, and for scopes inside it.
    fn near<'p>(self, place: Option<&'p Pattern>) -> impl Iterator<Item = EntryRef<'a>> + use<'a, 'p> {
        let [everywhere, under, exact] =
            [ScopeClass::Everywhere, ScopeClass::Under, ScopeClass::Exact].map(|class| self.of_class(class));
        let name = place.map_or("", |asked| unqualified(asked.prefix()));
        let (own, inside) = match place {
            None => ([None; 3], None),
            Some(asked @ Pattern::Exact(_)) => ([Some(asked.room().map_or(name, unqualified)), None, None], None),
            Some(Pattern::Namespace(_)) => (rooms_outside(name), Some(name)),
            Some(Pattern::Everything) => ([None; 3], Some("")),
        };
        let around = Pattern::prefixes_around(name).map(move |prefix| under.named(prefix));
        let own = own.into_iter().flatten().map(move |home| exact.named(home));
        let inside = inside.into_iter();
        let inside = inside.flat_map(move |prefix| [exact, under].map(|list| list.with_prefix(prefix)));
        std::iter::once(everywhere).chain(around).chain(own).chain(inside).flat_map(UserEntries::entries)
    }
}

/// Returns the room if `id` is one of its channels, otherwise `id`.
fn home_of(id: &str) -> String {
    Pattern::Exact(id.to_owned()).home_conversation().prefix().to_owned()
}

/// Returns the name by which entries of this scope are sorted.
fn sort_name(scope: &Pattern) -> &str {
    unqualified(scope.room().unwrap_or(scope.prefix()))
}

/// Returns the type of a scope and its name. The entries of a user are sorted by them.
fn sort_key(scope: &Pattern) -> (ScopeClass, &str) {
    (ScopeClass::of(scope), sort_name(scope))
}

/// Returns the rooms outside the namespace `prefix` whose channels are inside it: `room` for `room:*`, `room::*` and
/// `room::$chat:*`.
pub(super) fn rooms_outside(prefix: &str) -> [Option<&str>; 3] {
    let before = prefix.strip_suffix(':');
    [before, before.and_then(|name| name.strip_suffix(':')), room(prefix)]
}

#[cfg(test)]
mod tests;
