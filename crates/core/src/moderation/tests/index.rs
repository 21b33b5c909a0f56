//! After many changes, an index equals an index that is built from the resulting entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::super::entry::{EntryKind, ModerationEntry};
use super::super::index::ModerationIndex;
use super::any_entry;
use crate::model::{
    Action, ActionSet, Caller, CallerKind, ConversationKind, Millis, Pattern, RequiredAction, RoleHierarchy,
    SigningRequest, Vendor,
};
use crate::policy::{ClientCondition, DecisionData, Effect, Policy, PolicyDocument, Rule};

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
    found.push(format!("{:?}", index.ended(Millis(2), 100)));
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
