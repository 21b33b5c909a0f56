//! Fills a store with bans, reads it in the same way as a starting process, and measures decisions and another ban:
//! `moderation DIRECTORY BANS`. `benches/moderation` runs it for several numbers, each in a separate process.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::expect_used, clippy::missing_panics_doc)]

#[path = "mod.rs"]
mod cases;

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_signer::config::{self, StoreKind, StoreSettings};
use chat_signer::model::{Caller, CallerKind, Millis, Pattern};
use chat_signer::moderation::store::{NewChange, Store};
use chat_signer::moderation::{
    ChangeSubscribers, CommandAuthorizer, CommandKind, CommandRequest, ModerationCommand, ModerationEntry,
    ModerationReplica, SanctionTerms,
};
use chat_signer::policy::{EntryAuthor, EntryOrigin, Sanction};

use cases::{Bench, Case, EntryCount, NOW};

/// How many bans are written in a change while the store is filled.
const BATCH: usize = 10_000;

/// How often each operation is measured.
const ROUNDS: usize = 200;

/// How many requests are decided in a round.
const REQUESTS: u32 = 1000;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which directory?")?;
    let bans: usize = arguments.next().ok_or("how many bans?")?.parse()?;
    let path = Path::new(&directory).join(format!("{bans}.redb"));
    let settings =
        StoreSettings { kind: StoreKind::Redb { path }, max_staleness: Duration::from_secs(60), record: None };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(&settings, bans))
}

async fn measure(settings: &StoreSettings, bans: usize) -> Result<(), Failure> {
    fill(&Store::open(settings).await?, bans).await?;
    // The memory for filling the store is released only after a while. Therefore the difference is the memory for the
    // moderation entries.
    let before = resident()?;
    let began = Instant::now();
    let moderation = ModerationReplica::with_store(Store::open(settings).await?, settings.max_staleness);
    moderation.sync().await;
    let loaded = began.elapsed();
    let memory = resident()?.saturating_sub(before);
    assert_eq!(moderation.read()?.len(), bans, "all of it is there");
    let request = decide(&moderation)?;
    let ban = ban(&moderation).await?;
    println!(
        "{bans} bans: read in {:.2} s, {} MiB, {:.2} µs a request, {:.2} ms for one more ban",
        loaded.as_secs_f64(),
        memory >> 20,
        request.as_secs_f64() * 1e6,
        ban.as_secs_f64() * 1e3,
    );
    Ok(())
}

async fn fill(store: &Store, bans: usize) -> Result<(), Failure> {
    store.initialize().await?;
    let author = Arc::new(EntryAuthor { kind: CallerKind::Service, subject: "backend".to_owned(), role: None });
    let mut numbers = (0..bans).peekable();
    while numbers.peek().is_some() {
        let puts = numbers.by_ref().take(BATCH).map(|number| {
            let record = ModerationEntry::Ban(Sanction {
                user: format!("banned-{number}"),
                scope: Pattern::Everything,
                app: None,
                until: None,
                reason: Some("spam".to_owned()),
                origin: EntryOrigin::Runtime { author: Arc::clone(&author), at: NOW },
            });
            (record.key().to_string(), Some(record.value()))
        });
        let commit = NewChange { puts: puts.collect(), ..NewChange::default() };
        store.commit(&store.head().await?, commit, NOW).await?;
    }
    Ok(())
}

/// Returns the median time to decide and sign a LeanCloud invite of three members.
fn decide(moderation: &ModerationReplica) -> Result<Duration, Failure> {
    let bench = Bench::new(Case::LeanCloud, EntryCount::Ten);
    let rounds = (0..ROUNDS).map(|_| {
        let requests: Vec<_> = (0..REQUESTS).map(|_| bench.request()).collect();
        let began = Instant::now();
        for request in requests {
            black_box(bench.answer_with(request, moderation.read()?.entries()));
        }
        Ok(began.elapsed() / REQUESTS)
    });
    rounds.collect::<Result<Vec<_>, Failure>>().map(median)
}

/// Returns the median time until another ban is durable and in force.
async fn ban(moderation: &ModerationReplica) -> Result<Duration, Failure> {
    let signer = Path::new(env!("CARGO_MANIFEST_DIR")).join("signer.toml");
    let settings = config::load(&signer).settings.ok_or("the demonstration doesn't load")?;
    let caller = Caller {
        kind: CallerKind::Service,
        subject: "backend".to_owned(),
        authenticator: "backend".into(),
        claims: serde_json::Map::new(),
        bindings: Vec::new(),
    };
    let told = HashMap::new();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for number in 0..ROUNDS {
        let authorizer =
            CommandAuthorizer { engine: &settings.engine, caller: &caller, facts: &told, now: Millis(NOW.0 + 1) };
        let command = ModerationCommand {
            kind: CommandKind::Ban(SanctionTerms::default()),
            users: vec![format!("one-more-{number}")],
            scope: Pattern::Everything,
            app: None,
            client: String::new(),
            own_only: false,
        };
        let began = Instant::now();
        let outcome = moderation
            .carry_out(&authorizer, &command, &ChangeSubscribers::default(), CommandRequest::default())
            .await?;
        rounds.push(began.elapsed());
        assert_eq!(outcome.succeeded.len(), 1, "it is allowed: {:?}", outcome.failed);
    }
    Ok(median(rounds))
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// Returns the resident memory of the process in bytes.
fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
