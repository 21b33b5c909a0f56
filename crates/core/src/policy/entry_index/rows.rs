//! The rows of entries about users: 40 bytes each. What rows share is stored once.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::entry::{RoleBinding, RoleGrant, UserEntry};
use super::pool::{Pool, PoolId, next_number};
use super::sorted_rows::RowNumber;
use super::texts::{TextArena, TextId};
use crate::model::{Millis, Pattern, Role, RoleHierarchy};
use crate::policy::rule::{Block, EntryAuthor, EntryOrigin, Sanction};

/// Rows of entries, and what they share.
#[derive(Clone, Debug, Default)]
pub(super) struct EntryRows {
    rows: Vec<EntryRow>,
    /// The numbers of rows without an entry, for the next entries.
    free: Vec<RowNumber>,
    pub(super) texts: TextArena,
    pub(super) places: Pool<EntryPlace>,
    authors: Pool<Arc<EntryAuthor>>,
    role_names: Pool<Arc<str>>,
}

/// An entry about a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryRow {
    /// The time of the last change. For an entry of the policy file: the line.
    at: u64,
    /// The end of a ban or mute. [`NO_END`]: it has no end.
    until: u64,
    pub(super) user: TextId,
    pub(super) place: PoolId,
    /// The author. `None`: the entry comes from the policy file.
    author: Option<AuthorId>,
    kind: RowKind,
}

/// The scope and the app of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntryPlace {
    pub(super) scope: Pattern,
    /// The app that the entry is for, or `None` for all apps.
    pub(super) app: Option<Arc<str>>,
}

/// What a row says.
#[derive(Clone, Copy, Debug)]
enum RowKind {
    Ban(Option<TextId>),
    Mute(Option<TextId>),
    Block,
    Role { listed: bool, grant: RowGrant },
}

/// The grant of a role, as [`RoleGrant`] describes it.
#[derive(Clone, Copy, Debug)]
enum RowGrant {
    Role(Option<Role>),
    RoleName(PoolId),
    Removed,
    Remembered,
}

/// The number of an author, plus 1.
#[derive(Clone, Copy, Debug)]
struct AuthorId(std::num::NonZeroU32);

/// The end of an entry that has no end. No time is so late.
const NO_END: u64 = u64::MAX;

/// The largest number of rows. A larger number would have another meaning in the index.
const MAX_ROWS: usize = 1 << 31;

/// The room for the texts of another entry, in bytes. The store has no entry with longer texts.
const ENTRY_TEXTS: usize = 1 << 20;

/// An entry about a user, in an index.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    rows: &'a EntryRows,
    row: &'a EntryRow,
    number: RowNumber,
}

/// The kind of an entry about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserEntryKind {
    /// A ban.
    Ban,
    /// A mute.
    Mute,
    /// A block.
    Block,
    /// A role.
    Role,
}

impl EntryRows {
    /// Stores an entry of the user. `known` is another row of the same user, if there is one.
    pub(super) fn add(&mut self, user: &str, known: Option<RowNumber>, entry: UserEntry) -> RowNumber {
        let user = match known {
            Some(known) => self.use_name_again(known),
            None => self.texts.add(user),
        };
        let row = self.row(user, entry);
        if let Some(number) = self.free.pop() {
            self.rows[number as usize] = row;
            return number;
        }
        let number = next_number(&self.rows);
        self.rows.push(row);
        number
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.rows.len() * size_of::<EntryRow>() + self.texts.size()
    }

