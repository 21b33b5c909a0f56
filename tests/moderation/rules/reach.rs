//! How far a moderator's word reaches: an entry never affects a name in which its author lacks the right to make it.

use std::collections::HashMap;
use std::sync::Arc;

use chat_signer::model::{ConversationKind, Role};
use chat_signer::moderation::{CommandAuthorizer, CommandKind, ModerationIndex};
use chat_signer::policy::{Policy, PolicyDocument};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::rules::world::{World, ban, mute, remove_role, set_role, user};

const SCOPES: [&str; 15] = [
    "*",
    "a",
    "a:*",
    "a::*",
    "a:x",
    "a:x:*",
    "a:x::*",
    "a:y",
    "a::$chat",
    "a::$chat:*",
    "a:x::$chat::t",
    "b",
    "b:*",
    "c:*",
    "c",
];

const WORDS: [&str; 4] = ["guest", "member", "manager", "owner"];

const USERS: [&str; 3] = ["bob", "tom", "eve"];

fn names() -> Vec<String> {
    let stems = ["a", "b", "c", "a:x", "a:y", "a:z", "b:x", "c:x", "a:x:p", "b:x:p", "d", "d:x"];
    let tails = ["", "::$chat", "::$chat:s", "::$chat::t", "::$chatter", "::w", ":w"];
    stems.iter().flat_map(|stem| tails.iter().map(move |tail| format!("{stem}{tail}"))).collect()
}

/// Who is what, by the word of the policy file (source 0) or of the moderation entries (source 1).
#[derive(Clone, Debug)]
struct Bound {
    source: u8,
    user: &'static str,
    scope: &'static str,
    word: &'static str,
}

#[derive(Clone, Debug)]
struct Case {
    bound: Vec<Bound>,
    /// Conversations that are registered, by the file and by the moderation entries, each with its owner if it has one.
    known: [Vec<(&'static str, Option<&'static str>)>; 2],
}

fn case() -> impl Strategy<Value = Case> {
    let user = || select(USERS.to_vec());
    let word =
        select(WORDS.to_vec()).prop_filter("owners are registered with their conversations", |word| *word != "owner");
    // The moderator has somewhat more.
    let strong = (0..2_u8, select(SCOPES.to_vec()), select(vec!["manager", "administrator"]));
    let strong = strong.prop_map(|(source, scope, word)| Bound { source, user: "bob", scope, word });
    let some = (0..2_u8, user(), select(SCOPES.to_vec()), word);
    let some = some.prop_map(|(source, user, scope, word)| Bound { source, user, scope, word });
    let known = || {
        let one = (select(vec!["a", "a:x", "b", "c", "a:y"]), proptest::option::of(user()));
        proptest::collection::btree_map(one.0, one.1, 0..3).prop_map(|all| all.into_iter().collect::<Vec<_>>())
    };
    let bound = (proptest::collection::vec(strong, 1..3), proptest::collection::vec(some, 0..5));
    (bound, known(), known()).prop_map(|((strong, some), file, moderation)| Case {
        bound: strong.into_iter().chain(some).collect(),
        known: [file, moderation],
    })
}

impl Case {
    /// The world of the case: `empty` is one of which nobody knows anything.
    fn build(&self, empty: &mut World, shipped: &PolicyDocument) {
        empty.engine.policy = Arc::new(Policy::new(shipped.clone()));
        empty.index = ModerationIndex::default();
        for Bound { source, user, scope, word } in &self.bound {
            if *source == 0 { empty.filed(user, scope, word) } else { empty.bind(user, scope, word) }
        }
        for (id, owner) in &self.known[0] {
            let people: Vec<_> = owner.iter().map(|owner| (*owner, "owner")).collect();
            empty.filed_conversation(id, ConversationKind::Group, &people);
        }
        for (id, owner) in &self.known[1] {
            empty.known(id, ConversationKind::Group, *owner);
        }
    }

    /// What somebody is in a conversation by a binding's word: of the first source that says anything, the most specific.
    fn role(&self, user: &str, name: &str) -> Option<&'static str> {
        let mut about: Vec<(u8, usize, usize, &'static str)> = Vec::new();
        let mut note = |source: u8, scope: &str, word: &'static str| {
            if let Some(weight) = weight(scope, name) {
                about.push((1 - source, weight, rank(word), word));
            }
        };
        // Of two roles that the moderation entries gives in one scope, the later takes the earlier's place.
        for (number, one) in self.bound.iter().enumerate() {
            let replaces = |later: &Bound| (later.source, later.user, later.scope) == (1, one.user, one.scope);
            let is_replaced = one.source == 1 && self.bound[number + 1..].iter().any(replaces);
            if one.user == user && !is_replaced {
                note(one.source, one.scope, one.word);
            }
        }
        for (id, owner) in &self.known[0] {
            if *owner == Some(user) {
                note(0, id, "owner");
            }
        }
        for (id, owner) in &self.known[1] {
            if *owner == Some(user) && !self.known[0].iter().any(|(filed, _)| filed == id) {
                note(1, id, "owner");
            }
        }
        about.into_iter().max().map(|(.., word)| word)
    }
}

const RANKS: [&str; 6] = ["guest", "member", "moderator", "manager", "administrator", "owner"];

fn rank(word: &str) -> usize {
    RANKS.iter().position(|known| *known == word).unwrap()
}

/// The room that a channel belongs to; any other name itself.
fn home(name: &str) -> &str {
    let start = name.match_indices("::$chat").map(|(start, _)| start);
    let mut ends = start.filter(|start| matches!(name.as_bytes().get(start + "::$chat".len()), None | Some(b':')));
    ends.next().map_or(name, |end| &name[..end])
}

