//! What another service tells of a conversation counts in moderation, and is asked for in time.

use chat_signer::model::{Action, ActionSet};
use chat_signer::moderation::CommandKind;
use chat_signer::policy::{DecisionData, Effect, FactsRelevance, Rule};

use crate::rules::world::{Actor, World, ban, mute, service, set_role, user};

/// The conversations about which somebody must be asked before a wish at Ably's app can be judged.
fn asked(world: &World, actor: &Actor, deed: CommandKind, users: &[&str], place: &str) -> Vec<String> {
    let command = World::wish(actor, deed, users, place, Some("ably"));
    let signing_request = command.policy_request(world.engine.app("ably").unwrap());
    let facts = DecisionData { file: world.engine.policy.entries(), runtime: Some(world.index.entries()), facts: &[] };
    let open =
        world.engine.policy.unanswered(&signing_request, &actor.caller, facts, world.now, FactsRelevance::default());
    open.into_iter().collect()
}

#[test]
fn an_owner_by_facts_is_beyond_a_managers_reach() {
    let mut world = World::new();
    world.bind("bob", "chat:x", "manager");
    world.tell("chat:x", &[("alice", "owner"), ("tom", "member")]);
    world.refused(&user("bob"), ban(), "alice", "chat:x", "denied");
    world.refused(&user("bob"), ban(), "zoe", "chat:x", "not_there");
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.done(&user("alice"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn who_was_demoted_by_facts_moderates_nobody() {
    let mut world = World::new();
    world.tell("chat:x", &[("bob", "manager"), ("tom", "member")]);
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.tell("chat:x", &[("bob", "member"), ("tom", "member")]);
    world.refused(&user("bob"), CommandKind::LiftBan, "tom", "chat:x", "denied");
}

/// Whose ban it is counts as what it is now, too, and nobody named it.
#[test]
fn who_was_promoted_by_facts_is_not_overruled() {
    for (deed, lift) in [(ban(), CommandKind::LiftBan), (mute(), CommandKind::LiftMute)] {
        let mut world = World::new();
        let now = |bob| [("bob", bob), ("ann", "administrator"), ("tom", "member")];
        world.tell("chat:x", &now("manager"));
        world.done(&user("bob"), deed, "tom", "chat:x");
        world.tell("chat:x", &now("owner"));
        world.refused(&user("ann"), lift.clone(), "tom", "chat:x", "not_outranked");
        world.tell("chat:x", &now("moderator"));
        world.done(&user("ann"), lift, "tom", "chat:x");
    }
}

#[test]
fn authors_are_asked_about_though_all_others_are_known() {
    let mut world = World::new();
    world.bind("ann", "chat:x", "administrator");
    world.bind("tom", "chat:x", "member");
    world.tell("chat:x", &[("bob", "manager")]);
    world.done(&user("bob"), ban(), "tom", "chat:x");
    world.tell("chat:x", &[("bob", "owner")]);
    world.refused(&user("ann"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
}

/// So many are asked about at once. Whoever is not may be anything.
#[test]
fn of_too_many_authors_none_is_overruled_unasked() {
    let mut world = World::new();
    let managers: Vec<String> = (0..=100).map(|number| format!("manager-{number:03}")).collect();
    let mut people: Vec<_> = managers.iter().map(|name| (name.as_str(), "manager")).collect();
    people.extend([("ann", "administrator"), ("tom", "member")]);
    world.tell("chat:x", &people);
    for manager in &managers[..100] {
        world.done(&user(manager), ban(), "tom", "chat:x");
    }
    assert_eq!(world.act(&user("ann"), CommandKind::LiftBan, "tom", "chat:x").changes, (0, 100));
    for manager in &managers {
        world.done(&user(manager), ban(), "tom", "chat:x");
    }
    world.refused(&user("ann"), CommandKind::LiftBan, "tom", "chat:x", "not_outranked");
    world.done(&service("orders"), CommandKind::LiftBan, "tom", "chat:x");
}

#[test]
fn the_moderation_comes_before_facts() {
    let mut world = World::new();
    world.bind("bob", "chat:x", "member");
    world.tell("chat:x", &[("bob", "owner"), ("tom", "guest")]);
    world.refused(&user("bob"), ban(), "tom", "chat:x", "denied");
}

#[test]
fn everyone_named_is_asked_about_though_one_settles_the_matter() {
    let mut world = World::new();
    world.filed("bob", "chat:x", "manager");
    world.filed("boss", "chat:x", "owner");
    assert_eq!(asked(&world, &user("bob"), ban(), &["alice"], "chat:x"), ["chat:x"]);
    assert_eq!(asked(&world, &user("bob"), ban(), &["boss", "alice"], "chat:x"), ["chat:x"]);
    assert_eq!(asked(&world, &user("bob"), ban(), &["boss"], "chat:x"), Vec::<String>::new());
}

/// The rules for moderators need to know what everyone is, even where the policy's rules don't.
#[test]
fn what_moderators_are_held_to_depends_on_facts() {
    let mut world = World::new();
    let actions = ActionSet::of(&[Action::Ban, Action::SetRole, Action::Unban]);
    world.rule(Rule::new("careless", Effect::Allow, actions));
    world.bind("bob", "chat:x", "manager");
    for deed in [ban(), set_role("member"), CommandKind::LiftBan] {
        assert_eq!(asked(&world, &user("bob"), deed, &["alice"], "chat:x"), ["chat:x"]);
    }
    world.bind("tom", "chat:x", "member");
    assert_eq!(asked(&world, &user("bob"), ban(), &["tom"], "chat:x"), Vec::<String>::new(), "all is known");
    assert_eq!(
        asked(&world, &user("bob"), ban(), &["alice"], "chat:*"),
        Vec::<String>::new(),
        "of patterns nothing is"
    );
}
