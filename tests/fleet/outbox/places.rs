//! Bans and mutes everywhere at TalkJS, and beside others in one conversation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::JobState;
use serde_json::json;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{What, World, brisk, until};
use crate::server::{Fault, Server};

const LONG: Duration = Duration::from_secs(600);

type Step = (bool, What, Option<&'static str>);

fn conversations(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("c{number:02}")).collect()
}

async fn take(world: &World, (imposes, what, place): Step) {
    if imposes {
        world.impose(what, "alice", place, None).await;
    } else {
        world.lift(what, "alice", place).await;
    }
}

#[tokio::test]
async fn a_ban_everywhere_ends_every_participation_and_restores_each() {
    let world = World::new("talkjs").await;
    let ids = conversations(65);
    for (number, id) in ids.iter().enumerate() {
        world.vendor.join(id, "alice", if number % 3 == 0 { "Read" } else { "ReadWrite" }, number % 2 == 0);
        world.vendor.join(id, "bob", "ReadWrite", true);
    }
    let before = world.vendor.held(|held| held.participants.clone());
    let _worker = world.work();
    take(&world, (true, Ban, None)).await;
    world.settled().await;
    assert!(ids.iter().all(|id| world.vendor.access(id, "alice").is_none()));
    assert!(ids.iter().all(|id| world.vendor.access(id, "bob").is_some()));
    assert!(world.vendor.server.seen("GET", "/users/alice/").len() >= 4, "three pages and the end");
    take(&world, (false, Ban, None)).await;
    world.settled().await;
    assert_eq!(world.vendor.held(|held| held.participants.clone()), before);
    assert_eq!(world.note("alice", "").await, None);
    world.vendor.assert_content();
}

/// TalkJS lists 30 at a time, and takes so many requests a second: none of them is left, however many attempts it takes.
#[tokio::test]
async fn of_very_many_conversations_none_is_left() {
    let world = World::new("talkjs").await;
    let ids: Vec<_> = (0..10_030).map(|number| format!("c{number:05}")).collect();
    for id in &ids {
        world.vendor.join(id, "alice", "Read", true);
    }
    let last = ids.last().unwrap();
    world.vendor.join(last, "alice", "ReadWrite", true);
    let _worker = world.work();
    take(&world, (true, Mute, None)).await;
    world.settled().await;
    assert_eq!(world.vendor.access(last, "alice").as_deref(), Some("Read"));
    assert_eq!(world.jobs(JobState::DeadLetter).await, []);
    assert_eq!(world.note("alice", "").await.unwrap()["note"], format!("{{\"conversations\":[\"{last}\"]}}"));
    world.vendor.assert_content();
}

/// Of those that a ban removes the user from, none is left either; the list is shorter after each.
#[tokio::test]
async fn of_many_conversations_none_is_left_though_some_stay_on_the_list() {
    let world = World::new("talkjs").await;
    let ids = conversations(100);
    for (number, id) in ids.iter().enumerate() {
        world.vendor.join(id, "alice", if number % 40 == 29 { "None" } else { "ReadWrite" }, true);
    }
    world.vendor.join("c99", "alice", "None", true);
    let _worker = world.work();
    world.vendor.server.fail("DELETE", "/c70/", 1, Fault::Answer(500, Vec::new()));
    take(&world, (true, Ban, None)).await;
    world.settled().await;
    let left: Vec<_> = ids.iter().filter(|id| world.vendor.access(id, "alice").is_some()).collect();
    assert_eq!(left, ["c29", "c69", "c99"]);
    // What was dealt with is not listed again when an attempt fails, but once more as a whole as something may yet arrive. No page begins
    // behind a conversation that is no longer on the list.
    let pages = world.vendor.server.seen("GET", "/users/alice/");
    let began: Vec<_> =
        pages.iter().map(|page| page.path.split_once("startingAfter=").map_or("", |(_, id)| id)).collect();
    assert_eq!(began, ["", "c29", "c29", "c29", "c69", "c99", "", "c99"], "{began:?}");
    world.vendor.assert_content();
}

/// The conversation that a page is to begin behind may be deleted meanwhile.
#[tokio::test]
async fn a_list_that_breaks_off_is_read_anew() {
    let world = World::new("talkjs").await;
    for id in conversations(50) {
        world.vendor.join(&id, "alice", "ReadWrite", true);
    }
    world.vendor.server.fail("GET", "startingAfter=c29", 1, Fault::Answer(404, Vec::new()));
    let _worker = world.work();
    take(&world, (true, Mute, None)).await;
    world.settled().await;
    assert!(conversations(50).iter().all(|id| world.vendor.access(id, "alice").as_deref() == Some("Read")));
    world.vendor.assert_content();
}

/// It is asked a few times for each attempt, and more seldom with each.
#[tokio::test]
async fn a_list_that_goes_round_is_not_read_for_ever() {
    let world = World::new("talkjs").await;
    let page = |id: &str| {
        let people = json!({ "alice": { "access": "ReadWrite", "notify": true } });
        json!({ "data": [{ "id": id, "participants": people }] }).to_string()
    };
    let odd = AtomicBool::new(false);
    let round = Server::start(move |_| {
        let is_odd = odd.fetch_not(Ordering::Relaxed);
        (200, Vec::new(), page(if is_odd { "x1" } else { "x2" }))
    });
    let round = round.await;
    let _worker =
        world.work_at(&format!("http://{}", round.address), OutboxConfig { backoff: (LONG, LONG), ..brisk() });
    take(&world, (true, Mute, Some("shop:*"))).await;
    until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.error.is_some())).await;
    let why = world.jobs(JobState::Pending).await.remove(0).error.unwrap();
    assert_eq!(why, "its list of conversations has no end");
    assert!(round.total() < 10, "{}", round.total());
}