/// How specific a scope is for a name, if it is about it.
fn weight(scope: &str, name: &str) -> Option<usize> {
    if home(scope) != scope {
        return (home(scope) == home(name)).then_some(usize::MAX);
    }
    match scope.strip_suffix('*') {
        Some(namespace) => name.starts_with(namespace).then_some(namespace.len()),
        None => (scope == name || scope == home(name)).then_some(usize::MAX),
    }
}

/// Whether the shipped policy and the rules for moderators give bob the right to do this to a user in one conversation.
fn has_right(case: &Case, deed: &CommandKind, user: &str, name: &str) -> bool {
    let own = case.role("bob", name).unwrap_or("guest");
    let theirs = case.role(user, name);
    // The right to act on strangers: what is bound at `*`, and is not less here.
    let everywhere = case.role("bob", "nobody-knows-this");
    let reaches = theirs.is_some() || everywhere.is_some_and(|everywhere| rank(own) >= rank(everywhere));
    let gives = if let CommandKind::SetRole(word) = deed { rank(word) < rank(own) } else { true };
    rank(own) >= rank("manager") && rank(theirs.unwrap_or("guest")) < rank(own) && reaches && gives
}

fn deeds() -> [CommandKind; 4] {
    [ban(), mute(), set_role("member"), remove_role("member")]
}

#[test]
fn an_entry_never_affects_a_name_in_which_its_author_lacks_the_right_to_make_it() {
    let mut world = World::new();
    let shipped = world.engine.policy.document().clone();
    let (names, told, bob) = (names(), HashMap::new(), user("bob"));
    let mut runner = TestRunner::deterministic();
    let (mut pairs, mut made) = (0, 0);
    for _ in 0..800 {
        let case = case().new_tree(&mut runner).unwrap().current();
        case.build(&mut world, &shipped);
        let authorizer = CommandAuthorizer { engine: &world.engine, caller: &bob.caller, facts: &told, now: world.now };
        for (scope, target) in SCOPES.iter().flat_map(|scope| ["tom", "eve"].map(|target| (*scope, target))) {
            let affected: Vec<&String> = names.iter().filter(|name| weight(scope, name).is_some()).collect();
            for deed in deeds() {
                let ruling = authorizer
                    .authorize(&world.index, &World::wish(&bob, deed.clone(), &[target], scope, Some("ably")));
                pairs += affected.len();
                if ruling.set.is_empty() {
                    continue;
                }
                let beyond = affected.iter().find(|name| !has_right(&case, &deed, target, name));
                assert_eq!(beyond, None, "{deed:?} of {target} in {scope}: {case:?}");
                made += 1;
            }
        }
    }
    assert!(pairs >= 1_000_000 && made > 2_000, "{pairs} pairs, {made} entries");
}

#[test]
fn a_manager_of_a_namespace_moderates_in_it_and_in_the_channels_of_the_room_of_that_name() {
    let mut world = World::new();
    world.bind("bob", "support:*", "manager");
    world.bind("tom", "support:*", "member");
    world.bind("tom", "support", "member");
    for place in ["support", "support::$chat", "support::$chat:*"] {
        let why = world.refused(&user("bob"), ban(), "tom", place, "denied");
        assert!(why.contains("not allowed in support"), "an entry for a channel is one for the room: {why}");
    }
    for place in ["support:*", "support::*", "support:x"] {
        world.done(&user("bob"), ban(), "tom", place);
    }
}

#[test]
fn a_manager_whom_the_file_makes_less_in_the_rooms_channels_does_not_moderate_the_room() {
    let mut world = World::new();
    world.filed("bob", "chat:x:*", "guest");
    world.bind("bob", "chat:x", "manager");
    world.bind("tom", "chat:x", "member");
    for deed in deeds() {
        world.refused(&user("bob"), deed, "tom", "chat:x", "denied");
    }
}

#[test]
fn a_registered_conversation_makes_nobody_known_to_its_moderators() {
    for place in ["chat:x", "chat:x:*", "chat:x::*", "chat:*", "chat:y:*", "chat:y"] {
        let mut world = World::new();
        world.bind("bob", "chat:*", "manager");
        world.known("chat:x", ConversationKind::Group, Some("alice"));
        world.filed_conversation("chat:z", ConversationKind::Group, &[]);
        for deed in [ban(), mute(), set_role("member")] {
            world.refused(&user("bob"), deed, "mallory", place, "not_there");
        }
    }
}

#[test]
fn a_member_of_one_conversation_is_a_stranger_in_the_others_of_a_namespace() {
    let mut world = World::new();
    world.bind("bob", "chat:*", "manager");
    world.bind("tom", "chat:x", "member");
    world.refused(&user("bob"), ban(), "tom", "chat:*", "not_there");
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.bind("tom", "chat:*", "member");
    world.done(&user("bob"), ban(), "tom", "chat:*");
}

#[test]
fn a_moderator_of_everything_reaches_strangers_where_its_role_is_no_weaker() {
    let mut world = World::new();
    world.bind("bob", "*", "manager");
    world.bind("bob", "chat:x", "administrator");
    world.bind("bob", "chat:y", "guest");
    for place in ["chat:x", "chat:z", "chat:x:*"] {
        world.done(&user("bob"), ban(), "mallory", place);
    }
    for place in ["chat:y", "chat:*", "*"] {
        world.refused(&user("bob"), mute(), "mallory", place, "denied");
    }
}

/// The ranks of the model are those of the shipped policy.
#[test]
fn the_model_ranks_as_the_shipped_policy_does() {
    let world = World::new();
    let roles: Vec<Role> = RANKS.iter().map(|word| world.role(word)).collect();
    assert!(roles.is_sorted());
}
