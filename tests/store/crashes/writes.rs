//! Changes by several services at once, and a process that is killed in the middle of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chat_signer::moderation::EntryKind;
use serde_json::Value;

use crate::common::{SERVICE_KEY, Server, request, until};
use crate::crashes::chance::Chance;
use crate::crashes::client::Client;
use crate::crashes::demands::{Demand, LATER, Spot};
use crate::crashes::kept::{Entries, ahead_of_record, kept, place};
use crate::crashes::signer::{home, start};

/// How many changes are acknowledged at least, before the last kill.
const CHANGES: usize = 500;

const WRITERS: usize = 4;

/// How many users and conversations of a sort each writer has.
const EACH: usize = 3;

/// Each user has one of these, so that nothing keeps a ban that is lifted from having an effect.
const SPOTS: [Spot; 3] = [
    Spot { conversation: None, app: None },
    Spot { conversation: Some("hall"), app: None },
    Spot { conversation: Some("shop:*"), app: Some("talkjs") },
];

/// Somebody who changes what nobody else does, and knows what was acknowledged.
struct Writer {
    name: String,
    chance: Chance,
    entries: Entries,
    /// What may have been done or not.
    doubtful: Option<Demand>,
    /// The ids of the requests that were acknowledged, and about how many subjects each was.
    acknowledged: BTreeMap<String, usize>,
    asked: usize,
}

impl Writer {
    fn new(number: usize, chance: Chance) -> Writer {
        let (entries, acknowledged) = (Entries::new(), BTreeMap::new());
        Writer { name: format!("w{number}"), chance, entries, doubtful: None, acknowledged, asked: 0 }
    }

