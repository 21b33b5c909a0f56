//! The moderation entries in memory, for decisions and for lists.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::entry::{EntryKey, EntryKind, MalformedEntry, ModerationEntry, RegisteredConversation, RoleAssignment};
use crate::model::{Millis, Pattern};
use crate::policy::{EntryAuthor, EntryIndex, EntryOrigin, RoleBinding, RoleGrant, UserEntry};

/// All entries by name, and the entries that end by time.
#[derive(Debug, Default)]
pub struct ModerationIndex {
    entry_index: EntryIndex,
    /// The users who have entries, by table. The table of conversations is not included.
    people: BTreeMap<EntryKind, BTreeSet<Arc<str>>>,
    conversations: BTreeMap<(String, Option<Arc<str>>), RegisteredConversation>,
    /// The entries that end by themselves.
    ends: BTreeSet<(Millis, EntryKey)>,
    /// The authors, each stored once. A few authors make most entries.
    authors: HashSet<Arc<EntryAuthor>>,
    entries: usize,
    /// The number of entries by app, for entries that concern a single app.
    apps: BTreeMap<Arc<str>, usize>,
}

impl ModerationIndex {
    /// Builds an index of stored entries.
    ///
    /// # Errors
    /// Returns an error if an entry cannot be read.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ModerationIndex, MalformedEntry> {
        let mut index = ModerationIndex::default();
        for (key, value) in entries {
            index.put(ModerationEntry::parse(key, value)?);
        }
        Ok(index)
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
    /// Returns an error if the entry cannot be read. The index then stays unchanged.
    pub fn apply(&mut self, key: &str, value: Option<&str>) -> Result<(), MalformedEntry> {
        if let Some(value) = value {
            self.put(ModerationEntry::parse(key, value)?);
            return Ok(());
        }
        let malformed = || MalformedEntry { key: key.to_owned(), flaw: "its key is malformed".to_owned() };
        self.remove(&EntryKey::parse(key).ok_or_else(malformed)?);
        Ok(())
    }

    /// Returns the entry with this key.
    pub fn find(&self, key: &EntryKey) -> Option<ModerationEntry> {
        let Some(scope) = &key.scope else {
            return self.conversation(&key.name, key.app.as_ref()).cloned().map(ModerationEntry::Conversation);
        };
        let near =
            self.entry_index.with_scope(&key.name, scope).filter_map(|entry| to_moderation_entry(&key.name, entry));
        near.into_iter().find(|record| record.key() == *key)
    }

    /// Returns the entries of a user in a table that have exactly this scope.
    pub fn entries_with_scope(&self, table: EntryKind, user: &str, scope: &Pattern) -> Vec<ModerationEntry> {
        let near = self.entry_index.with_scope(user, scope).filter_map(|entry| to_moderation_entry(user, entry));
        near.filter(|record| record.table() == table).collect()
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
        let all = self.entry_index.all_about(user).filter_map(|entry| to_moderation_entry(user, entry));
        let mut found: Vec<ModerationEntry> = all.filter(|record| record.table() == table).collect();
        found.sort_by_cached_key(ModerationEntry::key);
        found
    }

    /// Returns the users who have entries in a table, in order, from the name `from` on.
    pub fn users(&self, table: EntryKind, from: &str) -> impl Iterator<Item = &Arc<str>> {
        let people = self.people.get(&table).into_iter();
        people.flat_map(move |people| people.range::<str, _>((Bound::Included(from), Bound::Unbounded)))
    }

    /// Returns the keys of entries that have ended at the time `now`, at most `most` keys.
    pub fn ended(&self, now: Millis, most: usize) -> Vec<EntryKey> {
        let ended = self.ends.iter().take_while(|(until, _)| *until <= now);
        ended.take(most).map(|(_, key)| key.clone()).collect()
    }

    /// Returns the time at which the next entry ends, if an entry ends.
    pub fn next_ending(&self) -> Option<Millis> {
        self.ends.first().map(|(until, _)| *until)
    }

