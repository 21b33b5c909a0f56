//! Whoever is slow or told much holds up nobody else: vendors don't wait for webhooks, nor for each other, nor one user for another's
//! thousand conversations.

use std::time::Duration;

use chat_signer::clock;
use chat_signer::config::{StoreKind, StoreSettings, Webhook};
use chat_signer::crypto::{base64, hex, mac::HmacSha256, sha256};
use chat_signer::moderation::outbox::OutboxConfig;
use chat_signer::moderation::store::{JobState, NewJob, Store};
use serde_json::json;

use crate::common::{self, SERVICE_KEY, Server, Setup, post, request};
use crate::outbox::world::What::Ban;
use crate::outbox::world::{World, brisk, endpoint, until};
use crate::receiver::Receiver;
use crate::server::Fault;

const SECRET: &[u8] = b"obviously-fake-secret-of-a-webhook";

/// Nothing is given up while a test lasts: who waits for something that stalls waits for ever.
fn patient() -> OutboxConfig {
    let patience = Duration::from_secs(300);
    OutboxConfig { lease: 2 * patience, patience, webhook_patience: patience, ..brisk() }
}

fn webhook(receiver: &Receiver) -> Webhook {
    let webhook = Webhook::new(endpoint(&receiver.url()), vec![HmacSha256::new(SECRET)]);
    Webhook { max_in_flight: brisk().at_once.try_into().unwrap(), ..webhook }
}

/// One in memory, and one in a file.
async fn stores() -> [Store; 2] {
    let path = common::directory().join("store.redb");
    let settings =
        StoreSettings { kind: StoreKind::Redb { path }, max_staleness: Duration::from_secs(60), record: None };
    [Store::memory().unwrap(), Store::open(&settings).await.unwrap()]
}

/// Has a webhook told of so many changes.
async fn tell(world: &World, receiver: &Receiver, changes: usize) {
    let url = receiver.url();
    for number in 0..changes {
        let event = json!({ "id": format!("e-{number}-1"), "type": "role.set", "time": clock::now().to_string() });
        let key = format!("webhook:{}:e-{number}-1", hex(&sha256(url.as_bytes())));
        world.ask_for(NewJob { key, body: json!({ "webhook": url, "event": event }).to_string() }).await;
    }
}

#[tokio::test]
async fn a_ban_does_not_wait_for_a_webhook_nor_one_webhook_for_another() {
    for store in stores().await {
        let [stalled, other] = [Receiver::knowing(SECRET).await, Receiver::knowing(SECRET).await];
        stalled.server.fail("POST", "", usize::MAX, Fault::Stall);
        let webhooks = vec![webhook(&stalled), webhook(&other)];
        let world = World::on(store, "talkjs").await.with_webhooks(webhooks);
        world.vendor.join("c1", "alice", "ReadWrite", true);
        let _worker = world.work_by(patient());
        tell(&world, &stalled, 100).await;
        until(async || stalled.server.total() == brisk().at_once).await;

        world.impose(Ban, "alice", Some("c1"), None).await;
        tell(&world, &other, 1).await;
        until(async || world.vendor.access("c1", "alice").is_none() && other.taken().len() == 1).await;
        assert_eq!((stalled.server.total(), stalled.taken().len()), (brisk().at_once, 0));
    }
}

#[tokio::test]
async fn one_vendor_does_not_wait_for_another() {
    for store in stores().await {
        let stalled = World::on(store, "ably").await;
        let other = stalled.beside("talkjs").await;
        other.vendor.join("c1", "alice", "ReadWrite", true);
        stalled.vendor.server.fail("POST", "", usize::MAX, Fault::Stall);
        let _worker = stalled.work_with(&other, patient());
        for number in 0..100 {
            stalled.impose(Ban, &format!("user{number}"), Some("c1"), None).await;
        }
        until(async || stalled.vendor.server.total() == brisk().at_once).await;
        other.impose(Ban, "alice", Some("c1"), None).await;
        until(async || other.vendor.access("c1", "alice").is_none()).await;
        assert_eq!(stalled.vendor.server.total(), brisk().at_once);
    }
}

/// What is done everywhere takes long: few of them at a time come further than many, and none holds up what is done in one place.
#[tokio::test]
async fn few_are_dealt_with_everywhere_at_a_time() {
    for store in stores().await {
        let world = World::on(store, "talkjs").await;
        world.vendor.join("c1", "alice", "ReadWrite", true);
        world.vendor.server.fail("GET", "/users/", usize::MAX, Fault::Stall);
        let _worker = world.work_by(patient());
        for number in 0..20 {
            world.impose(Ban, &format!("user{number}"), None, None).await;
        }
        until(async || world.vendor.server.count("GET", "/users/") == 2).await;
        world.impose(Ban, "alice", Some("c1"), None).await;
        until(async || world.jobs(JobState::Pending).await.len() == 20).await;
        assert_eq!(world.vendor.access("c1", "alice"), None);
        assert_eq!(world.vendor.server.count("GET", "/users/"), 2);
    }
}

const ANYONE_BLOCKS: &str = r#"
roles = ["member"]

[[rules]]
id = "everyone-blocks"
effect = "allow"
actions = ["block-conversation", "unblock-conversation"]

[[rules]]
id = "services-moderate"
effect = "allow"
actions = ["ban"]
callers = ["service"]
client = "any"
"#;

/// Anybody can block a conversation and let it in again, as often as they like: what moderators do is told meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_told_before_what_someone_has_blocked_a_hundred_times() {
    let receiver = Receiver::knowing(SECRET).await;
    let hook =
        format!("[[webhooks]]\nurl = \"{}\"\nsecret = {{ file = \"hook.secret\" }}\nrate = 20\n", receiver.url());
    let files = vec![("policy.toml", ANYONE_BLOCKS.to_owned()), ("hook.secret", format!("whsec_{}", base64(SECRET)))];
    let server = Server::with(Setup { files, ..Setup::more(&format!("[store]\ntype = \"memory\"\n{hook}")) });
    common::until("it is ready", || server.is_ready());
    // Beyond what a webhook is told at once after a quiet time.
    let mut tom = server.connect();
    for _ in 0..200 {
        for path in ["/v1/moderation/blocks", "/v1/moderation/blocks/lift"] {
            assert_eq!(tom.ask(&post(path, "tom", r#"{"conversation":"den"}"#)).status, 200);
        }
    }
    let headers = format!("x-api-key: {SERVICE_KEY}\r\ncontent-type: application/json\r\n");
    let ban = server.ask(&request("POST", "/v1/moderation/bans", &headers, r#"{"users":["mallory"]}"#));
    assert_eq!(ban.status, 200, "{ban:?}");
    let told = |kind: &str| receiver.taken().iter().filter(|event| event["type"] == kind).count();
    common::until("the ban is told", || told("ban.created") == 1);
    let blocks = told("block.created") + told("block.lifted");
    assert!(blocks < 300, "{blocks} were told before");
    assert!(blocks > 0);
}
