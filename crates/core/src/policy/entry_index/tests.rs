//! Checks that an index that was changed step by step equals an index that was made at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::{Millis, Role};
use crate::policy::effective_role::DecisionData;
use crate::policy::rule::{Block, ConversationEntry, Sanction};

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const PLACES: [&str; 12] =
    ["*", "a", "a:*", "a:x", "a:x:*", "a::$chat", "a::$chat:*", "a:x::$chat", "[m]a", "[?r]a:x", "b", "b:*"];
const IDS: [&str; 5] = ["a", "a:x", "b", "b:y", "room"];
const APPS: [&str; 2] = ["lean", "able"];

fn app() -> impl Strategy<Value = AppScope> {
    prop_oneof![Just(None), select(&APPS[..]).prop_map(|app| Some(Arc::from(app)))]
}

fn user() -> impl Strategy<Value = String> {
    select(&USERS[..]).prop_map(str::to_owned)
}

fn place() -> impl Strategy<Value = Pattern> {
    select(&PLACES[..]).prop_map(|place| Pattern::parse(place).unwrap())
}

fn few<S: Strategy>(one: S) -> impl Strategy<Value = Vec<S::Value>> {
    proptest::collection::vec(one, 0..5)
}

fn entries() -> impl Strategy<Value = PolicyEntries> {
    let origin = || (1..9_usize).prop_map(|line| EntryOrigin::File { line });
    let sanction = move || {
        (user(), place(), app(), origin()).prop_map(|(user, scope, app, origin)| Sanction {
            user,
            scope,
            app,
            until: Some(Millis(7)),
            reason: None,
            origin,
        })
    };
    let role = || proptest::option::of((0..3_u8).prop_map(Role));
    let binding = (user(), place(), app(), role(), 1..9_usize);
    let binding = binding.prop_map(|(user, scope, app, role, line)| BindingEntry { user, scope, app, role, line });
    let block = (user(), place(), app(), origin());
    let block = block.prop_map(|(user, conversation, app, origin)| Block { user, conversation, app, origin });
    let conversation =
        (select(&IDS[..]), app(), select(ConversationKind::ALL.to_vec()), few((user(), role())), 1..9_usize);
    let conversation = conversation.prop_map(|(id, app, kind, people, line)| {
        let id = id.to_owned();
        ConversationEntry { id, app, kind, members: people, line }
    });
    (few(conversation), few(binding), few(sanction()), few(sanction()), few(block)).prop_map(
        |(mut conversations, bindings, bans, mutes, blocks)| {
            // For one app, a conversation must have only one entry.
            let mut seen = BTreeSet::new();
            conversations.retain(|one| seen.insert((one.id.clone(), one.app.clone())));
            PolicyEntries { conversations, bindings, bans, mutes, blocks }
        },
    )
}

/// Returns each entry separately, in a different order than [`EntryIndex::new`] adds them.
fn separate_entries(entries: &PolicyEntries) -> Vec<(String, UserEntry)> {
    let mut all: Vec<(String, UserEntry)> = Vec::new();
    for ConversationEntry { id, app, members: people, line, .. } in &entries.conversations {
        for (user, role) in people {
            let (scope, held, origin) =
                (Pattern::Exact(id.clone()), RoleGrant::Role(*role), EntryOrigin::File { line: *line });
            all.push((
                user.clone(),
                UserEntry::Role(RoleBinding { scope, app: app.clone(), grant: held, listed: true, origin }),
            ));
        }
    }
    for BindingEntry { user, scope, app, role, line } in &entries.bindings {
        let (held, origin) = (RoleGrant::Role(*role), EntryOrigin::File { line: *line });
        let binding = RoleBinding { scope: scope.clone(), app: app.clone(), grant: held, listed: false, origin };
        all.push((user.clone(), UserEntry::Role(binding)));
    }
    all.extend(entries.blocks.iter().map(|block| (block.user.clone(), UserEntry::Block(block.clone()))));
    all.extend(entries.mutes.iter().map(|mute| (mute.user.clone(), UserEntry::Mute(mute.clone()))));
    all.extend(entries.bans.iter().map(|ban| (ban.user.clone(), UserEntry::Ban(ban.clone()))));
    all
}

/// Returns everything that can be read from an index.
fn dump(entry_index: &EntryIndex) -> Vec<String> {
    let shown = |entries: Vec<EntryRef<'_>>| {
        let mut entries: Vec<String> = entries.into_iter().map(|entry| format!("{entry:?}")).collect();
        entries.sort();
        entries
    };
    let mut found = Vec::new();
    for user in USERS {
        found.push(format!("{user}: {:?}", shown(entry_index.all_about(user).collect())));
        for place in PLACES {
            let scope = Pattern::parse(place).unwrap();
            found.push(format!("{user} at {place}: {:?}", shown(entry_index.with_scope(user, &scope).collect())));
            for app in APPS {
                let near = shown(entry_index.entries_near(user, app, Some(&scope)).collect());
                found.push(format!("{user} near {place} at {app}: {near:?}"));
            }
        }
        found.push(format!("{user} nowhere: {:?}", shown(entry_index.entries_near(user, APPS[0], None).collect())));
    }
    for app in APPS {
        for id in IDS {
            found.push(format!("{id} at {app}: {:?}", entry_index.kind(id, app)));
        }
        for place in PLACES.map(|place| Pattern::parse(place).unwrap()) {
            let kinds = ConversationKind::ALL.map(|kind| of_kind(entry_index, kind, app, place.prefix()));
            found.push(format!("{place} at {app}: {kinds:?}"));
        }
    }
    found
}

