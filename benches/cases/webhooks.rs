//! Fills a redb file with events for a webhook and delivers them: `webhooks DIRECTORY EVENTS`. Measures the time until all
//! are delivered, and how long the event of a new ban takes meanwhile. `benches/webhooks` runs it.
#![allow(missing_docs, clippy::expect_used)]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chat_signer::authn::Endpoint;
use chat_signer::clock;
use chat_signer::config::{StoreKind, StoreSettings, Webhook};
use chat_signer::crypto::mac::HmacSha256;
use chat_signer::crypto::{hex, sha256};
use chat_signer::moderation::ModerationReplica;
use chat_signer::moderation::outbox::{DeliveryTargets, Outbox, OutboxConfig};
use chat_signer::moderation::store::{NewChange, NewJob, Store};
use chat_signer::policy::{Policy, PolicyDocument};
use chat_signer::telemetry::outbox::OutboxMetrics;
use chat_signer_testkit::fake_server::Server;
use serde_json::json;

/// How many events are written in a change.
const BATCH: usize = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which directory?")?;
    let events: usize = arguments.next().ok_or("how many events?")?.parse()?;
    let path = Path::new(&directory).join(format!("{events}.redb"));
    let settings =
        StoreSettings { kind: StoreKind::Redb { path }, max_staleness: Duration::from_secs(600), record: None };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&settings, events))
}

async fn measure(settings: &StoreSettings, events: usize) -> Result<(), Box<dyn Error>> {
    let (count, has_ban) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counter, flag) = (Arc::clone(&count), Arc::clone(&has_ban));
    let receiver = Server::start(move |seen| {
        counter.fetch_add(1, Ordering::Relaxed);
        flag.fetch_or(seen.body.contains("\"ban.created\""), Ordering::Relaxed);
        (204, Vec::new(), String::new())
    })
    .await;
    let url = format!("http://{}/hooks", receiver.address);
    let moderation = Arc::new(ModerationReplica::with_store(Store::open(settings).await?, settings.max_staleness));
    moderation.sync().await;
    let numbers: Vec<usize> = (1..=events).collect();
    for part in numbers.chunks(BATCH) {
        let jobs = part.iter().map(|number| job(&url, *number, "ban.expired", ":*background")).collect();
        commit(&moderation, jobs).await?;
    }
    let webhook = Arc::new(Webhook::new(Endpoint::new(url.parse()?), vec![HmacSha256::new(b"fake-secret")]));
    let (terms, policy) = (OutboxConfig::default(), Arc::new(Policy::new(PolicyDocument::default())));
    let targets = DeliveryTargets::new(&policy, &[], &[webhook], &terms)?;
    let began = Instant::now();
    let _outbox = Outbox::start(Arc::clone(&moderation), targets, terms, OutboxMetrics::default())?;
    wait_until(|| count.load(Ordering::Relaxed) > events / 100).await;
    let banned = Instant::now();
    commit(&moderation, vec![job(&url, events + 1, "ban.created", "")]).await?;
    wait_until(|| has_ban.load(Ordering::Relaxed)).await;
    let ban = banned.elapsed();
    wait_until(|| count.load(Ordering::Relaxed) > events).await;
    let all = began.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(events)?) / all;
    println!("| {events} | {all:.0} s | {rate:.0} | {} ms |", ban.as_millis());
    Ok(())
}

fn job(url: &str, number: usize, kind: &str, queue: &str) -> NewJob {
    let (id, user) = (format!("e-{number}-1"), format!("user{number}"));
    let event = json!({ "id": id, "type": kind, "time": clock::now().to_string(), "data": { "user": user } });
    let key = format!("webhook:{}:{user}:{number:016}-00001{queue}", hex(&sha256(url.as_bytes())));
    NewJob { key, body: json!({ "webhook": url, "event": event }).to_string() }
}

async fn commit(moderation: &ModerationReplica, jobs: Vec<NewJob>) -> Result<(), Box<dyn Error>> {
    let change = NewChange { jobs, ..NewChange::default() };
    Ok(moderation.change(move |_, _| (change.clone(), ())).await?)
}

async fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
