//! Conversations: their owner is set once, and only by who may.

use chat_signer::model::{Action, ActionSet, ConversationKind};
use chat_signer::moderation::{CommandKind, ModerationEntry};
use chat_signer::policy::{Effect, Rule};

use crate::rules::world::{World, ban, mute, remove_role, service, set_role, user};

fn owned_by(owner: &str) -> CommandKind {
    CommandKind::SetConversation { kind: None, owner: Some(owner.to_owned()) }
}

fn of_kind(kind: ConversationKind) -> CommandKind {
    CommandKind::SetConversation { kind: Some(kind), owner: None }
}

/// Whether somebody is the owner of a conversation: nobody but an administrator or owner could ban a manager.
fn is_owner(world: &World, name: &str, place: &str) -> bool {
    let owner = Some(world.role("owner"));
    let facts = chat_signer::policy::DecisionData {
        file: world.engine.policy.entries(),
        runtime: Some(world.index.entries()),
        facts: &[],
    };
    world.engine.policy.rank(name, "ably", &crate::rules::world::at(place), facts).weakest == owner
}

#[test]
fn an_owner_is_set_once_also_after_it_was_forgotten() {
    let mut world = World::new();
    let backend = service("orders");
    world.done(&backend, of_kind(ConversationKind::Chatroom), "room", "room");
    world.done(&backend, owned_by("alice"), "room", "room");
    assert!(is_owner(&world, "alice", "room"));
    world.refused(&backend, owned_by("mallory"), "room", "room", "conflict");
    world.done(&backend, CommandKind::ForgetConversation, "room", "room");
    assert!(!is_owner(&world, "alice", "room"));
    let why = world.refused(&backend, owned_by("mallory"), "room", "room", "conflict");
    assert_eq!(why, "the conversation has another owner, and an owner is set once");
    let again = world.act(&backend, CommandKind::ForgetConversation, "room", "room");
    assert_eq!((again.code.as_str(), again.changes), ("ok", (0, 0)));
    world.done(&backend, of_kind(ConversationKind::Group), "room", "room");
    assert!(is_owner(&world, "alice", "room"), "the one it had");
}

#[test]
fn nor_is_it_set_by_way_of_another_app() {
    let mut world = World::new();
    let backend = service("orders");
    assert_eq!(world.act_at(&backend, owned_by("alice"), "room", "room", Some("ably")).code, "ok");
    world.refused(&backend, owned_by("mallory"), "room", "room", "conflict");
    assert_eq!(world.act_at(&backend, owned_by("mallory"), "room", "room", Some("ably")).code, "conflict");
    assert_eq!(
        world.act_at(&backend, owned_by("bob"), "room", "room", Some("talkjs")).code,
        "ok",
        "another app's room"
    );
    assert_eq!(world.act_at(&backend, CommandKind::ForgetConversation, "room", "room", Some("ably")).code, "ok");
    world.refused(&backend, owned_by("mallory"), "room", "room", "conflict");
    assert_eq!(world.act_at(&backend, owned_by("mallory"), "room", "room", Some("ably")).code, "conflict");
}

#[test]
fn an_owner_is_no_role_to_give_or_take() {
    let mut world = World::new();
    let backend = service("orders");
    world.done(&backend, owned_by("alice"), "room", "room");
    world.refused(&backend, set_role("owner"), "mallory", "room", "conflict");
    for deed in [set_role("guest"), CommandKind::RemoveRole("owner".to_owned())] {
        let why = world.refused(&backend, deed, "alice", "room", "conflict");
        assert_eq!(why, "the user is the owner, and an owner is set once");
    }
}

#[test]
fn the_same_again_changes_nothing() {
    let mut world = World::new();
    let backend = service("orders");
    let all =
        || CommandKind::SetConversation { kind: Some(ConversationKind::Chatroom), owner: Some("alice".to_owned()) };
    assert_eq!(world.act(&backend, all(), "room", "room").changes, (1, 0));
    for same in [all(), owned_by("alice"), of_kind(ConversationKind::Chatroom)] {
        assert_eq!(world.act(&backend, same, "room", "room").changes, (0, 0));
    }
    world.done(&backend, of_kind(ConversationKind::System), "room", "room");
    assert!(is_owner(&world, "alice", "room"), "a new kind leaves the owner");
}