    /// Returns whether there is no room for another entry.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.texts.size() + ENTRY_TEXTS > TextId::MAX_BLOCK
    }

    /// Makes room for this number of further rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
    }

    /// Returns all entries, in the order of their rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        let free: HashSet<RowNumber> = self.free.iter().copied().collect();
        let used = (0..next_number(&self.rows)).filter(move |number| !free.contains(number));
        used.map(|number| self.entry(number))
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, number: RowNumber) {
        let EntryRow { user, place, author, kind, .. } = self.rows[number as usize];
        self.texts.release(user);
        self.places.release(place);
        if let Some(author) = author {
            self.authors.release(author.pool_id());
        }
        match kind {
            RowKind::Ban(reason) | RowKind::Mute(reason) => {
                if let Some(reason) = reason {
                    self.texts.release(reason);
                }
            }
            RowKind::Role { grant: RowGrant::RoleName(name), .. } => self.role_names.release(name),
            RowKind::Block | RowKind::Role { .. } => {}
        }
        self.free.push(number);
    }

    /// Returns the name of the user of a row.
    pub(super) fn user_of(&self, number: RowNumber) -> &[u8] {
        self.texts.bytes_of(self.rows[number as usize].user)
    }

    pub(super) fn entry(&self, number: RowNumber) -> EntryRef<'_> {
        EntryRef { rows: self, row: &self.rows[number as usize], number }
    }

    fn use_name_again(&mut self, known: RowNumber) -> TextId {
        let user = self.rows[known as usize].user;
        self.texts.use_again(user);
        user
    }

    fn row(&mut self, user: TextId, entry: UserEntry) -> EntryRow {
        let (scope, app, origin, until, kind) = match entry {
            UserEntry::Ban(Sanction { scope, app, until, reason, origin, .. }) => {
                (scope, app, origin, until, RowKind::Ban(self.share(reason)))
            }
            UserEntry::Mute(Sanction { scope, app, until, reason, origin, .. }) => {
                (scope, app, origin, until, RowKind::Mute(self.share(reason)))
            }
            UserEntry::Block(Block { conversation, app, origin, .. }) => {
                (conversation, app, origin, None, RowKind::Block)
            }
            UserEntry::Role(RoleBinding { scope, app, grant, listed, origin }) => {
                let grant = match grant {
                    RoleGrant::Role(role) => RowGrant::Role(role),
                    RoleGrant::RoleName(name) => RowGrant::RoleName(self.role_names.add(name)),
                    RoleGrant::Removed => RowGrant::Removed,
                    RoleGrant::Remembered => RowGrant::Remembered,
                };
                (scope, app, origin, None, RowKind::Role { listed, grant })
            }
        };
        let (at, author) = match origin {
            EntryOrigin::File { line } => (line as u64, None),
            EntryOrigin::Runtime { author, at } => (at.0, Some(AuthorId::new(self.authors.add(author)))),
        };
        let until = until.map_or(NO_END, |until| until.0.min(NO_END - 1));
        EntryRow { at, until, user, place: self.places.add(EntryPlace { scope, app }), author, kind }
    }

    fn share(&mut self, reason: Option<String>) -> Option<TextId> {
        reason.map(|reason| self.texts.share(&reason))
    }
}

impl EntryRow {
    /// Returns the line of an entry of the policy file.
    fn line(&self) -> usize {
        usize::try_from(self.at).unwrap_or(usize::MAX)
    }
}

impl AuthorId {
    fn new(id: PoolId) -> AuthorId {
        AuthorId(std::num::NonZeroU32::MIN.saturating_add(id))
    }

    fn pool_id(self) -> PoolId {
        self.0.get() - 1
    }
}

impl<'a> EntryRef<'a> {
    /// Returns the kind of the entry.
    pub fn kind(self) -> UserEntryKind {
        match self.row.kind {
            RowKind::Ban(_) => UserEntryKind::Ban,
            RowKind::Mute(_) => UserEntryKind::Mute,
            RowKind::Block => UserEntryKind::Block,
            RowKind::Role { .. } => UserEntryKind::Role,
        }
    }

