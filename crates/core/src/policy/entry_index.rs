//! What is known of people and conversations, found by name at the same cost whether ten entries are known or a million.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::rule::{BindingEntry, Block, EntryOrigin, PolicyEntries, Sanction};
use crate::model::{ConversationKind, Pattern, Role, RoleHierarchy, room, unqualified};

/// People by name, each with what stands against them and what they are, and the kinds of conversations.
#[derive(Clone, Debug, Default)]
pub struct EntryIndex {
    people: HashMap<Arc<str>, UserEntries>,
    kinds: HashMap<String, Vec<(AppScope, ConversationKind)>>,
    /// Every conversation of a kind, sorted by id, to find one inside a pattern.
    by_kind: HashMap<ConversationKind, BTreeSet<(String, AppScope)>>,
}

/// The one app that something is about, or all.
type AppScope = Option<Arc<str>>;

/// One entry about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEntry {
    /// Kept from everything.
    Ban(Sanction),
    /// Kept from sending.
    Mute(Sanction),
    /// Not to be added to a conversation.
    Block(Block),
    /// A role held somewhere.
    Role(RoleBinding),
}

/// A role held somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleBinding {
    /// Where.
    pub scope: Pattern,
    /// The one app that this is about; all, where there is none.
    pub app: Option<Arc<str>>,
    /// Which.
    pub held: RoleGrant,
    /// By the conversation's own list, not by a binding.
    pub listed: bool,
    /// By whose word.
    pub origin: EntryOrigin,
}

/// Which role is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleGrant {
    /// This one; `None` is a word that the policy does not list.
    Role(Option<Role>),
    /// The one that the policy in force calls so.
    Word(Arc<str>),
    /// The one that was held there was taken away: what a wider scope gives here counts, or the default, and nobody else's word.
    Removed,
    /// None any more: that of the owner of a conversation that was forgotten. It gives nothing, but nobody outranks who had it there.
    Remembered,
}

impl UserEntry {
    /// Where it holds.
    pub fn scope(&self) -> &Pattern {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => &sanction.scope,
            UserEntry::Block(block) => &block.conversation,
            UserEntry::Role(tenure) => &tenure.scope,
        }
    }

    /// The one app that it is about; all, where there is none.
    pub fn app(&self) -> Option<&Arc<str>> {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => sanction.app.as_ref(),
            UserEntry::Block(block) => block.app.as_ref(),
            UserEntry::Role(tenure) => tenure.app.as_ref(),
        }
    }

    /// By whose word it is there.
    pub fn origin(&self) -> &EntryOrigin {
        match self {
            UserEntry::Ban(sanction) | UserEntry::Mute(sanction) => &sanction.origin,
            UserEntry::Block(block) => &block.origin,
            UserEntry::Role(tenure) => &tenure.origin,
        }
    }
}

impl RoleBinding {
    /// The role, in the words of the policy in force.
    pub(super) fn role(&self, ladder: &RoleHierarchy) -> Option<Role> {
        match &self.held {
            RoleGrant::Role(role) => *role,
            RoleGrant::Word(word) => ladder.role(word),
            RoleGrant::Removed | RoleGrant::Remembered => None,
        }
    }
}

impl EntryIndex {
    /// Files the entries of a policy file.
    pub fn new(entries: &PolicyEntries) -> EntryIndex {
        let mut register = EntryIndex::default();
        for ban in &entries.bans {
            register.file(&ban.user, UserEntry::Ban(ban.clone()));
        }
        for mute in &entries.mutes {
            register.file(&mute.user, UserEntry::Mute(mute.clone()));
        }
        for block in &entries.blocks {
            register.file(&block.user, UserEntry::Block(block.clone()));
        }
        for BindingEntry { user, scope, app, role, line } in &entries.bindings {
            let origin = EntryOrigin::File { line: *line };
            let (scope, app, held) = (scope.clone(), app.clone(), RoleGrant::Role(*role));
            register.file(user, UserEntry::Role(RoleBinding { scope, app, held, listed: false, origin }));
        }
        for conversation in &entries.conversations {
            let scope = Pattern::Exact(conversation.id.clone());
            for (user, role) in &conversation.people {
                let origin = EntryOrigin::File { line: conversation.line };
                let (scope, app, held) = (scope.clone(), conversation.app.clone(), RoleGrant::Role(*role));
                register.file(user, UserEntry::Role(RoleBinding { scope, app, held, listed: true, origin }));
            }
            register.set_kind(&conversation.id, conversation.app.clone(), conversation.kind);
        }
        register.people.values_mut().for_each(UserEntries::sort);
        register
    }