#[test]
fn a_conversation_without_an_owner_is_forgotten_whole() {
    let mut world = World::new();
    let backend = service("orders");
    world.done(&backend, of_kind(ConversationKind::Chatroom), "room", "room");
    assert_eq!(world.act(&backend, CommandKind::ForgetConversation, "room", "room").changes, (0, 1));
    assert!(world.index.is_empty());
}

#[test]
fn what_the_policy_file_tells_of_stays_and_its_line_is_named() {
    let mut world = World::new();
    world.filed_conversation("room", ConversationKind::Chatroom, &[]);
    for deed in [of_kind(ConversationKind::Group), owned_by("alice"), CommandKind::ForgetConversation] {
        for place in ["room", "room::$chat"] {
            let why = world.refused(&service("orders"), deed.clone(), place, place, "file");
            assert!(why.contains("line 9"), "{why}");
        }
    }
}

#[test]
fn an_owner_whom_the_policy_file_makes_something_else_is_none() {
    let mut world = World::new();
    world.filed("alice", "chat:*", "member");
    let why = world.refused(&service("orders"), owned_by("alice"), "chat:x", "chat:x", "file");
    assert!(why.contains("line 7"), "{why}");
    world.done(&service("orders"), owned_by("bob"), "chat:x", "chat:x");
}

#[test]
fn an_owner_needs_the_word() {
    let mut world = World::new();
    world.reload(|document| {
        document.role_hierarchy = chat_signer::model::RoleHierarchy::new(["guest", "member"].map(str::to_owned));
    });
    world.refused(&service("orders"), owned_by("alice"), "room", "room", "invalid");
}

#[test]
fn a_temporary_one_is_no_other_kind() {
    let mut world = World::new();
    for kind in [ConversationKind::Group, ConversationKind::Chatroom, ConversationKind::System] {
        world.refused(&service("orders"), of_kind(kind), "_tmp:x", "_tmp:x", "invalid");
    }
    world.done(&service("orders"), of_kind(ConversationKind::Temporary), "_tmp:x", "_tmp:x");
    world.done(&service("orders"), owned_by("alice"), "_tmp:y", "_tmp:y");
}

#[test]
fn what_belongs_to_a_room_is_the_room() {
    let mut world = World::new();
    let backend = service("orders");
    world.done(&backend, owned_by("alice"), "lobby::$chat", "lobby::$chat");
    assert!(is_owner(&world, "alice", "lobby"));
    world.refused(&backend, owned_by("mallory"), "lobby", "lobby", "conflict");
    world.done(&backend, CommandKind::ForgetConversation, "lobby::$chat::$typing", "lobby::$chat::$typing");
    assert!(!is_owner(&world, "alice", "lobby"));
    world.refused(&backend, owned_by("mallory"), "lobby", "lobby", "conflict");
}

#[test]
fn only_one_conversation_at_a_time_and_the_one_that_was_asked_about() {
    let mut world = World::new();
    for (id, place) in [("room", "other"), ("chat:*", "chat:*"), ("*", "*"), ("room", "*")] {
        world.refused(&service("orders"), of_kind(ConversationKind::Group), id, place, "invalid");
        world.refused(&service("orders"), CommandKind::ForgetConversation, id, place, "invalid");
    }
}

