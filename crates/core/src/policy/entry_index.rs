//! Entries about users and conversations, indexed by name. A lookup costs the same for ten entries and for a million.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::rule::{BindingEntry, Block, EntryOrigin, PolicyEntries, Sanction};
use crate::model::{ConversationKind, Pattern, Role, RoleHierarchy, room, unqualified};

/// The entries about users, by user name, and the kinds of conversations.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    users: HashMap<Arc<str>, UserEntries>,
    kinds: HashMap<String, Vec<(AppScope, ConversationKind)>>,
    /// The conversations of each kind, sorted by id, to find those inside a pattern.
    by_kind: HashMap<ConversationKind, BTreeSet<(String, AppScope)>>,
}

/// The app that an entry is for, or `None` for all apps.
type AppScope = Option<Arc<str>>;

/// One entry about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEntry {
    /// A ban.
    Ban(Sanction),
    /// A mute.
    Mute(Sanction),
    /// The user does not want to be added to a conversation.
    Block(Block),
    /// A role in a scope.
    Role(RoleBinding),
}

/// A user's role in a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleBinding {
    /// The scope.
    pub scope: Pattern,
    /// The app that the role is for, or `None` for all apps.
    pub app: Option<Arc<str>>,
    /// The role.
    pub grant: RoleGrant,
    /// Whether the role comes from the conversation's list of owner, managers and members, not from a binding.
    pub listed: bool,
    /// Where the entry comes from.
    pub origin: EntryOrigin,
}

/// The role of a [`RoleBinding`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleGrant {
    /// This role. `None` means that the policy does not list the role.
    Role(Option<Role>),
    /// The role that has this name in the current policy.
    RoleName(Arc<str>),
    /// The role in this scope was removed. The role of a wider scope counts here, or the default role. Later sources do
    /// not count.
    Removed,
    /// The former role of the owner of a conversation that was forgotten. It grants nothing, but nobody outranks this
    /// user in the conversation.
    Remembered,
}

impl UserEntry {
    /// Returns the scope of the entry.
    pub fn scope(&self) -> &Pattern {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => &sanction.scope,
            UserEntry::Block(block) => &block.conversation,
            UserEntry::Role(binding) => &binding.scope,
        }
    }

    /// Returns the app that the entry is for, or `None` for all apps.
    pub fn app(&self) -> Option<&Arc<str>> {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => sanction.app.as_ref(),
            UserEntry::Block(block) => block.app.as_ref(),
            UserEntry::Role(binding) => binding.app.as_ref(),
        }
    }

    /// Returns whether the entry is for this app.
    pub fn is_for_app(&self, app: &str) -> bool {
        self.app().is_none_or(|own| **own == *app)
    }

    /// Returns where the entry comes from.
    pub fn origin(&self) -> &EntryOrigin {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => &sanction.origin,
            UserEntry::Block(block) => &block.origin,
            UserEntry::Role(binding) => &binding.origin,
        }
    }
}

impl RoleBinding {
    /// Returns the role in the hierarchy of the current policy, or `None` if there is no such role.
    pub(super) fn role(&self, hierarchy: &RoleHierarchy) -> Option<Role> {
        match &self.grant {
            RoleGrant::Role(role) => *role,
            RoleGrant::RoleName(word) => hierarchy.find(word),
            RoleGrant::Removed | RoleGrant::Remembered => None,
        }
    }
}