    /// Returns the user.
    pub fn user(self) -> &'a str {
        self.rows.texts.get(self.row.user)
    }

    /// Returns the scope of the entry.
    pub fn scope(self) -> &'a Pattern {
        &self.rows.places.get(self.row.place).scope
    }

    /// Returns the app that the entry is for, or `None` for all apps.
    pub fn app(self) -> Option<&'a Arc<str>> {
        self.rows.places.get(self.row.place).app.as_ref()
    }

    /// Returns the author, if the entry was made at run time.
    pub fn author(self) -> Option<&'a EntryAuthor> {
        self.row.author.map(|author| &**self.rows.authors.get(author.pool_id()))
    }

    /// Returns the line of the policy file, if the entry comes from it.
    pub fn line(self) -> Option<usize> {
        self.row.author.is_none().then(|| self.row.line())
    }

    /// Returns where the entry comes from.
    pub fn origin(self) -> EntryOrigin {
        match self.row.author {
            None => EntryOrigin::File { line: self.row.line() },
            Some(author) => EntryOrigin::Runtime {
                author: Arc::clone(self.rows.authors.get(author.pool_id())),
                at: Millis(self.row.at),
            },
        }
    }

    /// Returns the end of a ban or mute, if it has an end.
    pub fn until(self) -> Option<Millis> {
        (self.row.until != NO_END).then_some(Millis(self.row.until))
    }

    /// Returns the reason of a ban or mute, if it has one.
    pub fn reason(self) -> Option<&'a str> {
        match self.row.kind {
            RowKind::Ban(reason) | RowKind::Mute(reason) => reason.map(|reason| self.rows.texts.get(reason)),
            RowKind::Block | RowKind::Role { .. } => None,
        }
    }

    /// Returns what a role grants. `None`: the entry is no role.
    pub fn grant(self) -> Option<RoleGrant> {
        let RowKind::Role { grant, .. } = self.row.kind else { return None };
        Some(match grant {
            RowGrant::Role(role) => RoleGrant::Role(role),
            RowGrant::RoleName(name) => RoleGrant::RoleName(Arc::clone(self.rows.role_names.get(name))),
            RowGrant::Removed => RoleGrant::Removed,
            RowGrant::Remembered => RoleGrant::Remembered,
        })
    }

    /// Returns whether the entry is a role from a conversation's list of owner, managers and members.
    pub fn is_listed(self) -> bool {
        matches!(self.row.kind, RowKind::Role { listed: true, .. })
    }

    /// Returns whether the entry is the former role of the owner of a conversation that was forgotten.
    pub fn is_remembered(self) -> bool {
        matches!(self.row.kind, RowKind::Role { grant: RowGrant::Remembered, .. })
    }

    /// Returns a copy of the entry.
    pub fn to_entry(self) -> UserEntry {
        let (scope, app, origin) = (self.scope().clone(), self.app().cloned(), self.origin());
        let sanction = || Sanction {
            user: self.user().to_owned(),
            scope: scope.clone(),
            app: app.clone(),
            until: self.until(),
            reason: self.reason().map(str::to_owned),
            origin: origin.clone(),
        };
        match self.kind() {
            UserEntryKind::Ban => UserEntry::Ban(sanction()),
            UserEntryKind::Mute => UserEntry::Mute(sanction()),
            UserEntryKind::Block => {
                UserEntry::Block(Block { user: self.user().to_owned(), conversation: scope, app, origin })
            }
            UserEntryKind::Role => {
                let grant = self.grant().unwrap_or(RoleGrant::Removed);
                UserEntry::Role(RoleBinding { scope, app, grant, listed: self.is_listed(), origin })
            }
        }
    }
}

impl EntryRef<'_> {
    /// Returns the number of the row. It stays the same until the entry is removed.
    pub(crate) fn number(self) -> RowNumber {
        self.number
    }

    /// Returns whether the entry is for this app.
    pub fn is_for_app(self, app: &str) -> bool {
        self.app().is_none_or(|own| **own == *app)
    }

    /// Returns whether the entry has not ended at the time `now`.
    pub fn is_in_force(self, now: Millis) -> bool {
        self.until().is_none_or(|until| now < until)
    }

    /// Returns whether the entry applies in `place`, or in a part of it. `None`: only an entry for everywhere applies.
    pub fn overlaps(self, place: Option<&Pattern>) -> bool {
        place.map_or(*self.scope() == Pattern::Everything, |place| self.scope().overlaps(place))
    }

    /// Returns the role in the hierarchy of the current policy, or `None` if there is no such role.
    pub(in crate::policy) fn role(self, hierarchy: &RoleHierarchy) -> Option<Role> {
        match self.grant()? {
            RoleGrant::Role(role) => role,
            RoleGrant::RoleName(word) => hierarchy.find(&word),
            RoleGrant::Removed | RoleGrant::Remembered => None,
        }
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_entry().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::EntryRow;

    #[test]
    fn a_row_takes_40_bytes() {
        assert_eq!(size_of::<EntryRow>(), 40);
    }
}
