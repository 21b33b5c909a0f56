//! After many changes, an index equals an index that is built from the resulting entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::entry::{EntryKey, EntryKind, ModerationEntry};
use super::super::index::{ModerationIndex, ModerationIndexBuilder};
use super::any_entry;
use crate::model::{
    Action, ActionSet, Caller, CallerKind, ConversationKind, Millis, Pattern, RequiredAction, RoleHierarchy,
    SigningRequest, Vendor,
};
use crate::policy::{
    ClientCondition, DecisionData, Effect, EntryAuthor, EntryOrigin, Policy, PolicyDocument, Rule, Sanction,
};

const USERS: [&str; 3] = ["ann", "bob", "member"];
const PLACES: [&str; 8] = ["*", "a", "a:*", "a:x", "a::$chat", "[?r]a", "b", "room::$chat:*"];
/// A room appears under a single name only: two names of a room would be one conversation.
const IDS: [&str; 4] = ["a", "a:x", "_tmp:y", "room::$chat"];
const APPS: [&str; 2] = ["lean", "able"];

fn app() -> BoxedStrategy<Option<Arc<str>>> {
    prop_oneof![Just(None), select(&APPS[..]).prop_map(|app| Some(Arc::from(app)))].boxed()
}

fn entry() -> BoxedStrategy<ModerationEntry> {
    let user = select(&USERS[..]).prop_map(str::to_owned).boxed();
    let place = select(&PLACES[..]).prop_map(|place| Pattern::parse(place).unwrap()).boxed();
    let id = select(&IDS[..]).prop_map(str::to_owned).boxed();
    any_entry(user, place, id, app())
}

/// Returns everything that an index can answer.
fn describe(index: &ModerationIndex) -> Vec<String> {
    let mut found = vec![format!("{} entries, next ending {:?}", index.len(), index.next_ending())];
    let mut ended = index.ended(Millis(2), 100);
    ended.sort();
    found.push(format!("{ended:?}"));
    found.push(format!("for apps: {:?}", index.apps().collect::<Vec<_>>()));
    for table in EntryKind::ALL {
        found.push(format!("{table:?}: {:?}", index.users(table, "").collect::<Vec<_>>()));
        for user in USERS {
            found.push(format!("{user} {table:?}: {:?}", index.entries_of_user(table, user)));
        }
    }
    for id in IDS {
        found.push(format!("{id}: {:?}", index.conversations_of(id).collect::<Vec<_>>()));
    }
    for place in PLACES.into_iter().chain(["room", "_tmp:y", "a:y"]).map(|place| Pattern::parse(place).unwrap()) {
        for app in APPS {
            found.push(format!("{place} at {app}: {:?}", conversation_kinds(index, app, &place)));
            for user in USERS {
                let near = index.entries().entries_near(user, app, Some(&place));
                let mut near: Vec<String> = near.map(|entry| format!("{entry:?}")).collect();
                near.sort();
                near.dedup();
                found.push(format!("{user} in {place} at {app}: {near:?}"));
            }
        }
    }
    found
}

/// Returns the kinds of a conversation or pattern, as a policy sees them.
fn conversation_kinds(index: &ModerationIndex, app: &str, place: &Pattern) -> Vec<ConversationKind> {
    ConversationKind::ALL.into_iter().filter(|kind| is_of_kind(index, app, place, *kind)).collect()
}

