//! Changes that are carried to vendors and webhooks, all of which misbehave, by a process that is killed in the middle of that.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chat_signer::clock;
use chat_signer::crypto::base64;
use chat_signer::model::Millis;
use chat_signer::moderation::EntryKind;
use chat_signer::moderation::store::Job;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::common::{SERVICE_KEY, Server, request, until};
use crate::crashes::chance::Chance;
use crate::crashes::client::Client;
use crate::crashes::demands::{Demand, LATER, Spot};
use crate::crashes::kept::{Entries, kept};
use crate::crashes::signer::{home, start};
use crate::crashes::vendor::{Before, PLACES, USERS};
use crate::receiver::Receiver;
use crate::server::Fault;
use crate::vendors::Vendor;

const ROUNDS: usize = 20;

/// How many changes are asked for in each round.
const CHANGES: usize = 6;

/// How long requests are held up, while the program goes on, and once more in the end. Tokens for TalkJS are good for 30 seconds.
const HELD_UP: Duration = Duration::from_secs(8);

/// Longer than it takes until all is done twice that was under way when the process was killed.
const QUIET: Duration = Duration::from_secs(240);

/// What is due later is so because LeanCloud silences nobody for longer than a day.
const TODAY: Duration = Duration::from_secs(20 * 3600);

const SECRET: &[u8] = b"obviously-fake-secret-of-a-webhook";

/// Requests with these methods to these paths go wrong.
const TARGETS: [(&str, &str); 9] = [
    ("GET", "/v1/"),
    ("DELETE", "/v1/"),
    ("PUT", "/v1/"),
    ("PATCH", "/v1/"),
    ("GET", "/1.2/"),
    ("POST", "/1.2/"),
    ("DELETE", "/1.2/"),
    ("POST", "/keys/"),
    ("POST", "/keys/"),
];

struct World {
    chance: Chance,
    vendor: Vendor,
    receiver: Receiver,
    /// What was acknowledged.
    entries: Entries,
    /// What is to be asked for, again if it was not acknowledged.
    demands: VecDeque<Demand>,
    /// Those of whom what is imposed on them ends by itself, and when the last of it has.
    fleeting: BTreeSet<String>,
    ends: Millis,
    asked: usize,
    /// Lets go the requests that are held up, and since when they may be.
    gates: Vec<(Instant, Arc<Semaphore>)>,
}

impl World {
    fn new(runtime: &Runtime, chance: Chance) -> World {
        let (vendor, receiver) = runtime.block_on(async { (Vendor::start().await, Receiver::knowing(SECRET).await) });
        World {
            chance,
            vendor,
            receiver,
            entries: Entries::new(),
            demands: VecDeque::new(),
            fleeting: BTreeSet::new(),
            ends: Millis(0),
            asked: 0,
            gates: Vec::new(),
        }
    }

    fn home(&self) -> PathBuf {
        let url = self.vendor.url();
        let apps = ["leancloud", "talkjs", "ably"];
        let apps = apps.map(|app| format!("[apps.{app}.enforcement]\nenabled = true\nurl = \"{url}\"\n"));
        let hook = format!("[[webhooks]]\nurl = \"{}\"\nsecret = {{ file = \"hook.secret\" }}\n", self.receiver.url());
        let home = home(&format!("\n{}\n{hook}", apps.join("\n")));
        std::fs::write(home.join("hook.secret"), format!("whsec_{}", base64(SECRET))).unwrap();
        home
    }

    /// Bans, mutes, and their ends.
    fn demand(&mut self) -> Demand {
        self.asked += 1;
        let (table, user) = (self.chance.of(&[EntryKind::Bans, EntryKind::Mutes]), self.chance.of(&USERS));
        let places = [None, Some(PLACES[0]), Some(PLACES[1]), Some(PLACES[2])];
        let (spot, reason) = (Spot { conversation: self.chance.of(&places), app: None }, format!("{}", self.asked));
        match self.chance.below(8) {
            0 => self.fleeting_demand(table, spot, &reason),
            1..5 => Demand::impose(table, &[user.to_owned()], spot, self.chance.of(&[None, Some(LATER)]), &reason),
            _ => Demand::lift(table, &[user.to_owned()], spot),
        }
    }

    /// Each is about another user, so that nothing else is said of that one.
    fn fleeting_demand(&mut self, table: EntryKind, spot: Spot, reason: &str) -> Demand {
        let user = format!("fleeting{}", self.asked);
        self.ends = Millis(clock::now().0 + 20_000);
        self.fleeting.insert(user.clone());
        Demand::impose(table, &[user], spot, Some(&self.ends.to_string()), reason)
    }