    /// Files an entry about a user, at its place.
    pub fn add(&mut self, user: &Arc<str>, entry: UserEntry) {
        self.dossier(user).insert(entry);
    }

    /// Takes those entries about a user in this scope away that `is` picks. Whether there were any.
    pub fn remove(&mut self, user: &str, scope: &Pattern, is: impl Fn(&UserEntry) -> bool) -> bool {
        let Some(dossier) = self.people.get_mut(user) else { return false };
        let before = dossier.len();
        dossier.list(scope).retain(|entry| entry.scope() != scope || !is(entry));
        let (after, gone) = (dossier.len(), dossier.len() < before);
        if after == 0 {
            self.people.remove(user);
        }
        gone
    }

    /// A user's name as it is kept here, if there are entries about it.
    pub fn name(&self, user: &str) -> Option<Arc<str>> {
        self.people.get_key_value(user).map(|(name, _)| Arc::clone(name))
    }

    /// All entries about a user.
    pub fn all_about(&self, user: &str) -> impl Iterator<Item = &UserEntry> {
        self.people.get(user).into_iter().flat_map(UserEntries::all)
    }

    /// The entries about a user with just this scope.
    pub fn filed_at<'a>(&'a self, user: &str, scope: &Pattern) -> impl Iterator<Item = &'a UserEntry> + use<'a> {
        let list = self.people.get(user).map_or(&[][..], |dossier| dossier.listed(scope));
        let scope = scope.clone();
        list.named(filed_under(&scope)).iter().filter(move |entry| *entry.scope() == scope)
    }

    /// Notes the kind of a conversation, in place of what was noted for this app before.
    pub fn set_kind(&mut self, id: &str, app: Option<Arc<str>>, kind: ConversationKind) {
        self.forget_kind(id, app.as_ref());
        let home = home(id);
        self.kinds.entry(home.clone()).or_default().push((app.clone(), kind));
        self.by_kind.entry(kind).or_default().insert((home, app));
    }

    /// Forgets the kind of a conversation.
    pub fn forget_kind(&mut self, id: &str, app: Option<&Arc<str>>) {
        let home = home(id);
        let Some(known) = self.kinds.get_mut(&home) else { return };
        for (own, kind) in known.extract_if(.., |(own, _)| own.as_ref() == app) {
            self.by_kind.entry(kind).or_default().remove(&(home.clone(), own));
        }
        if known.is_empty() {
            self.kinds.remove(&home);
        }
    }

    fn file(&mut self, user: &str, entry: UserEntry) {
        match self.people.get_mut(user) {
            Some(dossier) => dossier.push(entry),
            None => self.dossier(&Arc::from(user)).push(entry),
        }
    }

    fn dossier(&mut self, user: &Arc<str>) -> &mut UserEntries {
        self.people.entry(Arc::clone(user)).or_default()
    }

    /// The entries about a user at an app whose scope may overlap `place`: all that do, and perhaps some that don't. Of what is in no
    /// conversation, those for everywhere.
    pub fn about<'a, 'p>(
        &'a self,
        user: &str,
        app: &'a str,
        place: Option<&'p Pattern>,
    ) -> impl Iterator<Item = &'a UserEntry> + use<'a, 'p> {
        let near = self.people.get(user).into_iter().flat_map(move |dossier| dossier.near(place));
        near.filter(move |entry| entry.app().is_none_or(|own| **own == *app))
    }

    /// The kind of a conversation, if it is known here: what is known for just this app comes first.
    pub(super) fn kind(&self, name: &str, app: &str) -> Option<ConversationKind> {
        let here = self.kinds.get(name)?.iter().filter(|(own, _)| own.as_deref().is_none_or(|own| own == app));
        here.max_by_key(|(own, _)| own.is_some()).map(|(_, kind)| *kind)
    }

    /// The first known conversation of this kind, by name, whose name starts with `prefix` and is not before `from`.
    pub(super) fn next_of_kind(&self, kind: ConversationKind, app: &str, prefix: &str, from: &str) -> Option<&str> {
        let known = self.by_kind.get(&kind)?.range((from.to_owned(), None)..);
        let mut inside = known.take_while(|(id, _)| id.starts_with(prefix));
        inside.find(|(_, own)| own.as_deref().is_none_or(|own| own == app)).map(|(id, _)| id.as_str())
    }
}

