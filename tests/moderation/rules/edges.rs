//! Wishes that no honest moderator has: what the core makes of them, whoever hands them on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::model::{Action, ActionSet, Millis};
use chat_signer::moderation::store::{ChangesSince, JobState, NewChange, Store};
use chat_signer::moderation::{
    ChangeSubscribers, CommandAuthorizer, CommandKind, CommandRequest, ModerationEntry, ModerationReplica,
    SanctionTerms,
};
use chat_signer::policy::{ClientCondition, Effect, Rule};

use crate::rules::world::{Actor, World, ban, block, mute, remove_role, role_in, service, set_role, user};

#[test]
fn a_user_without_a_client_is_no_service() {
    let mut world = World::new();
    let mut rule = Rule::new("administrators-act", Effect::Allow, Action::ALL.iter().copied().collect());
    (rule.client, rule.caller_roles) = (Some(ClientCondition::Anyone), Some(vec![world.role("administrator")]));
    world.rule(rule);
    world.bind("ada", "*", "administrator");
    for deed in
        [ban(), set_role("administrator"), CommandKind::LiftBan, CommandKind::ForgetConversation, CommandKind::Block]
    {
        world.refused(&user("ada").acting_as(""), deed, "tom", "chat:x", "invalid");
    }
}

#[test]
fn an_app_that_is_not_there_is_no_way_around_the_policy() {
    let mut world = World::new();
    for actor in [user("eve"), service("orders")] {
        let outcome = world.act_at(&actor, ban(), "tom", "*", Some("elsewhere"));
        assert_eq!((outcome.code.as_str(), outcome.changes), ("invalid", (0, 0)));
    }
    world.engine.apps.clear();
    world.refused(&user("eve"), ban(), "tom", "*", "invalid");
}

#[test]
fn a_star_is_nobody() {
    let mut world = World::new();
    world.refused(&service("orders"), ban(), "*", "room", "invalid");
    world.refused(&service("orders").acting_as("*"), ban(), "tom", "room", "invalid");
    world.refused(&service("orders").acting_as("*"), CommandKind::Block, "*", "room", "invalid");
    for deed in
        [CommandKind::ForgetConversation, CommandKind::SetConversation { kind: None, owner: Some("*".to_owned()) }]
    {
        world.refused(&service("orders"), deed.clone(), "*", "*", "invalid");
    }
    let owner = CommandKind::SetConversation { kind: None, owner: Some("*".to_owned()) };
    world.refused(&service("orders"), owner, "room", "room", "invalid");
}

#[test]
fn nobody_blocks_for_another() {
    let mut world = World::new();
    world.done(&user("tom"), CommandKind::Block, "tom", "room");
    for actor in [user("eve"), service("orders"), service("orders").acting_as("eve")] {
        world.refused(&actor, CommandKind::Block, "bob", "room", "invalid");
        world.refused(&actor, CommandKind::LiftBlock, "tom", "room", "invalid");
    }
    world.done(&service("orders").acting_as("tom"), CommandKind::LiftBlock, "tom", "room");
}

#[test]
fn a_block_by_the_policy_file_stays_and_its_line_is_named() {
    let mut world = World::new();
    let line = chat_signer::policy::EntryOrigin::File { line: 5 };
    world.reload(|document| document.entries.blocks.push(block("tom", "room", line)));
    for place in ["room", "room::$chat"] {
        let why = world.refused(&user("tom"), CommandKind::LiftBlock, "tom", place, "file");
        assert!(why.contains("line 5"), "{why}");
    }
    world.done(&user("tom"), CommandKind::LiftBlock, "tom", "other");
}

#[test]
fn a_block_that_still_holds_is_not_lifted_in_vain() {
    let mut world = World::new();
    world.done(&user("tom"), CommandKind::Block, "tom", "chat:*");
    let why = world.refused(&user("tom"), CommandKind::LiftBlock, "tom", "chat:x", "conflict");
    assert_eq!(why, "the user is blocked in chat:*: lift that entry");
    assert_eq!(world.act_at(&user("tom"), CommandKind::LiftBlock, "tom", "chat:*", Some("leancloud")).code, "conflict");
    world.done(&user("tom"), CommandKind::LiftBlock, "tom", "chat:*");
}

