//! What is known of people and conversations, found by name at the same cost whether ten entries are known or a million.

use std::collections::HashMap;
use std::sync::Arc;

use super::rule::{Binding, Block, Entries, Sanction};
use crate::model::{Kind, Pattern, Role, room, unqualified};

/// People by name, each with what stands against them and what they are, and the kinds of conversations.
#[derive(Clone, Debug, Default)]
pub struct Register {
    people: HashMap<String, Dossier>,
    kinds: HashMap<String, Vec<(App, Kind)>>,
    /// Every conversation of a kind, sorted by id, to find one inside a pattern.
    by_kind: HashMap<Kind, Vec<(String, App)>>,
}

/// The one app that something is about, or all.
type App = Option<Arc<str>>;

/// One entry about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Ban(Sanction),
    Mute(Sanction),
    Block(Block),
    Role(Tenure),
}

/// A role held somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tenure {
    pub(super) scope: Pattern,
    pub(super) app: Option<Arc<str>>,
    /// `None`: a word that the policy does not list.
    pub(super) role: Option<Role>,
    /// By the conversation's own list, not by a binding.
    pub(super) listed: bool,
}

impl Entry {
    fn scope(&self) -> &Pattern {
        match self {
            Entry::Ban(sanction) | Entry::Mute(sanction) => &sanction.scope,
            Entry::Block(block) => &block.conversation,
            Entry::Role(tenure) => &tenure.scope,
        }
    }

    fn app(&self) -> Option<&str> {
        match self {
            Entry::Ban(sanction) | Entry::Mute(sanction) => sanction.app.as_deref(),
            Entry::Block(block) => block.app.as_deref(),
            Entry::Role(tenure) => tenure.app.as_deref(),
        }
    }
}

impl Register {
    /// Files the entries.
    pub fn new(entries: &Entries) -> Register {
        let mut register = Register::default();
        for ban in &entries.bans {
            register.file(&ban.user, Entry::Ban(ban.clone()));
        }
        for mute in &entries.mutes {
            register.file(&mute.user, Entry::Mute(mute.clone()));
        }
        for block in &entries.blocks {
            register.file(&block.user, Entry::Block(block.clone()));
        }
        for Binding { user, scope, app, role } in &entries.bindings {
            let tenure = Tenure { scope: scope.clone(), app: app.clone(), role: *role, listed: false };
            register.file(user, Entry::Role(tenure));
        }
        for conversation in &entries.conversations {
            for (user, role) in &conversation.people {
                let scope = Pattern::Exact(conversation.id.clone());
                let tenure = Tenure { scope, app: conversation.app.clone(), role: *role, listed: true };
                register.file(user, Entry::Role(tenure));
            }
            let scope = Pattern::Exact(conversation.id.clone());
            register.note_kind(scope.home().prefix(), conversation.app.clone(), conversation.kind);
        }
        register.people.values_mut().for_each(Dossier::sort);
        register.by_kind.values_mut().for_each(|known| known.sort_unstable());
        register
    }

    fn file(&mut self, user: &str, entry: Entry) {
        match self.people.get_mut(user) {
            Some(dossier) => dossier.push(entry),
            None => self.people.entry(user.to_owned()).or_default().push(entry),
        }
    }

    fn note_kind(&mut self, id: &str, app: Option<Arc<str>>, kind: Kind) {
        self.kinds.entry(id.to_owned()).or_default().push((app.clone(), kind));
        self.by_kind.entry(kind).or_default().push((id.to_owned(), app));
    }

    /// The entries about a user at an app whose scope may overlap `place`: all that do, and perhaps some that don't. Of what is in no
    /// conversation, those for everywhere.
    pub(super) fn about<'a, 'p>(
        &'a self,
        user: &str,
        app: &'a str,
        place: Option<&'p Pattern>,
    ) -> impl Iterator<Item = &'a Entry> + use<'a, 'p> {
        let near = self.people.get(user).into_iter().flat_map(move |dossier| dossier.near(place));
        near.filter(move |entry| entry.app().is_none_or(|own| own == app))
    }

    /// The kind of a conversation, if it is known here.
    pub(super) fn kind(&self, name: &str, app: &str) -> Option<Kind> {
        let known = self.kinds.get(name)?;
        known.iter().find(|(own, _)| own.as_deref().is_none_or(|own| own == app)).map(|(_, kind)| *kind)
    }

    /// A known conversation of this kind that overlaps a pattern, if there is one: the first by name.
    pub(super) fn conversation_of_kind(&self, kind: Kind, app: &str, asked: &Pattern) -> Option<&str> {
        let known = self.by_kind.get(&kind)?;
        let inside = known.range_with_prefix(asked.prefix());
        homes(asked.prefix())
            .into_iter()
            .flatten()
            .flat_map(|home| known.named(home))
            .chain(inside)
            .filter(|(_, own)| own.as_deref().is_none_or(|own| own == app))
            .map(|(id, _)| id.as_str())
            .min()
    }
}

/// What is known of one person, filed by scope. Each list is sorted by name.
#[derive(Clone, Debug, Default)]
struct Dossier {
    exact: Vec<Entry>,
    under: Vec<Entry>,
    everywhere: Vec<Entry>,
}

impl Dossier {
    fn push(&mut self, entry: Entry) {
        let scope = entry.scope();
        match scope {
            Pattern::Everything => self.everywhere.push(entry),
            Pattern::Under(_) if scope.room().is_none() => self.under.push(entry),
            _ => self.exact.push(entry),
        }
    }

    fn sort(&mut self) {
        self.exact.sort_by(|a, b| a.name().cmp(b.name()));
        self.under.sort_by(|a, b| a.name().cmp(b.name()));
    }

    /// The entries whose scope may overlap `place`: those for everywhere, for the namespaces around it, for itself, and inside it.
    fn near<'p>(&self, place: Option<&'p Pattern>) -> impl Iterator<Item = &Entry> + use<'_, 'p> {
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

/// Something filed under a name, in a list sorted by name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Entry {
    fn name(&self) -> &str {
        let scope = self.scope();
        unqualified(scope.room().unwrap_or(scope.prefix()))
    }
}

impl Named for (String, App) {
    fn name(&self) -> &str {
        &self.0
    }
}

/// Looking up in a list sorted by name.
trait Sorted<T> {
    fn named(&self, name: &str) -> &[T];
    fn range_with_prefix(&self, prefix: &str) -> &[T];
}

impl<T: Named> Sorted<T> for [T] {
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
