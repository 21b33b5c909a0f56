//! Bans and mutes: each author's own, the strictest holds, and nobody lifts what somebody it doesn't outrank has set.

use chat_signer::model::{Action, ActionSet, CallerKind, ConversationKind, Millis, RoleHierarchy};
use chat_signer::moderation::{CommandKind, ModerationEntry, SanctionTerms};
use chat_signer::policy::{Effect, PolicyEntries, Rule};

use crate::rules::world::{HOUR, NOW, World, ban, ban_until, by, mute, origin, remove_role, sanction, service, user};

/// A conversation with an owner, two managers and a member.
fn world() -> World {
    let mut world = World::new();
    world.known("chat:x", ConversationKind::Group, Some("alice"));
    world.bind("bob", "chat:x", "manager");
    world.bind("carl", "chat:x", "manager");
    world.bind("tom", "chat:x", "member");
    world
}

#[test]
fn a_ban_holds_and_lifted_it_holds_no_more() {
    let mut world = world();
    assert!(world.may_read("tom", "chat:x"));
    world.done(&user("bob"), ban(), "tom", "chat:x");
    assert!(!world.may_read("tom", "chat:x") && world.may_read("tom", "chat:y"));
    assert!(!world.may_read("tom", "chat:*") && !world.may_read("tom", "chat:x::$chat"));
    world.done(&user("bob"), CommandKind::LiftBan, "tom", "chat:x");
    assert!(world.may_read("tom", "chat:x"));
}

#[test]
fn a_mute_takes_what_sends() {
    let mut world = world();
    world.done(&user("bob"), mute(), "tom", "chat:x");
    assert!(world.may_read("tom", "chat:x") && !world.may_send("tom", "chat:x"));
    world.refused(&user("tom"), CommandKind::LiftMute, "tom", "chat:x", "denied");
    world.done(&user("bob"), CommandKind::LiftMute, "tom", "chat:x");
    assert!(world.may_send("tom", "chat:x"));
}

#[test]
fn of_two_authors_the_strictest_holds() {
    let mut world = world();
    world.done(&user("alice"), ban_until(2), "tom", "chat:x");
    world.done(&user("bob"), ban_until(1), "tom", "chat:x");
    world.now = Millis(NOW.0 + HOUR + HOUR / 2);
    assert!(!world.may_read("tom", "chat:x"), "a weaker author shortens nothing");
    world.now = Millis(NOW.0 + 2 * HOUR);
    assert!(world.may_read("tom", "chat:x"));
}