#[test]
fn blocks_keep_from_being_invited() {
    let mut world = World::new();
    world.bind("bob", "room", "manager");
    let invited = |world: &World| world.decide(&user("bob"), "leancloud", Action::Invite, "room", &["tom"]).is_ok();
    assert!(invited(&world));
    world.done(&user("tom"), CommandKind::Block, "tom", "room");
    assert!(!invited(&world));
    world.done(&user("tom"), CommandKind::LiftBlock, "tom", "room");
    assert!(invited(&world));
}

#[test]
fn who_is_named_twice_is_dealt_with_once() {
    let mut world = World::new();
    let backend = service("orders");
    let ruling = world.carry_out(&backend, &World::wish(&backend, ban(), &["tom", "eve", "tom"], "room", None));
    assert_eq!((ruling.set.len(), ruling.succeeded), (2, vec!["tom".to_owned(), "eve".to_owned()]));
}

#[test]
fn each_of_a_hundred_succeeds_or_fails_by_itself() {
    let mut world = World::new();
    world.bind("bob", "room", "manager");
    let names: Vec<String> = (0..100).map(|n| format!("user-{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        match n % 4 {
            0 => world.bind(name, "room", "member"),
            1 => world.bind(name, "room", "owner"),
            2 => world.filed(name, "room", "guest"),
            _ => {}
        }
    }
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let bob = user("bob");
    let banned = world.carry_out(&bob, &World::wish(&bob, ban(), &users, "room", None));
    assert_eq!((banned.succeeded.len(), banned.failed.len(), banned.set.len()), (50, 50, 50));
    assert_eq!(banned.rules, [Arc::<str>::from("managers-moderate")], "each rule once");
    let given = world.carry_out(&bob, &World::wish(&bob, set_role("moderator"), &users, "room", None));
    let mut codes: Vec<(&str, usize)> = Vec::new();
    for failed in &given.failed {
        match codes.iter_mut().find(|(code, _)| *code == failed.reason.code()) {
            Some((_, count)) => *count += 1,
            None => codes.push((failed.reason.code(), 1)),
        }
    }
    codes.sort_unstable();
    assert_eq!(codes, [("denied", 25), ("file", 25), ("not_there", 25)]);
    assert_eq!(given.succeeded.len(), 25);
}

#[test]
fn max_members_counts_all_who_are_named() {
    let mut world = World::new();
    world.reload(|document| {
        let rule = document.rules.iter_mut().find(|rule| rule.id == "managers-moderate").unwrap();
        rule.max_members = Some(2);
    });
    world.bind("bob", "*", "manager");
    let bob = user("bob");
    let ban = |users: &[&str]| world.ruling(&bob, &World::wish(&bob, ban(), users, "room", None));
    assert_eq!(ban(&["a", "b"]).succeeded.len(), 2);
    assert_eq!(ban(&["a", "b", "c"]).failed.len(), 3);
}

#[test]
fn a_rule_for_ordinary_actions_lets_nobody_moderate() {
    let mut world = World::new();
    world.reload(|document| {
        document.rules = vec![Rule::new("all", Effect::Allow, ActionSet::all_by_default())];
    });
    world.bind("bob", "*", "owner");
    world.bind("tom", "*", "guest");
    for deed in [ban(), mute(), CommandKind::LiftBan, CommandKind::LiftMute, set_role("guest"), remove_role("guest")] {
        world.refused(&user("bob"), deed, "tom", "room", "denied");
    }
}

#[test]
fn names_of_every_shape_are_kept_apart() {
    let names =
        ["a/b", "a%2Fb", "a", "a/", "..", ".", "%", "%2F", "é", "e\u{301}", "朝", "a b", "a:b", "a//b", "\"", "*x"];
    let mut world = World::new();
    let backend = service("orders");
    for name in names {
        world.done(&backend, ban(), name, "room");
        world.done(&backend, set_role("member"), name, "a/b:%2F..");
    }
    assert_eq!(world.index.len(), 2 * names.len());
    for name in names {
        assert!(!world.may_read(name, "room"), "{name}");
        let outcome = world.act(&backend, CommandKind::LiftBan, name, "room");
        assert_eq!((outcome.code.as_str(), outcome.changes), ("ok", (0, 1)), "{name}");
    }
    assert_eq!(world.index.len(), names.len());
}

