//! Giving and taking roles: no token and no other service gives back what was taken, and nobody gives what it doesn't outrank.

use chat_signer::model::{Action, ActionSet, ConversationKind};
use chat_signer::policy::{Effect, Rule};

use crate::rules::world::{Actor, World, remove_role, service, set_role, user};

/// Whether somebody may delete anyone's messages in a channel, which moderators may.
fn moderates(world: &World, actor: &Actor, channel: &str) -> bool {
    world.decide(actor, "ably", Action::MessageDeleteAny, channel, &[]).is_ok()
}

fn with_manager() -> World {
    let mut world = World::new();
    world.bind("bob", "chat:x", "manager");
    world
}

#[test]
fn no_token_gives_back_what_was_taken() {
    let mut world = with_manager();
    let sue = user("sue").with_token(&[("chat:x", world.role("moderator")), ("*", world.role("moderator"))]);
    world.bind("sue", "chat:x", "moderator");
    assert!(moderates(&world, &sue, "chat:x"));
    world.done(&user("bob"), remove_role("moderator"), "sue", "chat:x");
    assert!(!moderates(&world, &sue, "chat:x"));
    assert!(!moderates(&world, &sue, "chat:x::$chat"), "nor in what belongs to the room");
    assert!(moderates(&world, &sue, "chat:y"), "elsewhere the token counts");
}

#[test]
fn nor_do_facts() {
    let mut world = with_manager();
    world.tell("chat:x", &[("sue", "moderator")]);
    assert!(moderates(&world, &user("sue"), "chat:x"));
    world.done(&user("bob"), remove_role("moderator"), "sue", "chat:x");
    assert!(!moderates(&world, &user("sue"), "chat:x"));
    world.tell("chat:x", &[("sue", "administrator")]);
    assert!(!moderates(&world, &user("sue"), "chat:x"), "nor if they are told again");
}

/// Nobody here knows what tokens say until they come: a role of which nothing is known may be one of theirs, or stronger.
#[test]
fn a_role_of_which_nothing_is_known_is_taken_all_the_same() {
    for word in ["moderator", "member"] {
        let mut world = World::new();
        let sue = user("sue").with_token(&[("chat:x", world.role("moderator"))]);
        assert!(moderates(&world, &sue, "chat:x"));
        let taken = world.act(&service("orders"), remove_role(word), "sue", "chat:x");
        assert_eq!((taken.code.as_str(), taken.changes), ("ok", (1, 0)), "{taken:?}");
        assert!(!moderates(&world, &sue, "chat:x"));
    }
}

#[test]
fn what_was_taken_can_be_given_again() {
    let mut world = with_manager();
    world.bind("sue", "chat:x", "moderator");
    world.done(&user("bob"), remove_role("moderator"), "sue", "chat:x");
    world.done(&user("bob"), set_role("moderator"), "sue", "chat:x");
    assert!(moderates(&world, &user("sue"), "chat:x"));
}

#[test]
fn taking_what_was_taken_is_done_already() {
    for actor in [user("bob"), service("orders")] {
        let mut world = with_manager();
        world.bind("sue", "chat:x", "moderator");
        let first = world.act(&actor, remove_role("moderator"), "sue", "chat:x");
        assert_eq!((first.code.as_str(), first.changes), ("ok", (1, 0)), "{first:?}");
        let again = world.act(&actor, remove_role("moderator"), "sue", "chat:x");
        assert_eq!((again.code.as_str(), again.changes), ("ok", (0, 0)), "{again:?}");
    }
}

#[test]
fn giving_what_is_held_is_done_already() {
    let mut world = with_manager();
    world.done(&service("orders"), set_role("member"), "sue", "chat:x");
    let again = world.act(&user("bob"), set_role("member"), "sue", "chat:x");
    assert_eq!((again.code.as_str(), again.changes), ("ok", (0, 0)), "{again:?}");
}

#[test]
fn another_role_than_the_one_there_is_not_taken() {
    let mut world = with_manager();
    world.bind("sue", "chat:x", "moderator");
    let why = world.refused(&user("bob"), remove_role("member"), "sue", "chat:x", "conflict");
    assert_eq!(why, "the role there is moderator, not member");
}