    /// Asks for one change after another until there is no answer.
    fn write(&mut self, address: SocketAddr, count: &AtomicUsize) {
        let Ok(mut client) = Client::to(address) else { return };
        loop {
            let (demand, id) = (self.demand(), format!("{}-request-{:09}", self.name, self.asked));
            self.asked += 1;
            match client.ask(&id, &demand) {
                Ok((200, answer)) if answer["failed"] == Value::Array(Vec::new()) => {
                    demand.apply(&mut self.entries);
                    self.acknowledged.insert(id, demand.subjects);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                // The machine is too busy to write the audit log in time.
                Ok((503, _)) | Err(_) => return self.doubtful = Some(demand),
                Ok((status, answer)) => panic!("{} {:?}: {status} {answer}", demand.path, demand.body),
            }
        }
    }

    fn demand(&mut self) -> Demand {
        let at = self.chance.below(SPOTS.len());
        let users: Vec<String> = (0..=self.chance.below(EACH)).map(|one| format!("{}-{at}-{one}", self.name)).collect();
        let (user, spot) = (&users[users.len() - 1], SPOTS[at]);
        let table = self.chance.of(&[EntryKind::Bans, EntryKind::Mutes]);
        match self.chance.below(10) {
            0..3 => {
                let (until, reason) = (self.chance.of(&[None, Some(LATER)]), format!("reason {}", self.asked));
                Demand::impose(table, &users, spot, until, &reason)
            }
            3..5 => Demand::lift(table, &users, spot),
            5 => Demand::set_role(&users, HALL, self.chance.of(&["member", "moderator"])),
            6 => Demand::remove_role(user, HALL, &self.role(user)),
            // Not by one of those who may be banned.
            7 => Demand::block(&format!("{}-blocker{}", self.name, users.len()), HALL, self.chance.below(2) == 0),
            _ => self.conversation(),
        }
    }

    /// The role that a user has in the hall.
    fn role(&self, user: &str) -> String {
        let place = place(EntryKind::Roles, &serde_json::json!({ "user": user, "conversation": "hall" }));
        let role = self.entries.get(&place).and_then(|entry| entry["role"].as_str());
        role.unwrap_or("member").to_owned()
    }

    fn conversation(&mut self) -> Demand {
        let number = self.chance.below(EACH);
        let (id, owner) = (format!("{}-room{number}", self.name), format!("{}-owner", self.name));
        let owner = Some(owner.as_str()).filter(|_| number > 0);
        let place = place(EntryKind::Conversations, &serde_json::json!({ "conversation": id }));
        if self.entries.contains_key(&place) && self.chance.below(2) == 0 {
            return Demand::forget_conversation(&id, owner);
        }
        Demand::set_conversation(&id, self.chance.of(&["group", "chatroom"]), owner)
    }

    /// Compares what there is with what was acknowledged. What was not may be there as a whole, or not at all.
    fn compare(&mut self, found: &Entries) {
        let is_own = |entry: &Value| {
            let name = entry["user"].as_str().or(entry["conversation"].as_str()).unwrap();
            name.starts_with(&format!("{}-", self.name))
        };
        let own: Entries =
            found.iter().filter(|(_, entry)| is_own(entry)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let doubtful = self.doubtful.take();
        if own != self.entries {
            doubtful.inspect(|demand| demand.apply(&mut self.entries));
        }
        assert_eq!(own, self.entries, "what {} was acknowledged, or might have been besides", self.name);
    }
}

const HALL: Spot = Spot { conversation: Some("hall"), app: None };

#[test]
fn nothing_acknowledged_is_lost() {
    let mut chance = Chance::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut writers: Vec<_> = (0..WRITERS).map(|number| Writer::new(number, chance.split())).collect();
    let (count, mut rounds, mut missed, mut directory) = (AtomicUsize::new(0), 0, 0, home(""));
    while count.load(Ordering::Relaxed) < CHANGES {
        let [path, before] = ["moderation.redb", "before.redb"].map(|name| directory.join(name));
        let is_begun = path.exists();
        if is_begun {
            fs::copy(&path, &before).unwrap();
        }
        let server = start(directory);
        let quota = count.load(Ordering::Relaxed) + 1 + chance.below(40);
        directory = killed_while_writing(server, &mut writers, &count, quota, &mut chance);
        let found = runtime.block_on(kept(&directory)).entries;
        let ahead = runtime.block_on(ahead_of_record(&directory, "moderation.redb"));
        assert!(
            matches!(ahead, Some(0 | 1)),
            "the record lacks at most the change that was not acknowledged: {ahead:?}"
        );
        if is_begun {
            // Unless all that was acknowledged since was so already.
            let older = runtime.block_on(ahead_of_record(&directory, "before.redb"));
            missed += usize::from(older.is_none());
        }
        for writer in &mut writers {
            writer.compare(&found);
        }
        rounds += 1;
    }
    let server = start(directory);
    let found: Entries = writers.iter().flat_map(|writer| writer.entries.clone()).collect();
    assert_eq!(listed(&server, &found), found);
    assert_audited(&server.directory, &writers);
    assert!(missed > rounds / 2, "an older file was missed in {missed} of {rounds} rounds");
    println!("{} changes were acknowledged, and it was killed {rounds} times", count.into_inner());
}

/// Kills it a moment after so many changes were acknowledged in all.
fn killed_while_writing(
    server: Server,
    writers: &mut [Writer],
    count: &AtomicUsize,
    quota: usize,
    chance: &mut Chance,
) -> std::path::PathBuf {
    let (address, moment) = (server.main, chance.shorter_than(Duration::from_millis(10)));
    thread::scope(|scope| {
        let writing: Vec<_> = writers.iter_mut().map(|writer| scope.spawn(|| writer.write(address, count))).collect();
        let have_failed = || writing.iter().any(thread::ScopedJoinHandle::is_finished);
        until("so many were acknowledged", || count.load(Ordering::Relaxed) >= quota || have_failed());
        thread::sleep(moment);
        server.signal("-KILL");
    });
    server.killed()
}

/// What the program lists, page by page, and what it says of these conversations.
fn listed(server: &Server, known: &Entries) -> Entries {
    let mut listed = Entries::new();
    for table in [EntryKind::Bans, EntryKind::Mutes, EntryKind::Roles, EntryKind::Blocks] {
        let mut after = String::new();
        loop {
            let page = get(server, &format!("{}?limit=7{after}", table.as_str()));
            add(&mut listed, table, &page);
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
    }
    for entry in known.iter().filter(|(place, _)| place.starts_with("conversations ")).map(|(_, entry)| entry) {
        let page = get(server, &format!("conversations/{}", entry["conversation"].as_str().unwrap()));
        add(&mut listed, EntryKind::Conversations, &page);
    }
    listed
}

fn get(server: &Server, path: &str) -> Value {
    let key = format!("x-api-key: {SERVICE_KEY}\r\n");
    let answer = server.ask(&request("GET", &format!("/v1/moderation/{path}"), &key, ""));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn add(listed: &mut Entries, table: EntryKind, page: &Value) {
    for entry in page["entries"].as_array().unwrap() {
        let mut entry = entry.clone();
        for told in ["by", "at", "source"] {
            entry.as_object_mut().unwrap().remove(told).unwrap();
        }
        listed.insert(place(table, &entry), entry);
    }
}

/// That there is a line for each subject of each change that was acknowledged.
fn assert_audited(directory: &Path, writers: &[Writer]) {
    let log = fs::read_to_string(directory.join("audit.log")).unwrap();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("a line that is torn: {line}"));
        if line["decision"] == "allow" {
            *lines.entry(line["request_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for (id, subjects) in writers.iter().flat_map(|writer| &writer.acknowledged) {
        assert_eq!(lines.get(id), Some(subjects), "the lines of {id}");
    }
}

#[test]
fn two_do_not_share_a_file() {
    let server = start(home(""));
    let second = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
        .args(["serve", "--config"])
        .arg(server.directory.join("signer.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let why = "moderation.redb is in use by another process: give each process its own file, or let them share a Redis";
    assert!(said.contains(why), "{said}");
    assert!(server.is_ready(), "the first one is not disturbed");
    print!("{said}");
}
