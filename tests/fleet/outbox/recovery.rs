//! Vendors that fail, workers that are held up or gone, and what comes of it in the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chat_signer::clock;
use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::{AttemptResult, Job, JobState};
use tokio::sync::Semaphore;

use crate::outbox::world::What::{Ban, Mute};
use crate::outbox::world::{World, brisk, until};
use crate::server::Fault;

async fn world() -> World {
    let world = World::new("talkjs").await;
    world.vendor.join("c1", "alice", "ReadWrite", true);
    world
}

#[tokio::test]
async fn failures_that_pass_are_tried_again() {
    for fault in
        [Fault::Answer(500, Vec::new()), Fault::Answer(429, Vec::new()), Fault::Cut, Fault::CutAfter, Fault::Stall]
    {
        for method in ["GET", "DELETE"] {
            let world = world().await;
            world.vendor.server.fail(method, "/c1", 2, fault.clone());
            let _worker = world.work();
            world.impose(Ban, "alice", Some("c1"), None).await;
            world.settled().await;
            assert_eq!(world.vendor.access("c1", "alice"), None, "{method} {fault:?}");
            world.lift(Ban, "alice", Some("c1")).await;
            world.settled().await;
            assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("ReadWrite"), "{method} {fault:?}");
            world.vendor.assert_content();
        }
    }
}

#[tokio::test]
async fn a_vendor_that_says_when_is_left_alone_until_then() {
    let world = world().await;
    world.vendor.server.fail("DELETE", "/c1", 1, Fault::Answer(429, vec![("retry-after", "600".to_owned())]));
    let _worker = world.work();
    world.impose(Ban, "alice", Some("c1"), None).await;
    let failed = async || world.jobs(JobState::Pending).await.into_iter().find(|job| job.error.is_some());
    until(async || failed().await.is_some()).await;
    let job = failed().await.unwrap();
    assert_eq!(job.error.as_deref(), Some("talkjs: it answers 429"));
    assert!(job.due.0 > clock::now().0 + 590_000, "{job:?}");
}

#[tokio::test]
async fn what_can_not_succeed_is_a_dead_letter_until_it_is_asked_for_again() {
    let world = world().await;
    world.vendor.server.fail("DELETE", "/c1", 1, Fault::Answer(403, Vec::new()));
    let _worker = world.work();
    world.impose(Ban, "alice", Some("c1"), None).await;
    assert_eq!(world.dead_letter().await, "talkjs: it answers 403");
    world.impose(Ban, "alice", Some("c1"), None).await;
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice"), None);
    assert_eq!(world.jobs(JobState::DeadLetter).await, []);
}

/// A silence that was renewed ten times has not failed once.
#[tokio::test]
async fn what_went_well_often_is_tried_again_as_soon_as_anything() {
    let world = world().await;
    world.impose(Ban, "alice", Some("c1"), None).await;
    for _ in 0..10 {
        let job = world.claim("other", LONG).await.remove(0);
        let renewed = AttemptResult::Retry { due: clock::now(), error: None };
        assert!(world.store().complete("other", &job, &renewed, clock::now()).await.unwrap());
    }
    world.vendor.server.fail("DELETE", "/c1", 1, Fault::Answer(500, Vec::new()));
    let _worker =
        world.work_by(OutboxConfig { backoff: (Duration::from_secs(1), Duration::from_secs(600)), ..brisk() });
    let failed = async || world.jobs(JobState::Pending).await.into_iter().find(|job| job.error.is_some());
    until(async || failed().await.is_some()).await;
    let job = failed().await.unwrap();
    assert!(job.due.0 <= clock::now().0 + 1000, "{job:?}");
}

/// The ban is on its way when it is lifted: whoever has the job finds out when the vendor has answered.
#[tokio::test]
async fn what_changes_while_it_is_carried_out_is_carried_out_at_once() {
    let world = world().await;
    let gate = Arc::new(Semaphore::new(0));
    world.vendor.server.fail("DELETE", "/c1", 1, Fault::Late(Arc::clone(&gate)));
    let lease = Duration::from_secs(600);
    let _worker = world.work_by(OutboxConfig { lease, patience: Duration::from_secs(30), ..brisk() });
    world.impose(Ban, "alice", Some("c1"), None).await;
    until(async || world.vendor.server.count("DELETE", "/c1") == 1).await;
    world.lift(Ban, "alice", Some("c1")).await;
    gate.add_permits(1);
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("ReadWrite"));
    world.vendor.assert_content();
}