#[test]
fn the_role_there_is_the_scopes_own_whatever_its_parts_say() {
    let mut world = World::new();
    world.bind("sue", "chat:*", "moderator");
    world.bind("sue", "chat:vip", "administrator");
    world.done(&service("orders"), remove_role("moderator"), "sue", "chat:*");
    assert!(!moderates(&world, &user("sue"), "chat:x") && moderates(&world, &user("sue"), "chat:vip"));
}

#[test]
fn what_is_left_is_weaker_than_who_takes() {
    let mut world = with_manager();
    world.bind("eve", "chat:x", "member");
    world.bind("eve", "*", "administrator");
    let why = world.refused(&user("bob"), remove_role("member"), "eve", "chat:x", "not_outranked");
    assert_eq!(why, "the remaining role is not weaker than the moderator's");
    world.done(&service("orders"), remove_role("member"), "eve", "chat:x");
}

#[test]
fn what_is_left_counts_even_by_another_wider_word() {
    let mut world = with_manager();
    world.reload(|document| document.default_role = document.role_hierarchy.find("manager"));
    world.bind("eve", "chat:x", "member");
    world.refused(&user("bob"), remove_role("member"), "eve", "chat:x", "not_outranked");
}

#[test]
fn a_role_by_a_wider_scope_is_taken_there() {
    let mut world = with_manager();
    world.bind("sue", "chat:*", "moderator");
    for actor in [user("bob"), service("orders")] {
        let why = world.refused(&actor, remove_role("moderator"), "sue", "chat:x", "conflict");
        assert_eq!(why, "the user is moderator by a role in chat:*: change that role");
    }
    world.done(&service("orders"), remove_role("moderator"), "sue", "chat:*");
    assert!(!moderates(&world, &user("sue"), "chat:x"));
}

#[test]
fn a_role_given_is_weaker_than_the_givers() {
    let mut world = with_manager();
    world.bind("sue", "chat:x", "member");
    world.done(&user("bob"), set_role("moderator"), "sue", "chat:x");
    for word in ["manager", "administrator", "owner", "wizard"] {
        world.refused(&user("bob"), set_role(word), "sue", "chat:x", "not_outranked");
    }
}

#[test]
fn a_tokens_role_gives_nothing() {
    let mut world = World::new();
    world.bind("sue", "chat:x", "member");
    let bob = user("bob").with_token(&[("*", world.role("administrator"))]);
    world.refused(&bob, set_role("moderator"), "sue", "chat:x", "denied");
    // Not even where the policy asks for no rank.
    let mut rule =
        world.engine.policy.document().rules.iter().find(|rule| rule.id == "managers-moderate").unwrap().clone();
    (rule.id, rule.targets) = ("careless".to_owned(), None);
    world.rule(rule);
    world.refused(&bob, set_role("moderator"), "sue", "chat:x", "not_outranked");
    world.refused(&bob, set_role("member"), "sue", "chat:x", "not_outranked");
    world.refused(&bob, remove_role("member"), "sue", "chat:x", "not_outranked");
}

#[test]
fn what_a_giver_is_counts_at_every_app() {
    let mut world = World::new();
    for app in ["leancloud", "talkjs"] {
        world.bind_at("bob", "room", "manager", Some(app));
        world.bind_at("sue", "room", "member", Some(app));
    }
    world.bind_at("bob", "room", "member", Some("ably"));
    world.bind_at("sue", "room", "guest", Some("ably"));
    world.refused(&user("bob"), set_role("moderator"), "tom", "room", "denied");
    for (app, code) in [("leancloud", "ok"), ("talkjs", "ok"), ("ably", "denied")] {
        assert_eq!(world.act_at(&user("bob"), set_role("moderator"), "sue", "room", Some(app)).code, code, "{app}");
    }
    // A rule without roles leaves it to the rank, which is the weakest of all.
    let mut world = world;
    let mut rule =
        world.engine.policy.document().rules.iter().find(|rule| rule.id == "managers-moderate").unwrap().clone();
    (rule.id, rule.targets, rule.roles) = ("careless".to_owned(), None, None);
    world.rule(rule);
    world.bind("tom", "room", "guest");
    world.refused(&user("bob"), set_role("member"), "tom", "room", "not_outranked");
}