    fn misbehave(&mut self) {
        let late = self.late();
        for _ in 0..5 {
            let ((method, path), times) = (self.chance.of(&TARGETS), 1 + self.chance.below(2));
            let fault = self.fault(&late);
            self.vendor.server.fail(method, path, times, fault);
        }
        let (fault, times) = (self.fault(&late), 1 + self.chance.below(3));
        self.receiver.server.fail("POST", "/hooks", times, fault);
    }

    /// Lets go what may have been held up for so long.
    fn let_go(&mut self, after: Duration) {
        self.gates.retain(|(since, gate)| {
            let stays = since.elapsed() < after;
            if !stays {
                gate.add_permits(1000);
            }
            stays
        });
    }

    /// Holds up requests from now on, and lets go those that were long enough.
    fn late(&mut self) -> Fault {
        self.let_go(HELD_UP);
        let gate = Arc::new(Semaphore::new(0));
        self.gates.push((Instant::now(), Arc::clone(&gate)));
        Fault::Late(gate)
    }

    fn fault(&mut self, late: &Fault) -> Fault {
        let busy = Fault::Answer(429, vec![("retry-after", "1".to_owned())]);
        let failed = Fault::Answer(500, Vec::new());
        self.chance.of(&[failed, busy, Fault::Stall, Fault::Cut, Fault::CutAfter, late.clone(), late.clone()])
    }

    /// How many requests came to vendors and the webhook.
    fn deliveries(&self) -> usize {
        self.vendor.server.total() + self.receiver.server.total()
    }

    fn any_round(&mut self, directory: PathBuf) -> PathBuf {
        self.misbehave();
        let demands: Vec<_> = (0..CHANGES).map(|_| self.demand()).collect();
        self.round(directory, demands)
    }

    /// Everyone is banned from a conversation, which takes effect at the vendors only when all of them have been forgiven.
    fn last_round(&mut self, directory: PathBuf) -> PathBuf {
        let late = self.late();
        for (method, path) in [("DELETE", "/c0/participants/"), ("POST", "/c0/blacklists")] {
            self.vendor.server.fail(method, path, USERS.len(), late.clone());
        }
        let (users, spot) = (USERS.map(|user| [user.to_owned()]), Spot { conversation: Some("c0"), app: None });
        let bans = users.iter().map(|user| Demand::impose(EntryKind::Bans, user, spot, None, "last")).collect();
        let directory = self.round(directory, bans);
        self.demands.extend(users.iter().map(|user| Demand::lift(EntryKind::Bans, user, spot)));
        directory
    }

    /// Asks for this, and has it killed after so many further deliveries, if there are as many.
    fn round(&mut self, directory: PathBuf, demands: Vec<Demand>) -> PathBuf {
        self.demands.extend(demands);
        let server = start(directory);
        let (quota, moment) = (1 + self.chance.below(40), self.chance.shorter_than(Duration::from_millis(20)));
        let before = self.deliveries();
        let (mut demands, mut entries) = (std::mem::take(&mut self.demands), std::mem::take(&mut self.entries));
        thread::scope(|scope| {
            scope.spawn(|| ask_for_all(&mut demands, &mut entries, server.main));
            wait(Duration::from_secs(2), || self.deliveries() >= before + quota);
            thread::sleep(moment);
            server.signal("-KILL");
        });
        (self.demands, self.entries) = (demands, entries);
        server.killed()
    }
}

/// Asks for one after another until there is no answer. What was acknowledged is known from then on.
fn ask_for_all(demands: &mut VecDeque<Demand>, entries: &mut Entries, address: SocketAddr) {
    let Ok(mut client) = Client::to(address) else { return };
    while let Some(demand) = demands.front() {
        match client.ask("delivered", demand) {
            Ok((200, answer)) if answer["failed"] == Value::Array(Vec::new()) => demand.apply(entries),
            // What is wider keeps it from having an effect; or its time has come meanwhile.
            Ok((200 | 400, answer)) if is_expected(&answer) => {}
            // The machine is too busy to write the audit log in time.
            Ok((503, _)) | Err(_) => return,
            Ok((status, answer)) => panic!("{} {:?}: {status} {answer}", demand.path, demand.body),
        }
        demands.pop_front();
    }
}

fn is_expected(answer: &Value) -> bool {
    answer["failed"][0]["code"] == "conflict" || answer["field"] == "until"
}