impl EntryIndex {
    /// Indexes the entries of a policy file.
    pub fn new(entries: &PolicyEntries) -> EntryIndex {
        let mut entry_index = EntryIndex::default();
        for ban in &entries.bans {
            entry_index.push_entry(&ban.user, UserEntry::Ban(ban.clone()));
        }
        for mute in &entries.mutes {
            entry_index.push_entry(&mute.user, UserEntry::Mute(mute.clone()));
        }
        for block in &entries.blocks {
            entry_index.push_entry(&block.user, UserEntry::Block(block.clone()));
        }
        for BindingEntry { user, scope, app, role, line } in &entries.bindings {
            let origin = EntryOrigin::File { line: *line };
            let (scope, app, held) = (scope.clone(), app.clone(), RoleGrant::Role(*role));
            entry_index
                .push_entry(user, UserEntry::Role(RoleBinding { scope, app, grant: held, listed: false, origin }));
        }
        for conversation in &entries.conversations {
            let scope = Pattern::Exact(conversation.id.clone());
            for (user, role) in &conversation.members {
                let origin = EntryOrigin::File { line: conversation.line };
                let (scope, app, held) = (scope.clone(), conversation.app.clone(), RoleGrant::Role(*role));
                entry_index
                    .push_entry(user, UserEntry::Role(RoleBinding { scope, app, grant: held, listed: true, origin }));
            }
            entry_index.set_kind(&conversation.id, conversation.app.clone(), conversation.kind);
        }
        entry_index.users.values_mut().for_each(UserEntries::sort);
        entry_index
    }

    /// Adds an entry about a user, in sort order.
    pub fn add(&mut self, user: &Arc<str>, entry: UserEntry) {
        self.user_entries(user).insert(entry);
    }

    /// Removes the entries about a user in this scope for which `is` returns true. Returns whether any entry was
    /// removed.
    pub fn remove(&mut self, user: &str, scope: &Pattern, is: impl Fn(&UserEntry) -> bool) -> bool {
        let Some(dossier) = self.users.get_mut(user) else { return false };
        let before = dossier.len();
        dossier.list_for_mut(scope).retain(|entry| entry.scope() != scope || !is(entry));
        let (after, gone) = (dossier.len(), dossier.len() < before);
        if after == 0 {
            self.users.remove(user);
        }
        gone
    }

    /// Returns the shared name of the user, if there are entries about the user.
    pub fn name(&self, user: &str) -> Option<Arc<str>> {
        self.users.get_key_value(user).map(|(name, _)| Arc::clone(name))
    }

    /// Returns all entries about a user.
    pub fn all_about(&self, user: &str) -> impl Iterator<Item = &UserEntry> {
        self.users.get(user).into_iter().flat_map(UserEntries::all)
    }