fn is_of_kind(index: &ModerationIndex, app: &str, place: &Pattern, kind: ConversationKind) -> bool {
    let all = ActionSet::of(&[Action::Ban]);
    let mut rules = vec![Rule::new("of-kind", Effect::Deny, all), Rule::new("all", Effect::Allow, all)];
    rules[0].kinds = Some(vec![kind]);
    rules[1].client = Some(ClientCondition::Anyone);
    let role_hierarchy = RoleHierarchy::new(USERS.map(str::to_owned));
    let policy = Policy::new(PolicyDocument { role_hierarchy, rules, ..PolicyDocument::default() });
    let caller = Caller {
        kind: CallerKind::Service,
        subject: "orders".to_owned(),
        authenticator: "backend".into(),
        claims: serde_json::Map::new(),
        bindings: Vec::new(),
    };
    let need = RequiredAction { action: Action::Ban, conversation: Some(place.clone()), targets: Vec::new() };
    let signing_request = SigningRequest {
        app: app.into(),
        vendor: Vendor::Ably,
        action: Action::Ban,
        client: String::new(),
        conversation: Some(place.clone()),
        members: Vec::new(),
        required_actions: vec![need],
        requested_grants: Vec::new(),
        left_out: Vec::new(),
    };
    let decided = policy.decide(
        signing_request,
        &caller,
        DecisionData { file: policy.entries(), runtime: Some(index.entries()), facts: &[] },
        Millis(0),
    );
    decided.is_err_and(|refusal| refusal.denial.rule() == Some("of-kind"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_index_equals_rebuilt_index(
        changes in proptest::collection::vec((entry(), 0..3_u8), 0..40),
    ) {
        let mut index = ModerationIndex::default();
        let mut kept: BTreeMap<String, String> = BTreeMap::new();
        for (record, fate) in changes {
            let key = record.key().to_string();
            // A third of the changes delete the entry of the key, whatever its stored value is.
            let value = (fate > 0).then(|| record.value());
            index.apply(&key, value.as_deref()).unwrap();
            match value {
                Some(value) => drop(kept.insert(key, value)),
                None => drop(kept.remove(&key)),
            }
        }
        let anew = ModerationIndex::new(kept.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap();
        prop_assert_eq!(describe(&index), describe(&anew));
        prop_assert_eq!(index.len(), kept.len());
        let for_one = kept.iter().filter(|(key, value)| ModerationEntry::parse(key, value).unwrap().app().is_some());
        prop_assert_eq!(index.apps().map(|(_, entries)| entries).sum::<usize>(), for_one.count());
        for (key, value) in &kept {
            let record = ModerationEntry::parse(key, value).unwrap();
            prop_assert_eq!(index.find(&record.key()), Some(record));
        }
        for key in kept.keys() {
            index.apply(key, None).unwrap();
        }
        prop_assert_eq!(describe(&index), describe(&ModerationIndex::default()));
    }
}

/// A user of many, with a name of any length.
fn user_of_many() -> BoxedStrategy<String> {
    (0..40_usize).prop_map(|number| format!("{}{number}", "u".repeat(number * 7))).boxed()
}

/// A scope of many.
fn place_of_many() -> BoxedStrategy<Pattern> {
    let near = select(&PLACES[..]).prop_map(|place| Pattern::parse(place).unwrap());
    prop_oneof![near, (0..30_u32).prop_map(|number| Pattern::Exact(format!("room-{number}")))].boxed()
}

/// Returns the entries of the model that belong to a user in a table, in the order of their keys.
fn model_of_user<'m>(
    model: &'m BTreeMap<EntryKey, ModerationEntry>,
    table: EntryKind,
    user: &'m str,
) -> Vec<ModerationEntry> {
    let of_user = model.iter().filter(|(key, _)| key.table == table && key.name == user);
    of_user.map(|(_, entry)| entry.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn index_equals_a_map_of_all_entries(
        loaded in proptest::collection::vec(many_entries(), 0..100),
        changes in proptest::collection::vec((many_entries(), 0..3_u8), 0..900),
    ) {
        let mut model = BTreeMap::new();
        let mut builder = ModerationIndexBuilder::default();
        for entry in loaded {
            // A store can return an entry twice.
            for _ in 0..2 {
                builder.add(&entry.key(), entry.clone()).unwrap();
            }
            model.insert(entry.key(), entry);
        }
        let mut index = builder.finish();
        for (entry, fate) in changes {
            let key = entry.key();
            index.apply(&key.to_string(), (fate > 0).then(|| entry.value()).as_deref()).unwrap();
            if fate > 0 {
                model.insert(key, entry);
            } else {
                model.remove(&key);
            }
        }
        prop_assert_eq!(index.len(), model.len());
        for (key, entry) in &model {
            prop_assert_eq!(index.find(key), Some(entry.clone()));
        }
        for table in [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks] {
            let mut users: Vec<&str> =
                model.keys().filter(|key| key.table == table).map(|key| key.name.as_str()).collect();
            users.dedup();
            for from in ["", "u", "uuuuuuu1", "uuuuuuuuuuuuuu2", "v"] {
                let left: Vec<&str> = users.iter().copied().filter(|user| *user >= from).collect();
                prop_assert_eq!(index.users(table, from).collect::<Vec<_>>(), left);
            }
            for user in users {
                prop_assert_eq!(index.entries_of_user(table, user), model_of_user(&model, table, user));
            }
        }
        let ends = model.iter().filter_map(|(key, entry)| Some((entry.until()?, key.clone())));
        let mut ended: Vec<EntryKey> = ends.clone().filter(|(end, _)| *end <= Millis(2)).map(|(_, key)| key).collect();
        let mut found = index.ended(Millis(2), usize::MAX);
        ended.sort();
        found.sort();
        prop_assert_eq!(found, ended);
        prop_assert_eq!(index.next_ending(), ends.map(|(end, _)| end).min());
    }
}

fn many_entries() -> BoxedStrategy<ModerationEntry> {
    let id = select(&IDS[..]).prop_map(str::to_owned).boxed();
    any_entry(user_of_many(), place_of_many(), id, app())
}

#[test]
fn memory_does_not_grow_with_the_number_of_changes() {
    let ban = |number: usize, round: usize| {
        let author =
            Arc::new(EntryAuthor { kind: CallerKind::User, subject: format!("moderator-{round}"), role: None });
        ModerationEntry::Ban(Sanction {
            user: format!("user-{number}"),
            scope: Pattern::Exact(format!("room-{round}")),
            app: None,
            until: Some(Millis(1)),
            reason: Some(format!("reason {round}")),
            origin: EntryOrigin::Runtime { author, at: Millis(1) },
        })
    };
    let mut index = ModerationIndex::default();
    let mut sizes = Vec::new();
    for round in 10..60 {
        for number in 100..600 {
            index.apply(&ban(number, round).key().to_string(), Some(&ban(number, round).value())).unwrap();
        }
        for number in 100..600 {
            index.apply(&ban(number, round).key().to_string(), None).unwrap();
        }
        sizes.push(index.entries().size());
    }
    assert!(index.is_empty());
    // The index remembers the last reasons.
    assert!(sizes[sizes.len() - 1] < sizes[0] + 50 * 32, "{sizes:?}");
}

#[test]
fn malformed_entries_change_nothing() {
    let mut index = ModerationIndex::default();
    let key = "conversation/x//";
    let value = r#"{"id":"x","kind":"group","owner":"alice","by":{"kind":"service","subject":"orders"},"at":1}"#;
    index.apply(key, Some(value)).unwrap();
    let before = describe(&index);
    for (key, value) in [("ban/x//", None), ("block/x//", None), ("nothing", None), (key, Some("{}")), (key, Some(""))]
    {
        assert!(index.apply(key, value).is_err(), "{key}");
    }
    assert_eq!(describe(&index), before);
}