/// The ban was given up waiting for, then lifted, and is carried out by the vendor after that.
#[tokio::test]
async fn a_ban_that_arrives_after_it_was_lifted_is_undone() {
    for (is_muted, access) in [(false, "ReadWrite"), (true, "Read")] {
        let world = world().await;
        let gate = Arc::new(Semaphore::new(0));
        world.vendor.server.fail("DELETE", "/c1", 1, Fault::Late(Arc::clone(&gate)));
        let _worker =
            world.work_by(OutboxConfig { patience: Duration::from_millis(200), backoff: (LONG, LONG), ..brisk() });
        if is_muted {
            world.impose(Mute, "alice", Some("c1"), None).await;
            world.settled().await;
        }
        world.impose(Ban, "alice", Some("c1"), None).await;
        until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.error.is_some())).await;
        world.lift(Ban, "alice", Some("c1")).await;
        let is_once_done = |job: &Job| job.attempts == 1 && job.error.is_none();
        until(async || world.jobs(JobState::Pending).await.iter().any(is_once_done)).await;
        assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some(access), "lifted before it arrived");
        gate.add_permits(1);
        until(async || world.vendor.access("c1", "alice").is_none()).await;
        world.settled().await;
        assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some(access));
        assert_eq!(world.note("alice", "c1").await.is_some(), is_muted);
        world.vendor.assert_content();
    }
}

const LONG: Duration = Duration::from_secs(60);

/// Someone takes the job and is not heard of again; what they did last arrives when another has already put things right.
#[tokio::test]
async fn what_another_left_is_taken_over_and_done_twice() {
    let world = world().await;
    world.impose(Ban, "alice", Some("c1"), None).await;
    let lease = Duration::from_millis(50);
    let job = world.claim("ghost", lease).await.remove(0);
    let before = r#"{"sent":1,"note":"{\"removed\":true,\"was\":{\"access\":\"ReadWrite\",\"notify\":true}}"}"#;
    assert!(world.store().set_checkpoint("ghost", &job, &job.key, Some(before.to_owned())).await.unwrap());
    world.lift(Ban, "alice", Some("c1")).await;

    let _worker = world.work();
    until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.attempts == 1)).await;
    assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("ReadWrite"));
    assert!(world.note("alice", "c1").await.is_some(), "kept, as the other may yet be heard of");
    world.vendor.held(|held| held.participants.get_mut("c1").unwrap().remove("alice"));
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice").as_deref(), Some("ReadWrite"));
    assert_eq!(world.note("alice", "c1").await, None);
    assert!(!world.store().complete("ghost", &job, &AttemptResult::Done, clock::now()).await.unwrap());
}

/// What was taken over must be done twice, but not later because of that.
#[tokio::test]
async fn what_was_taken_over_and_fails_is_tried_again_soon() {
    let world = world().await;
    world.impose(Ban, "alice", Some("c1"), None).await;
    let job = world.claim("ghost", Duration::from_millis(50)).await.remove(0);
    let before = r#"{"sent":1,"note":"{\"removed\":true,\"was\":{\"access\":\"ReadWrite\",\"notify\":true}}"}"#;
    assert!(world.store().set_checkpoint("ghost", &job, &job.key, Some(before.to_owned())).await.unwrap());
    world.vendor.server.fail("DELETE", "/c1", 1, Fault::Answer(500, Vec::new()));
    let _worker = world.work_by(OutboxConfig { lease: Duration::from_secs(600), ..brisk() });
    until(async || world.vendor.access("c1", "alice").is_none()).await;
    until(async || world.jobs(JobState::Pending).await.iter().any(|job| job.attempts == 2)).await;
    let waiting = world.jobs(JobState::Pending).await.remove(0);
    assert!(waiting.error.is_none() && waiting.due.0 > clock::now().0 + 500_000, "{waiting:?}");
}

/// Jobs about one user deal with the same conversations. What one of them sends, and is answered, is no reason for the other to wait.
#[tokio::test]
async fn jobs_that_were_taken_over_do_not_keep_each_other_from_being_done() {
    let world = World::new("leancloud").await;
    world.vendor.held(|held| {
        held.members.insert("c1".to_owned(), BTreeSet::from(["alice".to_owned()]));
        for lists in [&mut held.blacklists, &mut held.silenced] {
            lists.insert("c1".to_owned(), BTreeSet::new());
        }
    });
    for place in [Some("c1"), None] {
        world.impose(Ban, "alice", place, None).await;
    }
    // One comes back half a lease after the other.
    for lease in [Duration::from_millis(50), brisk().lease / 2] {
        assert_eq!(world.claim("ghost", lease).await.len(), 1);
    }
    let _worker = world.work();
    world.settled().await;
    let times = world.vendor.server.count("POST", "/blacklists");
    assert!(times <= 6, "{times} times, where each of two is done twice, or three times at most");
}