/// Waits until this is so, but not longer than this. Returns whether it is.
fn wait(most: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < most {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn what_is_carried_arrives() {
    let mut chance = Chance::new();
    let runtime = Runtime::new().unwrap();
    let mut world = World::new(&runtime, chance.split());
    let before = Before::set(&world.vendor, &mut chance);
    let elsewhere = Spot { conversation: Some(".."), app: Some("talkjs") };
    world.demands.push_back(Demand::impose(EntryKind::Bans, &["dots".to_owned()], elsewhere, None, "leads elsewhere"));
    let mut directory = world.home();
    for _ in 0..ROUNDS {
        directory = world.any_round(directory);
    }
    directory = world.last_round(directory);
    directory = world.quiet(directory);

    let kept = runtime.block_on(kept(&directory));
    world.entries.retain(|_, entry| !world.fleeting.contains(entry["user"].as_str().unwrap()));
    assert_eq!(kept.entries, world.entries);
    let pending: Vec<_> = kept.pending.iter().filter(|job| job.due < clock::now().after(TODAY)).collect();
    assert_eq!(pending, Vec::<&Job>::new());
    let dead_letter: BTreeSet<_> = kept.dead_letter.iter().map(|job| job.key.clone()).collect();
    assert_eq!(dead_letter, impossible(&world.entries), "{:?}", kept.dead_letter);
    before.assert_restored_but_for(&world.vendor, &world.entries);
    world.vendor.assert_content();
    let told: BTreeSet<_> =
        world.receiver.taken().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, kept.events);
    println!(
        "{} events, told in {} requests; {} requests in all",
        told.len(),
        world.receiver.taken().len(),
        world.deliveries()
    );
    std::fs::remove_dir_all(directory).unwrap();
}

impl World {
    /// Starts it once more, where nothing goes wrong any more, and ends it orderly when nothing is left to do.
    fn quiet(&mut self, directory: PathBuf) -> PathBuf {
        self.vendor.server.heal();
        self.receiver.server.heal();
        let server = start(directory);
        until("all is acknowledged", || {
            ask_for_all(&mut self.demands, &mut self.entries, server.main);
            self.demands.is_empty()
        });
        // What is held up arrives when all has been done once.
        wait(HELD_UP, || pending(&server, Duration::from_secs(5)).is_some_and(|pending| pending.is_empty()));
        self.let_go(Duration::ZERO);
        let began = Instant::now();
        let is_quiet = wait(QUIET, || {
            thread::sleep(Duration::from_millis(100));
            self.have_ended() && pending(&server, TODAY).is_some_and(|pending| pending.is_empty())
        });
        assert!(is_quiet, "{:?}", pending(&server, TODAY));
        println!("quiet after {:?}", began.elapsed());
        server.signal("-TERM");
        server.killed()
    }

    /// Whether all has ended that does so by itself, and was told.
    fn have_ended(&self) -> bool {
        let taken = self.receiver.taken();
        let expired = taken.iter().filter(|event| event["type"].as_str().unwrap().ends_with(".expired"));
        let expired: BTreeSet<_> = expired.filter_map(|event| event["data"]["user"].as_str()).collect();
        let mut acknowledged = self.entries.values().filter_map(|entry| entry["user"].as_str());
        self.ends < clock::now() && acknowledged.all(|user| !self.fleeting.contains(user) || expired.contains(user))
    }
}

/// What is still to be done within this time, if it can be told.
fn pending(server: &Server, within: Duration) -> Option<Vec<Value>> {
    let key = format!("x-api-key: {SERVICE_KEY}\r\n");
    let answer = server.ask(&request("GET", "/v1/moderation/enforcements?state=pending&limit=1000", &key, ""));
    let due = |job: &Value| job["due"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let mut jobs = answer.json()["entries"].as_array()?.clone();
    jobs.retain(|job| Millis(due(job).try_into().unwrap()) < clock::now().after(within));
    Some(jobs)
}

/// The keys of what can't be done: LeanCloud silences nobody everywhere, and no path leads to a conversation that is called `..`.
fn impossible(entries: &Entries) -> BTreeSet<String> {
    let mutes = entries.iter().filter(|(place, entry)| place.starts_with("mutes") && entry["conversation"].is_null());
    let encoded = |user: &str| user.replace('/', "%2F").replace(':', "%3A");
    let silences = mutes.map(|(_, entry)| format!("enforce:leancloud:{}:*", encoded(entry["user"].as_str().unwrap())));
    silences.chain(["enforce:talkjs:dots:..".to_owned()]).collect()
}