#[test]
fn who_can_lift_only_its_own_lifts_nothing() {
    let mut world = world();
    world.done(&user("alice"), ban(), "tom", "chat:x");
    world.done(&user("bob"), ban(), "tom", "chat:x");
    let why = world.refused(&user("bob"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    assert!(why.contains("by alice (owner)"), "{why}");
    world.done(&user("alice"), CommandKind::LiftBan, "tom", "chat:x");
    assert!(world.may_read("tom", "chat:x"), "who outranks the others lifts theirs too");
}

#[test]
fn an_author_shortens_its_own() {
    let mut world = world();
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.done(&user("bob"), ban_until(1), "tom", "chat:x");
    world.now = Millis(NOW.0 + HOUR);
    assert!(world.may_read("tom", "chat:x"));
}

#[test]
fn an_end_that_is_past_is_no_way_to_lift() {
    let mut world = world();
    world.done(&user("bob"), ban(), "tom", "chat:x");
    for past in [NOW, Millis(NOW.0 - 1), Millis(0)] {
        for deed in [CommandKind::Ban, CommandKind::Mute] {
            let deed = deed(SanctionTerms { until: Some(past), reason: None });
            world.refused(&user("bob"), deed.clone(), "tom", "chat:x", "invalid");
            world.refused(&service("orders"), deed, "tom", "chat:x", "invalid");
        }
    }
}

#[test]
fn equals_do_not_overrule_each_other() {
    let mut world = world();
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.refused(&user("carl"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    world.done(&user("alice"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn what_an_author_was_counts_once_it_is_less() {
    let mut world = world();
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.done(&user("alice"), remove_role("manager"), "bob", "chat:x");
    world.refused(&user("bob"), CommandKind::LiftBan, "tom", "chat:x", "denied");
    world.refused(&user("carl"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    world.done(&user("alice"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn what_an_author_became_counts_once_it_is_more() {
    let mut world = World::new();
    world.bind("bob", "room", "manager");
    world.bind("ada", "room", "administrator");
    world.bind("tom", "room", "member");
    world.done(&user("bob"), ban(), "tom", "room");
    world.known("room", ConversationKind::Group, Some("bob"));
    world.refused(&user("ada"), CommandKind::LiftBan, "tom", "room", "not_outranked");
    world.done(&user("bob"), CommandKind::LiftBan, "tom", "room");
}

#[test]
fn of_what_an_author_is_at_several_apps_the_strongest_is_kept() {
    let mut world = World::new();
    let apps: Vec<_> = world.engine.apps.iter().map(|app| app.name().to_string()).collect();
    for app in &apps {
        let role = if app == "ably" { "administrator" } else { "manager" };
        world.bind_at("bob", "room", role, Some(app));
    }
    world.bind("ada", "room", "administrator");
    world.bind("tom", "room", "member");
    world.done(&user("bob"), ban(), "tom", "room");
    for app in &apps {
        world.bind_at("bob", "room", "guest", Some(app));
    }
    world.refused(&user("ada"), CommandKind::LiftBan, "tom", "room", "not_outranked");
}

#[test]
fn what_a_service_made_users_do_not_lift() {
    let mut world = world();
    world.done(&service("orders"), ban(), "tom", "chat:x");
    for who in ["bob", "alice"] {
        let why = world.refused(&user(who), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
        assert!(why.contains("by orders (service)"), "{why}");
    }
    world.done(&service("shop"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn a_user_of_a_services_name_is_another_author() {
    let mut world = world();
    world.done(&service("bob"), ban(), "tom", "chat:x");
    world.refused(&user("bob"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    world.done(&user("bob"), ban_until(1), "tom", "chat:x");
    world.now = Millis(NOW.0 + HOUR);
    assert!(!world.may_read("tom", "chat:x"));
}

#[test]
fn an_author_whose_role_the_policy_lists_no_more_is_outranked_by_nobody() {
    let mut world = world();
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.reload(|document| {
        let words = ["guest", "member", "moderator", "leader", "administrator", "owner"];
        document.role_hierarchy = RoleHierarchy::new(words.map(str::to_owned));
    });
    world.bind("bob", "chat:x", "guest");
    world.refused(&user("alice"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    world.done(&service("orders"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn an_author_without_a_role_is_outranked_by_any() {
    let mut world = world();
    let made = by(CallerKind::User, "bob", None);
    world.keep(&ModerationEntry::Ban(sanction("tom", "chat:x", made)));
    world.bind("bob", "chat:x", "guest");
    world.done(&user("carl"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn what_the_policy_file_says_is_not_lifted_and_its_line_is_named() {
    let mut world = world();
    world.reload(|document| {
        let line = |line| chat_signer::policy::EntryOrigin::File { line };
        let ban = |scope: &str, at| sanction("tom", scope, line(at));
        document.entries =
            PolicyEntries { bans: vec![ban("chat:*", 11)], mutes: vec![ban("*", 12)], ..document.entries.clone() };
    });
    for place in ["chat:x", "chat:*", "chat:y"] {
        let why = world.refused(&service("orders"), CommandKind::LiftBan, "tom", place, "file");
        assert!(why.contains("banned in chat:* by the policy file, line 11"), "{why}");
    }
    let why = world.refused(&service("orders"), CommandKind::LiftMute, "tom", "chat:x", "file");
    assert!(why.contains("muted in * by the policy file, line 12"), "{why}");
    // Elsewhere there is none to lift.
    world.done(&service("orders"), CommandKind::LiftBan, "tom", "*");
    assert!(!world.may_read("tom", "chat:x"));
}

#[test]
fn a_wider_ban_is_not_lifted_in_a_part() {
    let mut world = world();
    world.done(&service("orders"), ban(), "tom", "chat:*");
    for actor in [user("alice"), service("orders")] {
        let why = world.refused(&actor, CommandKind::LiftBan, "tom", "chat:x", "conflict");
        assert_eq!(why, "the user is banned in chat:*: lift that entry");
    }
    world.done(&service("orders"), CommandKind::LiftBan, "tom", "chat:*");
    assert!(world.may_read("tom", "chat:x"));
}

#[test]
fn a_ban_for_one_app_is_lifted_there() {
    let mut world = world();
    let backend = service("orders");
    world.act_at(&backend, ban(), "tom", "chat:x", Some("ably"));
    assert!(!world.may_read("tom", "chat:x"));
    let why = world.refused(&backend, CommandKind::LiftBan, "tom", "chat:x", "conflict");
    assert_eq!(why, "the user is banned in chat:x for the app ably: lift that entry");
    assert_eq!(
        world.act_at(&backend, CommandKind::LiftBan, "tom", "chat:x", Some("leancloud")).code,
        "ok",
        "none there"
    );
    assert!(!world.may_read("tom", "chat:x"));
    assert_eq!(world.act_at(&backend, CommandKind::LiftBan, "tom", "chat:x", Some("ably")).code, "ok");
    assert!(world.may_read("tom", "chat:x"));

    world.done(&backend, ban(), "tom", "chat:x");
    assert_eq!(world.act_at(&backend, CommandKind::LiftBan, "tom", "chat:x", Some("ably")).code, "conflict");
}

#[test]
fn what_belongs_to_a_room_is_the_room() {
    let mut world = World::new();
    world.bind("bob", "room", "manager");
    world.bind("tom", "room", "member");
    for (made, lifted) in [("room::$chat", "room"), ("room", "room::$chat"), ("room::$chat:*", "room::$chat::$typing")]
    {
        let place = |place: &str| world_reads(&world, place);
        assert!(place("room") && place("room::$chat"), "{made}");
        world.done(&user("bob"), ban(), "tom", made);
        assert!(!world_reads(&world, "room") && !world_reads(&world, "room::$chat"), "{made}");
        world.done(&user("bob"), CommandKind::LiftBan, "tom", lifted);
    }
}

/// Whether no ban keeps tom from a place: from saying that it doesn't want to be added there.
fn world_reads(world: &World, place: &str) -> bool {
    world.decide(&user("tom"), "ably", Action::BlockConversation, place, &[]).is_ok()
}

/// Kept by another version of the program, or imported.
#[test]
fn a_ban_that_holds_by_another_name_is_not_lifted_in_vain() {
    for scope in ["room::$chat", "[?rewind=1]room", "room::$chat:*"] {
        let mut world = World::new();
        world.keep(&ModerationEntry::Ban(sanction("tom", scope, origin())));
        assert!(!world_reads(&world, "room"), "{scope}");
        let outcome = world.act(&service("orders"), CommandKind::LiftBan, "tom", "room");
        assert!(outcome.code == "conflict" || world_reads(&world, "room"), "{scope}: {outcome:?}");
    }
}

#[test]
fn what_has_ended_keeps_nobody_from_lifting() {
    let mut world = world();
    world.done(&user("alice"), ban_until(1), "tom", "chat:x");
    world.done(&user("bob"), ban_until(2), "tom", "chat:x");
    world.now = Millis(NOW.0 + HOUR);
    let outcome = world.act(&user("bob"), CommandKind::LiftBan, "tom", "chat:x");
    assert_eq!((outcome.code.as_str(), outcome.changes), ("ok", (0, 1)), "the other is over, and told of as such");
    assert!(world.may_read("tom", "chat:x"));
}

#[test]
fn lifting_what_is_not_there_is_done_already() {
    let mut world = world();
    for deed in [CommandKind::LiftBan, CommandKind::LiftMute] {
        let outcome = world.act(&user("bob"), deed, "tom", "chat:x");
        assert_eq!((outcome.code.as_str(), outcome.changes), ("ok", (0, 0)));
    }
}

#[test]
fn the_same_again_changes_nothing_and_another_reason_does() {
    let mut world = world();
    let because = |reason: &str| CommandKind::Ban(SanctionTerms { until: None, reason: Some(reason.to_owned()) });
    for (reason, changes) in [("spam", 1), ("spam", 0), ("insults", 1)] {
        let outcome = world.act(&user("bob"), because(reason), "tom", "chat:x");
        assert_eq!(outcome.changes, (changes, 0), "{reason}");
    }
    assert_eq!(world.index.len(), 5, "one ban, whatever was said of it");
}

#[test]
fn who_is_banned_moderates_nobody_and_does_not_lift_its_own() {
    let mut world = world();
    world.done(&user("alice"), ban(), "bob", "chat:x");
    for deed in [ban(), mute(), CommandKind::LiftBan, CommandKind::LiftMute] {
        world.refused(&user("bob"), deed.clone(), "tom", "chat:x", "banned");
        world.refused(&user("bob"), deed, "bob", "chat:x", "banned");
    }
    // Nor through another app, nor in a wider place.
    world.refused(&user("bob"), CommandKind::LiftBan, "bob", "chat:*", "banned");
    assert_eq!(world.act_at(&user("bob"), CommandKind::LiftBan, "bob", "chat:x", Some("talkjs")).code, "banned");
}

#[test]
fn a_ban_at_one_app_keeps_a_moderator_from_deeds_in_all() {
    let mut world = world();
    world.act_at(&user("alice"), ban(), "bob", "chat:x", Some("ably"));
    world.refused(&user("bob"), ban(), "tom", "chat:x", "banned");
    assert_eq!(world.act_at(&user("bob"), ban(), "tom", "chat:x", Some("talkjs")).code, "ok");
}

#[test]
fn a_muted_moderator_moderates_but_is_not_unmuted_by_itself() {
    let mut world = world();
    world.done(&user("alice"), mute(), "bob", "chat:x");
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.refused(&user("bob"), CommandKind::LiftMute, "bob", "chat:x", "denied");
    // Where a policy lets it, rank still doesn't.
    let actions = ActionSet::of(&[Action::Unmute]);
    world.rule(Rule::new("careless", Effect::Allow, actions));
    world.refused(&user("bob"), CommandKind::LiftMute, "bob", "chat:x", "not_outranked");
    world.done(&user("alice"), CommandKind::LiftMute, "bob", "chat:x");
}

#[test]
fn strangers_are_left_alone_but_for_what_stands_against_them() {
    let mut world = world();
    for deed in [ban(), mute()] {
        let why = world.refused(&user("bob"), deed, "zoe", "chat:x", "not_there");
        assert_eq!(
            why,
            "the user has no role there; moderators of a conversation act only on users who have a role in it"
        );
    }
    // A former member's ban is lifted by who made it.
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.index.apply("role/tom/chat%3Ax/", None).unwrap();
    world.done(&user("bob"), CommandKind::LiftBan, "tom", "chat:x");
    world.refused(&user("bob"), ban(), "tom", "chat:x", "not_there");
}

#[test]
fn whose_role_was_taken_away_is_still_within_reach() {
    let mut world = world();
    world.done(&user("bob"), remove_role("member"), "tom", "chat:x");
    world.done(&user("bob"), ban(), "tom", "chat:x");
}

/// One bound everywhere reaches everyone, but not where something more special makes less of it.
#[test]
fn reach_is_everywhere_only_with_the_power() {
    let mut world = World::new();
    world.bind("ada", "*", "administrator");
    world.done(&user("ada"), ban(), "zoe", "*");
    world.done(&user("ada"), ban(), "zoe", "chat:x");
    world.known("own", ConversationKind::Group, Some("ada"));
    world.done(&user("ada"), ban(), "yan", "*");
    world.done(&user("ada"), ban(), "yan", "own");

    let actions = ActionSet::of(&[Action::Ban]);
    world.rule(Rule::new("careless", Effect::Allow, actions));
    world.bind("ada", "chat:vip", "guest");
    world.refused(&user("ada"), ban(), "xia", "chat:*", "not_there");
    world.refused(&user("ada"), ban(), "xia", "*", "not_there");
    world.done(&user("ada"), ban(), "xia", "chat:y");
}

/// Bans are users'. A backend isn't shut out because a user has its name.
#[test]
fn a_users_ban_is_not_the_backends_of_the_same_name() {
    let mut world = world();
    world.bind("orders", "chat:x", "member");
    world.done(&user("alice"), ban(), "orders", "chat:x");
    assert!(!world.may_read("orders", "chat:x"));
    world.done(&service("orders"), ban(), "alice", "chat:x");
    world.done(&service("orders"), CommandKind::LiftBan, "orders", "chat:x");
}

#[test]
fn the_policy_file_may_shut_out_a_service() {
    let mut world = world();
    let line = chat_signer::policy::EntryOrigin::File { line: 3 };
    world.reload(|document| document.entries.bans.push(sanction("orders", "*", line)));
    world.refused(&service("orders"), ban(), "tom", "chat:x", "banned");
}