#[tokio::test]
async fn what_can_only_be_done_in_part_is_done_twice_as_well_before_it_becomes_a_dead_letter() {
    let world = World::new("leancloud").await;
    world.impose(Mute, "alice", None, None).await;
    assert_eq!(world.claim("ghost", Duration::from_millis(50)).await.len(), 1);
    let _worker = world.work();
    assert_eq!(world.dead_letter().await, "LeanCloud can mute a user in single conversations, but not everywhere");
    assert_eq!(world.jobs(JobState::DeadLetter).await[0].attempts, 2);
}

#[tokio::test]
async fn several_workers_do_each_job_once() {
    let world = World::new("talkjs").await;
    let users: Vec<_> = (0..40).map(|number| format!("user{number}")).collect();
    for user in &users {
        world.vendor.join("c1", user, "ReadWrite", true);
    }
    let _workers = [world.work(), world.work(), world.work()];
    for user in &users {
        world.impose(Ban, user, Some("c1"), None).await;
    }
    world.settled().await;
    assert!(users.iter().all(|user| world.vendor.access("c1", user).is_none()));
    assert_eq!(world.vendor.server.count("DELETE", "/c1"), users.len());
}

#[tokio::test]
async fn whoever_stops_ends_what_is_on_its_way_and_gives_back_the_rest() {
    let world = world().await;
    world.vendor.join("c2", "alice", "ReadWrite", true);
    let gate = Arc::new(Semaphore::new(0));
    world.vendor.server.fail("GET", "/users/alice", 1, Fault::Late(Arc::clone(&gate)));
    let lease = Duration::from_secs(600);
    let worker = world.work_by(OutboxConfig { lease, patience: Duration::from_secs(30), ..brisk() });
    world.impose(Ban, "alice", None, None).await;
    until(async || world.vendor.server.count("GET", "/users/alice") == 1).await;
    let stopping = tokio::spawn(async move { worker.stop(Duration::from_secs(30)).await });
    gate.add_permits(1);
    stopping.await.unwrap();
    assert_eq!(world.vendor.server.count("DELETE", ""), 0, "nothing was begun after that");
    let given_back = world.claim("next", lease).await;
    assert_eq!(given_back.len(), 1, "it needs not wait for the lease");
    assert!(!given_back[0].taken_over && given_back[0].error.is_none());
}

/// What waits for something else of the same user has sent nothing yet.
#[tokio::test]
async fn whoever_stops_gives_back_at_once_what_waits_for_its_turn() {
    let world = world().await;
    world.vendor.server.fail("GET", "", usize::MAX, Fault::Stall);
    for place in ["c1", "c2"] {
        world.impose(Ban, "alice", Some(place), None).await;
    }
    let patience = Duration::from_secs(300);
    let worker = world.work_by(OutboxConfig { lease: 2 * patience, patience, ..brisk() });
    until(async || world.vendor.server.total() == 1).await;
    worker.drain();
    until(async || world.claim("next", LONG).await.first().is_some_and(|job| !job.taken_over)).await;
    assert_eq!(world.vendor.server.total(), 1);
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_cut_off_and_taken_over() {
    let world = world().await;
    world.vendor.server.fail("GET", "/c1", 1, Fault::Stall);
    let worker = world.work_by(OutboxConfig { patience: Duration::from_millis(1500), ..brisk() });
    world.impose(Ban, "alice", Some("c1"), None).await;
    until(async || world.vendor.server.count("GET", "/c1") == 1).await;
    worker.stop(Duration::ZERO).await;
    let _next = world.work();
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice"), None);
}

#[tokio::test]
async fn an_app_that_is_not_configured_here_may_be_elsewhere() {
    let world = world().await;
    let elsewhere = World::new("ably").await;
    let targets = elsewhere.targets(&brisk());
    let counts = chat_signer::telemetry::outbox::OutboxMetrics::default();
    let terms = brisk();
    let worker =
        chat_signer::moderation::outbox::Outbox::start(Arc::clone(&world.moderation), targets, terms, counts).unwrap();
    world.impose(Ban, "alice", Some("c1"), None).await;
    worker.configure(world.targets(&terms));
    world.settled().await;
    assert_eq!(world.vendor.access("c1", "alice"), None);
}