    fn put(&mut self, mut record: ModerationEntry) {
        let key = record.key();
        self.remove(&key);
        self.entries += 1;
        if let Some(app) = record.app() {
            *self.apps.entry(Arc::clone(app)).or_default() += 1;
        }
        if let Some(until) = record.until() {
            self.ends.insert((until, key));
        }
        let user = self.intern_user_name(&record);
        self.intern_author(record.origin_mut());
        match record {
            ModerationEntry::Ban(ban) => self.entry_index.add(&user, UserEntry::Ban(ban)),
            ModerationEntry::Mute(mute) => self.entry_index.add(&user, UserEntry::Mute(mute)),
            ModerationEntry::Role(assignment) => self.entry_index.add(&user, UserEntry::Role(assignment.into())),
            ModerationEntry::Block(block) => self.entry_index.add(&user, UserEntry::Block(block)),
            ModerationEntry::Conversation(conversation) => self.put_conversation(conversation),
        }
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
            self.entry_index.add(&Arc::from(owner.as_str()), UserEntry::Role(role_binding));
        }
        self.conversations.insert((conversation.id.clone(), conversation.app.clone()), conversation);
    }

    fn remove(&mut self, key: &EntryKey) {
        let Some(record) = self.find(key) else { return };
        self.entries -= 1;
        self.decrement_app_count(key.app.as_ref());
        if let Some(until) = record.until() {
            self.ends.remove(&(until, key.clone()));
        }
        if let ModerationEntry::Conversation(conversation) = &record {
            return self.remove_conversation(conversation);
        }
        let (Some(scope), user) = (&key.scope, &key.name) else { return };
        self.entry_index.remove(user, scope, |entry| {
            self::to_moderation_entry(user, entry).is_some_and(|record| record.key() == *key)
        });
        let mut left = self.entry_index.all_about(user).filter_map(|entry| self::to_moderation_entry(user, entry));
        if !left.any(|record| record.table() == key.table)
            && let Some(people) = self.people.get_mut(&key.table)
        {
            people.remove(user.as_str());
        }
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
        self.conversations.remove(&(id.clone(), app.clone()));
        self.entry_index.forget_kind(id, app.as_ref());
        if let Some(owner) = owner {
            let is_owner_role = |entry: &UserEntry| matches!(entry, UserEntry::Role(role_binding) if role_binding.listed && role_binding.app == *app);
            self.entry_index.remove(owner, &Pattern::Exact(id.clone()), is_owner_role);
        }
    }

    /// Returns the name of the user. All entries of the user share it.
    fn intern_user_name(&mut self, record: &ModerationEntry) -> Arc<str> {
        if record.table() == EntryKind::Conversations {
            return Arc::from(record.name());
        }
        let people = self.people.entry(record.table()).or_default();
        if let Some(known) = people.get(record.name()) {
            return Arc::clone(known);
        }
        let name = self.entry_index.name(record.name()).unwrap_or_else(|| Arc::from(record.name()));
        people.insert(Arc::clone(&name));
        name
    }

    fn intern_author(&mut self, origin: &mut EntryOrigin) {
        let EntryOrigin::Runtime { author, .. } = origin else { return };
        if let Some(known) = self.authors.get(author) {
            *author = Arc::clone(known);
            return;
        }
        if self.authors.len() == self.authors.capacity() {
            // Before the set grows, authors without entries are removed.
            self.authors.retain(|author| Arc::strong_count(author) > 1);
            self.authors.reserve(self.authors.len());
        }
        self.authors.insert(Arc::clone(author));
    }
}

/// The name of the role of a conversation's owner.
pub const OWNER_ROLE: &str = "owner";

/// Converts an entry of the user to a moderation entry. Returns `None` for the role of an owner, which is a part of the
/// conversation's entry.
fn to_moderation_entry(user: &str, entry: &UserEntry) -> Option<ModerationEntry> {
    match entry {
        UserEntry::Ban(ban) => Some(ModerationEntry::Ban(ban.clone())),
        UserEntry::Mute(mute) => Some(ModerationEntry::Mute(mute.clone())),
        UserEntry::Block(block) => Some(ModerationEntry::Block(block.clone())),
        UserEntry::Role(role_binding) if role_binding.listed => None,
        UserEntry::Role(RoleBinding { scope, app, grant, origin, .. }) => {
            let role = match grant {
                RoleGrant::RoleName(role) => Some(Arc::clone(role)),
                RoleGrant::Removed => None,
                RoleGrant::Role(_) | RoleGrant::Remembered => return None,
            };
            let (user, scope, app, origin) = (user.to_owned(), scope.clone(), app.clone(), origin.clone());
            Some(ModerationEntry::Role(RoleAssignment { user, scope, app, role, origin }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallerKind;
    use crate::policy::Block;

    #[test]
    fn authors_without_entries_are_removed() {
        let mut index = ModerationIndex::default();
        for number in 0..10_000 {
            let author = EntryAuthor { kind: CallerKind::User, subject: format!("moderator-{number}"), role: None };
            let block = Block {
                user: "tom".to_owned(),
                conversation: Pattern::Exact(format!("room-{}", number % 10)),
                app: None,
                origin: EntryOrigin::Runtime { author: Arc::new(author), at: Millis(1) },
            };
            index.put(ModerationEntry::Block(block));
        }
        assert_eq!(index.len(), 10);
        assert!(index.authors.len() < 100, "{} authors of 10 entries", index.authors.len());
    }
}