/// A policy may let moderators manage conversations. Owners they still neither make nor unmake.
#[test]
fn users_who_manage_conversations_leave_owners_alone() {
    let mut world = World::new();
    let mut rule = Rule::new("managers-manage", Effect::Allow, ActionSet::of(&[Action::ManageConversation]));
    rule.roles = Some(vec![world.role("manager"), world.role("owner")]);
    world.rule(rule);
    world.bind("bob", "*", "manager");
    world.done(&user("bob"), of_kind(ConversationKind::Group), "free", "free");
    world.done(&user("bob"), CommandKind::ForgetConversation, "free", "free");
    for owner in ["bob", "alice"] {
        let why = world.refused(&user("bob"), owned_by(owner), "free", "free", "not_outranked");
        assert_eq!(why, "only services can set a conversation's owner");
    }
    world.done(&service("orders"), owned_by("alice"), "room", "room");
    world.done(&user("bob"), of_kind(ConversationKind::Chatroom), "room", "room");
    world.refused(&user("bob"), CommandKind::ForgetConversation, "room", "room", "not_outranked");
    world.done(&user("alice"), CommandKind::ForgetConversation, "room", "room");
    world.refused(&user("bob"), of_kind(ConversationKind::Group), "room", "room", "not_outranked");
    world.bind("alice", "*", "manager");
    world.refused(&user("alice"), of_kind(ConversationKind::Group), "room", "room", "not_outranked");
    world.done(&service("orders"), of_kind(ConversationKind::Group), "room", "room");
    assert!(is_owner(&world, "alice", "room"));
}

#[test]
fn an_owner_is_told_from_what_else_is_kept_of_the_same_user() {
    let mut world = World::new();
    world.bind("alice", "room", "member");
    world.done(&service("orders"), owned_by("alice"), "room", "room");
    assert!(is_owner(&world, "alice", "room"), "the stronger of the two counts");
    world.done(&service("orders"), CommandKind::ForgetConversation, "room", "room");
    assert!(!is_owner(&world, "alice", "room"));
    assert!(matches!(
        world.index.entries_of_user(chat_signer::moderation::EntryKind::Roles, "alice").as_slice(),
        [ModerationEntry::Role(..)]
    ));
}

/// The policy file may come to tell of a conversation that was registered at run time.
#[test]
fn an_owner_that_the_policy_file_does_not_name_is_none() {
    let mut world = World::new();
    world.done(&service("orders"), owned_by("alice"), "room", "room");
    assert!(is_owner(&world, "alice", "room"));
    world.filed_conversation("room", ConversationKind::Group, &[("carol", "owner")]);
    assert!(is_owner(&world, "carol", "room") && !is_owner(&world, "alice", "room"));
}

/// Roles that were given are entries of their own, and outlast the conversation's. Who has one does not come to outrank the owner so.
#[test]
fn nobody_outranks_the_owner_of_a_forgotten_conversation() {
    let mut world = World::new();
    let backend = service("orders");
    world.bind("own", "room", "member");
    world.bind("mgr", "room", "manager");
    world.bind("erin", "*", "administrator");
    world.bind("tom", "room", "member");
    world.done(&backend, owned_by("own"), "room", "room");
    world.refused(&user("mgr"), ban(), "own", "room", "denied");
    world.done(&backend, CommandKind::ForgetConversation, "room", "room");
    for moderator in [user("mgr"), user("erin")] {
        for deed in [ban(), mute(), set_role("guest"), remove_role("member")] {
            let outcome = world.act(&moderator, deed, "own", "room");
            assert!(matches!(outcome.code.as_str(), "denied" | "not_outranked"), "{outcome:?}");
        }
        world.refused(&moderator, ban(), "own", "room::$chat", "denied");
    }
    world.refused(&user("erin"), ban(), "own", "*", "denied");
    let kick = |world: &World, target| world.decide(&user("mgr"), "leancloud", Action::Kick, "room", &[target]).is_ok();
    assert!(!kick(&world, "own") && kick(&world, "tom"));
    world.done(&user("mgr"), ban(), "tom", "room");
    world.done(&user("erin"), ban(), "own", "elsewhere");
    world.done(&backend, set_role("guest"), "own", "room");
    assert!(!is_owner(&world, "own", "room"));
    world.refused(&user("mgr"), ban(), "own", "room", "denied");
}
