//! Webhooks, as a receiver sees them that checks signatures with code of its own.

use chat_signer::clock;
use chat_signer::config::Webhook;
use chat_signer::crypto::mac::HmacSha256;
use chat_signer::crypto::{hex, sha256};
use chat_signer::model::Millis;
use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::{JobState, NewJob};
use chat_signer::telemetry::outbox::OutboxMetrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::outbox::world::{World, brisk, endpoint, until};
use crate::receiver::Receiver;
use crate::server::{Fault, Server};

const SECRETS: [&[u8]; 2] = [b"fake-new-secret-of-a-webhook", b"fake-old-secret-of-a-webhook"];

async fn world(receiver: &Receiver) -> World {
    let keys = SECRETS.map(HmacSha256::new).to_vec();
    World::new("talkjs").await.with_webhooks(vec![Webhook::new(endpoint(&receiver.url()), keys)])
}

/// Has a change told that happened then.
async fn tell(world: &World, url: &str, id: &str, at: Millis) {
    let event = json!({ "id": id, "type": "ban.created", "time": at.to_string(), "data": { "user": "alice" } });
    let body = json!({ "webhook": url, "event": event }).to_string();
    let key = format!("webhook:{}:{id}", hex(&sha256(url.as_bytes())));
    world.ask_for(NewJob { key, body }).await;
}

#[tokio::test]
async fn receivers_of_either_secret_take_what_happened() {
    for secret in SECRETS {
        let receiver = Receiver::knowing(secret).await;
        let world = world(&receiver).await;
        let _worker = world.work();
        let now = clock::now();
        tell(&world, &receiver.url(), "e-1-1", now).await;
        world.settled().await;
        let told =
            json!({ "id": "e-1-1", "type": "ban.created", "time": now.to_string(), "data": { "user": "alice" } });
        assert_eq!(receiver.taken(), [told]);
        assert_eq!(world.jobs(JobState::Done).await.len(), 1);
    }
}

#[tokio::test]
async fn what_fails_is_told_again_with_the_same_id() {
    let receiver = Receiver::knowing(SECRETS[0]).await;
    let elsewhere = format!("http://{}/elsewhere", receiver.server.address);
    let redirect = Fault::Answer(307, vec![("location", elsewhere)]);
    let faults = [Fault::Answer(500, Vec::new()), Fault::Answer(400, Vec::new()), redirect, Fault::Cut, Fault::Stall];
    for fault in faults {
        receiver.server.fail("POST", "/hooks", 1, fault);
    }
    let world = world(&receiver).await;
    let _worker = world.work();
    tell(&world, &receiver.url(), "e-1-1", clock::now()).await;
    world.settled().await;
    let seen = receiver.server.seen("POST", "");
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.headers["webhook-id"] == "e-1-1" && seen.path == "/hooks?tenant=a"));
    assert_eq!(receiver.taken().len(), 1);
}