    /// Returns the entries about a user that have exactly this scope.
    pub fn with_scope<'a>(&'a self, user: &str, scope: &Pattern) -> impl Iterator<Item = &'a UserEntry> + use<'a> {
        let list = self.users.get(user).map_or(&[][..], |dossier| dossier.is_from_list(scope));
        let scope = scope.clone();
        list.named(sort_name(&scope)).iter().filter(move |entry| *entry.scope() == scope)
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

    fn push_entry(&mut self, user: &str, entry: UserEntry) {
        match self.users.get_mut(user) {
            Some(dossier) => dossier.push(entry),
            None => self.user_entries(&Arc::from(user)).push(entry),
        }
    }

    fn user_entries(&mut self, user: &Arc<str>) -> &mut UserEntries {
        self.users.entry(Arc::clone(user)).or_default()
    }

    /// Returns the entries about a user in an app whose scope may overlap `place`. The result contains all that do, and
    /// perhaps some that do not. If `place` is `None`, returns the entries for everywhere.
    pub fn entries_near<'a, 'p>(
        &'a self,
        user: &str,
        app: &'a str,
        place: Option<&'p Pattern>,
    ) -> impl Iterator<Item = &'a UserEntry> + use<'a, 'p> {
        let near = self.users.get(user).into_iter().flat_map(move |dossier| dossier.entries_near(place));
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

/// The entries about one user, by type of scope. Each list is sorted by name.
#[derive(Clone, Debug, Default)]
struct UserEntries {
    exact: Vec<UserEntry>,
    under: Vec<UserEntry>,
    everywhere: Vec<UserEntry>,
}

impl UserEntries {
    fn push(&mut self, entry: UserEntry) {
        self.list_for_mut(entry.scope()).push(entry);
    }

    /// Inserts an entry in sort order. Most users have one or two entries, so the list grows in small steps.
    fn insert(&mut self, entry: UserEntry) {
        let list = self.list_for_mut(entry.scope());
        if list.len() == list.capacity() {
            list.reserve_exact(1 + list.len() / 2);
        }
        let place = list.partition_point(|other| other.name() <= entry.name());
        list.insert(place, entry);
    }

    fn is_from_list(&self, scope: &Pattern) -> &[UserEntry] {
        match scope {
            Pattern::Everything => &self.everywhere,
            Pattern::Namespace(_) if scope.room().is_none() => &self.under,
            _ => &self.exact,
        }
    }

    /// Returns the list for entries of this scope.
    fn list_for_mut(&mut self, scope: &Pattern) -> &mut Vec<UserEntry> {
        match scope {
            Pattern::Everything => &mut self.everywhere,
            Pattern::Namespace(_) if scope.room().is_none() => &mut self.under,
            _ => &mut self.exact,
        }
    }

    fn all(&self) -> impl Iterator<Item = &UserEntry> {
        self.everywhere.iter().chain(&self.under).chain(&self.exact)
    }

    fn len(&self) -> usize {
        self.everywhere.len() + self.under.len() + self.exact.len()
    }

    fn sort(&mut self) {
        self.exact.sort_by(|a, b| a.name().cmp(b.name()));
        self.under.sort_by(|a, b| a.name().cmp(b.name()));
    }

    /// Returns the entries whose scope may overlap `place`: the entries for everywhere, for the prefixes around it,
    /// for the place itself, and for scopes inside it.
    fn entries_near<'p>(&self, place: Option<&'p Pattern>) -> impl Iterator<Item = &UserEntry> + use<'_, 'p> {
        let name = place.map_or("", |asked| unqualified(asked.prefix()));
        let (own, inside) = match place {
            None => ([None; 3], None),
            Some(asked @ Pattern::Exact(_)) => ([Some(asked.room().map_or(name, unqualified)), None, None], None),
            Some(Pattern::Namespace(_)) => (rooms_outside(name), Some(name)),
            Some(Pattern::Everything) => ([None; 3], Some("")),
        };
        let around = Pattern::prefixes_around(name).map(|prefix| self.under.named(prefix));
        let own = own.into_iter().flatten().map(|home| self.exact.named(home));
        let inside = inside.into_iter();
        let inside = inside.flat_map(|prefix| [&self.exact, &self.under].map(|list| list.range_with_prefix(prefix)));
        std::iter::once(self.everywhere.as_slice()).chain(around).chain(own).chain(inside).flatten()
    }
}

/// Returns the room if `id` is one of its channels, otherwise `id`.
fn home_of(id: &str) -> String {
    Pattern::Exact(id.to_owned()).home_conversation().prefix().to_owned()
}

/// An item of a list that is sorted by name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for UserEntry {
    fn name(&self) -> &str {
        sort_name(self.scope())
    }
}

/// Returns the name by which entries of this scope are sorted.
fn sort_name(scope: &Pattern) -> &str {
    unqualified(scope.room().unwrap_or(scope.prefix()))
}

/// Lookups in a list that is sorted by name.
trait SortedByName<T> {
    fn named(&self, name: &str) -> &[T];
    fn range_with_prefix(&self, prefix: &str) -> &[T];
}

impl<T: Named> SortedByName<T> for [T] {
    fn named(&self, name: &str) -> &[T] {
        let start = self.partition_point(|entry| entry.name() < name);
        let count = self[start..].partition_point(|entry| entry.name() == name);
        &self[start..start + count]
    }

    fn range_with_prefix(&self, prefix: &str) -> &[T] {
        let start = self.partition_point(|entry| entry.name() < prefix);
        let count = self[start..].partition_point(|entry| entry.name().starts_with(prefix));
        &self[start..start + count]
    }
}

/// Returns the rooms outside the namespace `prefix` whose channels are inside it: `room` for `room:*`, `room::*` and
/// `room::$chat:*`.
pub(super) fn rooms_outside(prefix: &str) -> [Option<&str>; 3] {
    let before = prefix.strip_suffix(':');
    [before, before.and_then(|name| name.strip_suffix(':')), room(prefix)]
}

#[cfg(test)]
mod tests;