#[tokio::test]
async fn what_can_not_be_done_is_not_forgotten_by_the_next_attempt() {
    let world = World::new("talkjs").await;
    for id in conversations(50).iter().map(String::as_str).chain([".."]) {
        world.vendor.join(id, "alice", "ReadWrite", true);
    }
    world.vendor.server.fail("GET", "/conversations/c40", 1, Fault::Answer(500, Vec::new()));
    let _worker = world.work();
    take(&world, (true, Mute, None)).await;
    assert!(world.dead_letter().await.contains("cannot be part of a URL path"));
    assert_eq!(world.jobs(JobState::DeadLetter).await[0].attempts, 2);
    assert!(conversations(50).iter().all(|id| world.vendor.access(id, "alice").as_deref() == Some("Read")));
    assert_eq!(world.vendor.access("..", "alice").as_deref(), Some("ReadWrite"));
}

/// Whatever is imposed and lifted in whatever order, each conversation ends up with the strictest of what is left.
#[tokio::test]
async fn what_is_imposed_in_one_place_and_everywhere_does_not_get_in_each_others_way() {
    let all: [Step; 4] = [(true, Ban, None), (true, Mute, None), (true, Ban, Some("c00")), (true, Mute, Some("c01"))];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2], [0, 2, 3, 1], [2, 3, 0, 1]] {
        for lifting in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 1, 3]] {
            let world = World::new("talkjs").await;
            for id in conversations(3) {
                world.vendor.join(&id, "alice", "ReadWrite", true);
            }
            let _worker = world.work();
            let mut held: Vec<Step> = Vec::new();
            let imposed = order.map(|number| all[number]);
            let lifted = lifting.map(|number| (false, all[number].1, all[number].2));
            for step in imposed.into_iter().chain(lifted) {
                take(&world, step).await;
                world.settled().await;
                held.retain(|(_, what, place)| (*what, *place) != (step.1, step.2));
                held.extend(step.0.then_some(step));
                let access: BTreeMap<_, _> =
                    conversations(3).into_iter().map(|id| (id.clone(), world.vendor.access(&id, "alice"))).collect();
                let expected = conversations(3).into_iter().map(|id| (id.clone(), expected(&held, &id)));
                assert_eq!(access, expected.collect(), "{order:?}, {lifting:?}: after {step:?}");
            }
            world.vendor.assert_content();
        }
    }
}

fn expected(held: &[Step], id: &str) -> Option<String> {
    let here = |what| held.iter().any(|(_, own, place)| *own == what && place.is_none_or(|place| place == id));
    match (here(Ban), here(Mute)) {
        (true, _) => None,
        (false, true) => Some("Read".to_owned()),
        (false, false) => Some("ReadWrite".to_owned()),
    }
}

#[tokio::test]
async fn a_ban_from_a_namespace_is_one_from_the_conversations_in_it() {
    let world = World::new("talkjs").await;
    for id in ["shop:1", "shop:2", "help:1"] {
        world.vendor.join(id, "alice", "ReadWrite", true);
    }
    let _worker = world.work();
    let access = || ["shop:1", "shop:2", "help:1"].map(|id| world.vendor.access(id, "alice").is_some());
    take(&world, (true, Ban, Some("shop:*"))).await;
    world.settled().await;
    assert_eq!(access(), [false, false, true]);
    take(&world, (false, Ban, Some("shop:*"))).await;
    world.settled().await;
    assert_eq!(access(), [true; 3]);
}

#[tokio::test]
async fn one_conversation_that_can_not_be_dealt_with_is_no_reason_to_leave_the_others() {
    let world = World::new("talkjs").await;
    for id in ["..", "c00", "c01"] {
        world.vendor.join(id, "alice", "ReadWrite", true);
    }
    let _worker = world.work();
    take(&world, (true, Ban, None)).await;
    assert!(world.dead_letter().await.contains("cannot be part of a URL path"));
    assert_eq!(["..", "c00", "c01"].map(|id| world.vendor.access(id, "alice").is_some()), [true, false, false]);
}

/// A vendor's server may read each of these as `.` or `..`, and then do something else.
#[tokio::test]
async fn an_id_that_any_decoding_turns_into_dots_is_sent_in_no_path() {
    let ids = ["..;", "..;x", "%c0%ae%c0%ae", "%u002e%u002e", "%e0%80%ae", "%25c0%25ae", "\u{ff0e}\u{ff0e}", "..%00"];
    for app in ["talkjs", "leancloud"] {
        let world = World::new(app).await;
        world.vendor.held(|held| {
            let members = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            held.members.insert("c1".to_owned(), members(&ids));
            held.blacklists.insert("c1".to_owned(), members(&[]));
            held.silenced.insert("c1".to_owned(), members(&[]));
            held.members.extend(ids.map(|id| (id.to_owned(), members(&["alice"]))));
        });
        let _worker = world.work();
        for id in ids {
            world.impose(Ban, id, Some("c1"), None).await;
            world.impose(Ban, "alice", Some(id), None).await;
        }
        world.settled().await;
        let aside = world.jobs(JobState::DeadLetter).await;
        let why: Vec<_> = aside.iter().filter_map(|job| job.error.as_deref()).collect();
        assert_eq!(
            why, ["its id cannot be part of a URL path: it is empty or can be read as `.` or `..`"; 16],
            "{app}"
        );
        for seen in
            ["GET", "POST", "PUT", "PATCH", "DELETE"].map(|method| world.vendor.server.seen(method, "")).concat()
        {
            let path = seen.path.split('?').next().unwrap();
            assert!(["c1", "alice", "all-conversations"].iter().any(|own| path.contains(own)), "{app}: {path}");
        }
    }
}