#[test]
fn one_place_has_one_role_for_all_apps_or_one_for_each() {
    let mut world = World::new();
    world.bind("sue", "room", "member");
    let backend = service("orders");
    let outcome = world.act_at(&backend, set_role("moderator"), "sue", "room", Some("ably"));
    assert_eq!(
        (outcome.code.as_str(), outcome.sentence.as_str()),
        ("conflict", "the user has a role there for all apps: change that role")
    );
    assert_eq!(world.act_at(&backend, remove_role("member"), "sue", "room", Some("ably")).code, "conflict");
    world.done(&backend, remove_role("member"), "sue", "room");
    assert_eq!(world.act_at(&backend, set_role("moderator"), "sue", "room", Some("ably")).code, "ok");
    let why = world.refused(&backend, set_role("member"), "sue", "room", "conflict");
    assert_eq!(why, "the user has a role there for the app ably: change that role");
}

#[test]
fn over_a_pattern_the_giver_is_what_it_is_in_its_weakest_part() {
    let mut world = World::new();
    world.bind("bob", "chat:*", "administrator");
    world.bind("sue", "chat:x", "guest");
    world.refused(&user("bob"), set_role("moderator"), "sue", "chat:*", "not_there");
    world.bind("sue", "chat:*", "guest");
    world.done(&user("bob"), set_role("moderator"), "sue", "chat:*");
    world.bind("bob", "chat:vip", "member");
    world.refused(&user("bob"), set_role("guest"), "sue", "chat:*", "denied");
    world.done(&user("bob"), set_role("guest"), "sue", "chat:x");
}

#[test]
fn over_a_pattern_the_target_is_what_it_is_in_its_strongest_part() {
    let mut world = World::new();
    world.bind("bob", "chat:*", "manager");
    world.bind("sue", "chat:*", "guest");
    world.known("chat:own", ConversationKind::Group, Some("sue"));
    for (wide, narrow) in [(set_role("member"), set_role("member")), (remove_role("guest"), remove_role("member"))] {
        world.refused(&user("bob"), wide, "sue", "chat:*", "denied");
        world.done(&user("bob"), narrow, "sue", "chat:x");
    }
}

#[test]
fn what_belongs_to_a_room_is_the_room() {
    let mut world = World::new();
    world.bind("bob", "room", "manager");
    world.bind("sue", "room", "member");
    world.done(&user("bob"), set_role("moderator"), "sue", "room::$chat");
    world.done(&user("bob"), remove_role("moderator"), "sue", "room");
    world.known("room", ConversationKind::Group, Some("alice"));
    for place in ["room", "room::$chat", "room::$chat::$typing", "room::$chat:*"] {
        world.refused(&service("orders"), set_role("guest"), "alice", place, "conflict");
        world.refused(&user("bob"), remove_role("owner"), "alice", place, "denied");
    }
}

#[test]
fn what_the_policy_file_says_stays_and_its_line_is_named() {
    let mut world = World::new();
    world.filed("sue", "chat:*", "member");
    for place in ["chat:x", "chat:*", "chat:x::$chat"] {
        for deed in [set_role("moderator"), remove_role("member")] {
            let why = world.refused(&service("orders"), deed, "sue", place, "file");
            assert!(why.contains("the policy file, line 7"), "{why}");
        }
    }
    world.done(&service("orders"), set_role("moderator"), "sue", "*");
    assert!(!moderates(&world, &user("sue"), "chat:x"), "in chats the file decides alone");

    world.filed_conversation("room", ConversationKind::Group, &[("ann", "member")]);
    let why = world.refused(&service("orders"), set_role("manager"), "ann", "room", "file");
    assert!(why.contains("the policy file, line 9"), "{why}");
}