#[tokio::test]
async fn whoever_is_gone_or_fails_for_days_is_not_told_for_ever() {
    let receiver = Receiver::knowing(SECRETS[0]).await;
    receiver.server.fail("POST", "/hooks", 1, Fault::Answer(410, Vec::new()));
    let world = world(&receiver).await;
    let _worker = world.work();
    tell(&world, &receiver.url(), "e-1-1", clock::now()).await;
    assert!(world.dead_letter().await.contains("410"));
    receiver.server.fail("POST", "/hooks", 1, Fault::Answer(500, Vec::new()));
    tell(&world, &receiver.url(), "e-0-1", Millis(clock::now().0 - 3 * 86_400_000 - 1000)).await;
    until(async || world.jobs(JobState::DeadLetter).await.len() == 2).await;
    assert_eq!(receiver.server.count("POST", ""), 2);
    assert_eq!(receiver.taken(), Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_for_someone_unknown_waits_for_who_knows_them() {
    let [receiver, other] = [Receiver::knowing(SECRETS[0]).await, Receiver::knowing(SECRETS[0]).await];
    let world = world(&receiver).await;
    let counts = OutboxMetrics::default();
    let worker = world.work_counted(counts.clone());
    tell(&world, &other.url(), "e-1-1", clock::now()).await;
    tell(&world, &receiver.url(), "e-2-1", clock::now()).await;
    let unconfigured = r#"outbox_jobs{kind="webhook",state="unconfigured"} 1"#;
    until(async || receiver.taken().len() == 1 && shown(&counts).contains(unconfigured)).await;
    // The receiver has the message a moment before its job is done.
    until(async || world.jobs(JobState::Pending).await.len() == 1).await;
    assert!(shown(&counts).contains(r#"outbox_oldest_due_seconds{kind="webhook"} 0.0"#), "{}", shown(&counts));
    let waiting = world.jobs(JobState::Pending).await;
    assert_eq!((waiting.len(), waiting[0].attempts), (1, 0));

    let keys = SECRETS.map(HmacSha256::new).to_vec();
    let known = world.with_webhooks(vec![Webhook::new(endpoint(&other.url()), keys)]);
    worker.configure(known.targets(&brisk()));
    known.settled().await;
    assert_eq!(other.taken().len(), 1);
}

/// Has a change about this user told, in this queue.
async fn tell_about(world: &World, url: &str, user: &str, number: u32, queue: &str) {
    let id = format!("e-{number}-1");
    let event = json!({ "id": id, "type": "ban.created", "time": clock::now().to_string(), "data": { "user": user } });
    let body = json!({ "webhook": url, "event": event }).to_string();
    let key = format!("webhook:{}:{user}:{number:016}-00001{queue}", hex(&sha256(url.as_bytes())));
    world.ask_for(NewJob { key, body }).await;
}

/// The ids of what was taken, in order.
fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.taken().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_concerns_one_user_is_told_in_order_and_holds_up_no_other() {
    let receiver = Receiver::knowing(SECRETS[0]).await;
    receiver.server.fail("POST", "/hooks", 3, Fault::Answer(500, Vec::new()));
    let world = world(&receiver).await;
    for number in 1..=3 {
        tell_about(&world, &receiver.url(), "tom", number, "").await;
    }
    let _worker = world.work();
    until(async || receiver.server.total() >= 3).await;
    tell_about(&world, &receiver.url(), "zoe", 4, "").await;
    world.settled().await;
    let of_tom: Vec<_> = ids(&receiver).into_iter().filter(|id| id != "e-4-1").collect();
    assert_eq!(of_tom, ["e-1-1", "e-2-1", "e-3-1"]);
    let first = receiver.server.seen("POST", "");
    assert!(first.iter().take(3).all(|seen| seen.headers["webhook-id"] == "e-1-1"), "a later one was told first");
}

#[tokio::test]
async fn what_moderators_do_overtakes_what_ends_by_itself() {
    let receiver = Receiver::knowing(SECRETS[0]).await;
    let keys = SECRETS.map(HmacSha256::new).to_vec();
    let webhook = Webhook { rate: 50, max_in_flight: 2, ..Webhook::new(endpoint(&receiver.url()), keys) };
    let world = World::new("talkjs").await.with_webhooks(vec![webhook]);
    for number in 1..=200 {
        tell_about(&world, &receiver.url(), &format!("user{number}"), number, ":*background").await;
    }
    // The end of a ban of tom is the last of many, and a new ban of tom follows it.
    tell_about(&world, &receiver.url(), "tom", 201, ":*background").await;
    let _worker = world.work();
    tell_about(&world, &receiver.url(), "zoe", 202, "").await;
    tell_about(&world, &receiver.url(), "tom", 203, "").await;
    until(async || ids(&receiver).contains(&"e-203-1".to_owned())).await;
    let told = ids(&receiver);
    let place = |id: &str| told.iter().position(|own| own == id).unwrap();
    assert!(place("e-202-1") < 190 && place("e-201-1") < place("e-203-1") && place("e-203-1") < 190, "{told:?}");
    world.settled().await;
    assert_eq!(receiver.taken().len(), 203);
}

#[tokio::test]
async fn a_webhook_gets_as_many_at_once_as_it_is_configured() {
    let receiver = Receiver::knowing(SECRETS[0]).await;
    receiver.server.fail("POST", "/hooks", usize::MAX, Fault::Stall);
    let keys = SECRETS.map(HmacSha256::new).to_vec();
    let webhook = Webhook { max_in_flight: 3, ..Webhook::new(endpoint(&receiver.url()), keys) };
    let world = World::new("talkjs").await.with_webhooks(vec![webhook]);
    for number in 1..=10 {
        tell_about(&world, &receiver.url(), &format!("user{number}"), number, "").await;
    }
    let patience = std::time::Duration::from_secs(300);
    let _worker = world.work_by(OutboxConfig { lease: 2 * patience, webhook_patience: patience, ..brisk() });
    until(async || receiver.server.total() == 3).await;
    let taken = async || world.jobs(JobState::Pending).await.len();
    assert_eq!((taken().await, receiver.server.total()), (10, 3));
}

/// What is shown of what is counted.
fn shown(counts: &OutboxMetrics) -> String {
    let mut registry = Registry::default();
    counts.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

/// Whatever else it says, and however long it goes on.
#[tokio::test]
async fn a_webhook_that_says_much_has_been_told() {
    let taken = Server::start(|_| (200, Vec::new(), "x".repeat(1 << 20))).await;
    let url = format!("http://{}/hooks", taken.address);
    let keys = SECRETS.map(HmacSha256::new).to_vec();
    let world = World::new("talkjs").await.with_webhooks(vec![Webhook::new(endpoint(&url), keys)]);
    let _worker = world.work();
    tell(&world, &url, "e-1-1", clock::now()).await;
    world.settled().await;
    assert_eq!((taken.total(), world.jobs(JobState::Done).await.len()), (1, 1));
}