#[tokio::test]
async fn the_same_again_is_no_change_and_no_event_but_is_carried_out_again() {
    let world = World::new();
    let store = Store::memory().unwrap();
    let moderation = ModerationReplica::with_store(store, Duration::from_secs(60));
    moderation.sync().await;
    let actor = service("orders");
    let plan = ChangeSubscribers {
        enforced: vec![Arc::from("ably")],
        webhooks: vec!["https://app.example.com/hook".to_owned()],
    };
    let authorizer =
        CommandAuthorizer { engine: &world.engine, caller: &actor.caller, facts: &HashMap::new(), now: world.now };
    let terms = SanctionTerms { until: Some(Millis(world.now.0 * 2)), reason: Some("spam".to_owned()) };
    let deeds = [
        CommandKind::Ban(terms.clone()),
        CommandKind::Mute(terms),
        set_role("member"),
        remove_role("member"),
        CommandKind::LiftBan,
        CommandKind::LiftMute,
    ];
    for deed in deeds {
        let command = World::wish(&actor, deed, &["tom", "eve"], "room", None);
        for _ in 0..3 {
            let ruling = moderation.carry_out(&authorizer, &command, &plan, CommandRequest::default()).await.unwrap();
            assert_eq!((ruling.succeeded.len(), ruling.failed.len()), (2, 0), "{command:?}");
        }
    }
    let ChangesSince::Changes(changes) = moderation.store().unwrap().changes_since(0).await.unwrap() else {
        panic!("gone")
    };
    let (again, made): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.puts.is_empty());
    assert_eq!(made.len(), 6);
    assert!(made.iter().all(|change| change.events.len() == 2), "one for each user");
    // Bans, mutes and what lifts them, each twice more: a vendor may not know of them yet.
    assert_eq!(again.len(), 8);
    assert!(again.iter().all(|change| change.events.is_empty()));
}

/// What is kept to be carried out after a wish, once it is carried out.
async fn carried_out(
    world: &World,
    actor: &Actor,
    records: &[ModerationEntry],
    deed: CommandKind,
    users: &[&str],
) -> Vec<String> {
    let store = Store::memory().unwrap();
    let moderation = ModerationReplica::with_store(store, Duration::from_secs(60));
    moderation.sync().await;
    let puts = || records.iter().map(|record| (record.key().to_string(), Some(record.value()))).collect();
    moderation.change(|_, _| (NewChange { puts: puts(), ..NewChange::default() }, ())).await.unwrap();
    let authorizer =
        CommandAuthorizer { engine: &world.engine, caller: &actor.caller, facts: &HashMap::new(), now: world.now };
    let plan = ChangeSubscribers { enforced: vec![Arc::from("ably"), Arc::from("talkjs")], webhooks: Vec::new() };
    let ruling = moderation
        .carry_out(&authorizer, &World::wish(actor, deed, users, "room", None), &plan, CommandRequest::default())
        .await
        .unwrap();
    assert_eq!((ruling.succeeded.len(), ruling.failed.len()), (users.len(), 0));
    let jobs = moderation.store().unwrap().list_jobs(JobState::Pending, "", "", 100).await.unwrap();
    jobs.into_iter().map(|job| job.key).collect()
}

/// Whoever owns a conversation may lift what isn't there: that must not fill the queue with names that nobody has.
#[tokio::test]
async fn a_lift_of_nothing_is_carried_out_again_only_for_whom_the_moderator_may_touch() {
    let world = World::new();
    let records =
        [role_in("room", "alice", "owner"), role_in("room", "tom", "member"), role_in("*", "ann", "administrator")];
    let users = ["tom", "nobody-1", "nobody-2"];
    let toms = ["enforce:ably:tom:room", "enforce:talkjs:tom:room"];
    for deed in [CommandKind::LiftBan, CommandKind::LiftMute] {
        assert_eq!(carried_out(&world, &user("alice"), &records, deed.clone(), &users).await, toms);
        for anywhere in [user("ann"), service("orders")] {
            let jobs = carried_out(&world, &anywhere, &records, deed.clone(), &users).await;
            assert_eq!(jobs.len(), 6, "{anywhere:?}");
        }
    }
}

#[test]
fn only_moderators_names_are_told() {
    let mut world = World::new();
    world.bind("alice", "room", "owner");
    world.bind("bob", "room", "manager");
    world.bind("tom", "room", "member");
    world.done(&user("alice"), ban(), "tom", "room");
    let why = world.refused(&user("eve"), CommandKind::LiftBan, "tom", "room", "denied");
    assert!(!why.contains("alice") && !why.contains("banned"), "who may not moderate learns nothing: {why}");
}