/// Returns every known conversation of a kind whose name starts with `prefix`.
fn of_kind(entry_index: &EntryIndex, kind: ConversationKind, app: &str, prefix: &str) -> Vec<String> {
    let next = |from: &str| entry_index.next_of_kind(kind, app, prefix, from).map(str::to_owned);
    std::iter::successors(next(prefix), |name| next(&format!("{name}\0"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_and_removing_leaves_an_equal_index(
        kept in entries(), gone in entries(), turn in 0..20_usize,
    ) {
        let mut entry_index = EntryIndex::default();
        let mut order: Vec<(bool, String, UserEntry)> = Vec::new();
        order.extend(separate_entries(&gone).into_iter().map(|(user, entry)| (false, user, entry)));
        order.extend(separate_entries(&kept).into_iter().map(|(user, entry)| (true, user, entry)));
        let middle = turn % order.len().max(1);
        order.rotate_left(middle);
        for (_, user, entry) in &order {
            entry_index.add(user, entry.clone());
        }
        for ConversationEntry { id, app, kind, .. } in gone.conversations.iter().chain(&kept.conversations) {
            entry_index.set_kind(id, app.clone(), *kind);
        }
        for (_, user, entry) in order.iter().filter(|(stays, ..)| !stays) {
            entry_index.remove(user, entry.scope(), |other| other.to_entry() == *entry);
        }
        // If two entries were equal, both were removed.
        for (_, user, entry) in order.iter().filter(|(stays, ..)| *stays) {
            let count = |entry_index: &EntryIndex| {
                entry_index.all_about(user).filter(|other| other.to_entry() == *entry).count()
            };
            let wanted = separate_entries(&kept).iter().filter(|(name, other)| name == user && other == entry).count();
            while count(&entry_index) < wanted {
                entry_index.add(user, entry.clone());
            }
        }
        let is_kept = |one: &ConversationEntry| kept.conversations.iter().any(|other| (&other.id, &other.app) == (&one.id, &one.app));
        for ConversationEntry { id, app, .. } in gone.conversations.iter().filter(|one| !is_kept(one)) {
            entry_index.forget_kind(id, app.as_ref());
        }
        prop_assert_eq!(dump(&entry_index), dump(&EntryIndex::new(&kept)));
    }
}

#[test]
fn a_rooms_kind_is_forgotten_by_any_of_its_names() {
    let mut entry_index = EntryIndex::default();
    for name in ["lobby", "lobby::$chat", "lobby::$chat::$typing"] {
        entry_index.set_kind("lobby::$chat", None, ConversationKind::Chatroom);
        assert_eq!(entry_index.kind("lobby", "able"), Some(ConversationKind::Chatroom));
        entry_index.forget_kind(name, None);
        assert_eq!(entry_index.kind("lobby", "able"), None, "{name}");
    }
}

#[test]
fn the_kind_for_the_app_precedes_the_kind_for_all_apps() {
    let mut entry_index = EntryIndex::default();
    for order in [[None, Some("able")], [Some("able"), None]] {
        for app in order {
            let kind = if app.is_some() { ConversationKind::System } else { ConversationKind::Chatroom };
            entry_index.set_kind("a", app.map(Arc::from), kind);
        }
        assert_eq!(entry_index.kind("a", "able"), Some(ConversationKind::System));
        assert_eq!(entry_index.kind("a", "lean"), Some(ConversationKind::Chatroom));
        entry_index.forget_kind("a", None);
        entry_index.forget_kind("a", Some(&Arc::from("able")));
    }
}

#[test]
fn a_conversation_or_channel_is_of_the_kind_that_the_first_source_says() {
    let (mut file, mut moderation) = (EntryIndex::default(), EntryIndex::default());
    file.set_kind("a:x", None, ConversationKind::Group);
    for id in ["a:x", "a:y"] {
        moderation.set_kind(id, None, ConversationKind::Chatroom);
    }
    let facts = DecisionData { file: &file, runtime: Some(&moderation), facts: &[] };
    let kind = |place: &str| facts.kind(&Pattern::parse(place).unwrap(), "able");
    assert_eq!(["a:x", "a:x::$chat", "a:*", "*"].map(kind), [ConversationKind::Group; 4]);
    assert_eq!(["a:y", "a:y::$chat", "a:y::$chat:*"].map(kind), [ConversationKind::Chatroom; 3]);
    assert_eq!(["_tmp:x", "_tmp:*", "_tmp:x::$chat"].map(kind), [ConversationKind::Temporary; 3]);
    assert_eq!(facts.next_of_kind(ConversationKind::Chatroom, "able", "a:", "a:x\0"), Some("a:y"));
}