#[test]
fn a_word_that_the_policy_lists_no_more_is_outranked_by_nobody() {
    let mut world = World::new();
    world.bind("bob", "chat:x", "administrator");
    world.bind("sue", "chat:x", "moderator");
    world.reload(|document| {
        let words = document.role_hierarchy.names().iter().map(|word| word.replace("moderator", "helper"));
        document.role_hierarchy = chat_signer::model::RoleHierarchy::new(words.collect::<Vec<_>>());
    });
    world.refused(&user("bob"), set_role("guest"), "sue", "chat:x", "denied");
    world.refused(&user("bob"), remove_role("moderator"), "sue", "chat:x", "denied");
    world.done(&service("orders"), set_role("guest"), "sue", "chat:x");
    world.done(&user("bob"), set_role("helper"), "sue", "chat:x");
}

#[test]
fn a_service_takes_a_word_away_that_the_policy_does_not_list() {
    let mut world = World::new();
    world.rule(Rule::new("everyone-moderates", Effect::Allow, ActionSet::from_iter([Action::Ban, Action::SetRole])));
    world.bind("bob", "chat:x", "administrator");
    world.bind("sue", "chat:x", "wizard");
    for deed in [remove_role("wizard"), remove_role("member"), set_role("guest"), crate::rules::world::ban()] {
        let why = world.refused(&user("bob"), deed, "sue", "chat:x", "not_outranked");
        assert!(
            why.starts_with("the policy does not list the user's role there, so nobody outranks the user: "),
            "{why}"
        );
    }
    let why = world.refused(&service("orders"), remove_role("member"), "sue", "chat:x", "conflict");
    assert_eq!(why, "the role there is wizard, not member");
    for (user, place) in [("tom", "chat:x"), ("sue", "chat:y"), ("sue", "*")] {
        let why = world.refused(&service("orders"), remove_role("wizard"), user, place, "conflict");
        assert_eq!(why, "the policy lists no role wizard, and the user has no stored role of that name there");
    }
    for _ in 0..2 {
        world.done(&service("orders"), remove_role("wizard"), "sue", "chat:x");
    }
    world.done(&user("bob"), set_role("guest"), "sue", "chat:x");
}

#[test]
fn nor_is_one_whose_unlisted_word_counts_in_a_part() {
    let mut world = World::new();
    world.bind("bob", "*", "administrator");
    world.bind("sue", "chat:x", "wizard");
    for place in ["*", "chat:*", "chat:x"] {
        world.refused(&user("bob"), crate::rules::world::ban(), "sue", place, "denied");
    }
    world.done(&user("bob"), crate::rules::world::ban(), "sue", "chat:y");
}

#[test]
fn whose_own_word_is_unlisted_outranks_nobody() {
    let mut world = World::new();
    world.bind("bob", "*", "wizard");
    world.bind("bob", "chat:x", "manager");
    world.bind("sue", "chat:x", "member");
    world.done(&user("bob"), set_role("guest"), "sue", "chat:x");
    world.refused(&user("bob"), set_role("guest"), "sue", "*", "denied");
}

#[test]
fn services_give_listed_words_alone() {
    let mut world = World::new();
    let why = world.refused(&service("orders"), set_role("mmber"), "sue", "chat:x", "invalid");
    assert_eq!(why, "the policy lists no role mmber");
}

#[test]
fn nobody_steps_up_by_stepping_down() {
    let mut world = World::new();
    world.bind("bob", "chat:x", "manager");
    world.bind("bob", "*", "owner");
    world.refused(&user("bob"), remove_role("manager"), "bob", "chat:x", "denied");
}

/// Two who help each other: each has a role in one conversation and none in the other.
#[test]
fn managers_of_two_conversations_have_no_say_in_each_others() {
    let mut world = World::new();
    world.bind("bob", "chat:x", "manager");
    world.bind("eve", "chat:y", "manager");
    world.refused(&user("bob"), set_role("moderator"), "eve", "chat:y", "denied");
    world.refused(&user("bob"), set_role("moderator"), "eve", "chat:x", "not_there");
    world.refused(&user("bob"), set_role("moderator"), "eve", "chat:*", "denied");
    world.refused(&user("bob"), set_role("moderator"), "eve", "*", "denied");
}