/// What is known of one person, filed by scope. Each list is sorted by name.
#[derive(Clone, Debug, Default)]
struct UserEntries {
    exact: Vec<UserEntry>,
    under: Vec<UserEntry>,
    everywhere: Vec<UserEntry>,
}

impl UserEntries {
    fn push(&mut self, entry: UserEntry) {
        self.list(entry.scope()).push(entry);
    }

    /// Puts an entry where it belongs by name. Most people have one or two: room is made for no more.
    fn insert(&mut self, entry: UserEntry) {
        let list = self.list(entry.scope());
        if list.len() == list.capacity() {
            list.reserve_exact(1 + list.len() / 2);
        }
        let place = list.partition_point(|other| other.name() <= entry.name());
        list.insert(place, entry);
    }

    fn listed(&self, scope: &Pattern) -> &[UserEntry] {
        match scope {
            Pattern::Everything => &self.everywhere,
            Pattern::Under(_) if scope.room().is_none() => &self.under,
            _ => &self.exact,
        }
    }

    /// The list in which entries of this scope are.
    fn list(&mut self, scope: &Pattern) -> &mut Vec<UserEntry> {
        match scope {
            Pattern::Everything => &mut self.everywhere,
            Pattern::Under(_) if scope.room().is_none() => &mut self.under,
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

    /// The entries whose scope may overlap `place`: those for everywhere, for the namespaces around it, for itself, and inside it.
    fn near<'p>(&self, place: Option<&'p Pattern>) -> impl Iterator<Item = &UserEntry> + use<'_, 'p> {
        let name = place.map_or("", |asked| unqualified(asked.prefix()));
        let (own, inside) = match place {
            None => ([None; 3], None),
            Some(asked @ Pattern::Exact(_)) => ([Some(asked.room().map_or(name, unqualified)), None, None], None),
            Some(Pattern::Under(_)) => (homes(name), Some(name)),
            Some(Pattern::Everything) => ([None; 3], Some("")),
        };
        let around = name.match_indices(':').map(|(colon, _)| self.under.named(&name[..=colon]));
        let own = own.into_iter().flatten().map(|home| self.exact.named(home));
        let inside = inside.into_iter();
        let inside = inside.flat_map(|prefix| [&self.exact, &self.under].map(|list| list.range_with_prefix(prefix)));
        std::iter::once(self.everywhere.as_slice()).chain(around).chain(own).chain(inside).flatten()
    }
}

/// The room, for one of its channels.
fn home(id: &str) -> String {
    Pattern::Exact(id.to_owned()).home().prefix().to_owned()
}

/// Something filed under a name, in a list sorted by name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for UserEntry {
    fn name(&self) -> &str {
        filed_under(self.scope())
    }
}

/// The name by which entries of this scope are sorted.
fn filed_under(scope: &Pattern) -> &str {
    unqualified(scope.room().unwrap_or(scope.prefix()))
}

/// Looking up in a list sorted by name.
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

/// The rooms, outside the namespace itself, whose channels lie in the namespace `prefix`: `room` for `room:*`, `room::*` and
/// `room::$chat:*`.
pub(super) fn homes(prefix: &str) -> [Option<&str>; 3] {
    let before = prefix.strip_suffix(':');
    [before, before.and_then(|name| name.strip_suffix(':')), room(prefix)]
}

#[cfg(test)]
mod tests;
