//! Three servers that share a store.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Server, Setup, until};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::world::{POLICY, Service, login};

/// How old what a server knows may become, where that is waited for.
pub(crate) const SOON: &str = "2s";

/// As old as it may become where that must not matter.
pub(crate) const NEVER: &str = "1h";

/// Servers that share a store.
pub(crate) struct Fleet {
    pub(crate) servers: Vec<Server>,
    url: String,
    max_staleness: &'static str,
}

impl Fleet {
    /// Three servers on this Redis, which is begun as an operator does it.
    pub(crate) fn on(redis: &Redis, max_staleness: &'static str) -> Fleet {
        Fleet::at(format!("unix://{}", redis.socket().display()), max_staleness)
    }

    /// Three servers on the Redis behind this proxy.
    pub(crate) fn behind(proxy: &Proxy, max_staleness: &'static str) -> Fleet {
        Fleet::at(format!("redis://{}", proxy.address), max_staleness)
    }

    fn at(url: String, max_staleness: &'static str) -> Fleet {
        let mut fleet = Fleet { servers: Vec::new(), url, max_staleness };
        fleet.servers = (0..3).map(|_| fleet.another()).collect();
        for server in &fleet.servers {
            assert_eq!(login(server, "tom"), 503, "nobody has accepted the store");
        }
        let accepted = fleet.accept(&["--empty"]);
        assert!(accepted.status.success(), "{accepted:?}");
        fleet.are_ready();
        fleet
    }

    /// One more server, which has just started.
    pub(crate) fn another(&self) -> Server {
        start(&self.url, self.max_staleness)
    }

    /// The operator's word.
    pub(crate) fn accept(&self, arguments: &[&str]) -> Output {
        accept(&self.servers[0], arguments)
    }

    pub(crate) fn are_ready(&self) -> Duration {
        self.all("they are ready", Server::is_ready)
    }

    /// Waits until this is so of all servers.
    pub(crate) fn all(&self, what: &str, is_so: impl Fn(&Server) -> bool) -> Duration {
        until(what, || self.servers.iter().all(&is_so))
    }

    /// Waits until all servers refuse everyone for this reason.
    pub(crate) fn refuse_for(&self, reason: &str) -> Duration {
        let took = self.all(reason, |server| says(server, reason));
        for server in &self.servers {
            assert_eq!((server.admin("/readyz").status, login(server, "tom")), (503, 503));
        }
        took
    }

    /// Waits until every server refuses these users, and only these.
    pub(crate) fn all_refuse(&self, users: &[&str]) -> Duration {
        self.all(&format!("{users:?} are refused"), |server| users.iter().all(|user| login(server, user) == 403))
    }

    /// What each server holds is just a ban of each of these users.
    pub(crate) fn all_list(&self, users: &BTreeSet<String>) {
        for server in &self.servers {
            assert_eq!(banned(server), *users);
        }
    }
}

/// A server on the Redis at this URL.
pub(crate) fn start(url: &str, max_staleness: &str) -> Server {
    start_with(url, max_staleness, "")
}

/// The same, which records in this file how far the store has come.
pub(crate) fn with_record(url: &str, max_staleness: &str, record: &str) -> Server {
    start_with(url, max_staleness, &format!("record = \"{record}\"\n"))
}

/// A server on the Redis at this URL, with more lines in its section of the store.
pub(crate) fn start_with(url: &str, max_staleness: &str, lines: &str) -> Server {
    let store = "[store]\ntype = \"redis\"\nurl = { file = \"redis.url\" }\n";
    let more = format!("{store}{lines}max_staleness = \"{max_staleness}\"");
    let files = vec![("policy.toml", POLICY.to_owned()), ("redis.url", url.to_owned())];
    Server::with(Setup { files, ..Setup::more(&more) })
}

/// The operator's word, where this server is.
pub(crate) fn accept(server: &Server, arguments: &[&str]) -> Output {
    let mut accept = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    accept.args(["store", "accept", "--config"]).arg(server.directory.join("signer.toml"));
    accept.args(arguments).output().unwrap()
}

/// Bans a user everywhere: the status of the answer.
pub(crate) fn ban(server: &Server, user: &str) -> u16 {
    Service.posts(server, "bans", &json!({ "users": [user] })).status
}

/// Whether a server is not ready and says why.
pub(crate) fn says(server: &Server, reason: &str) -> bool {
    let ready = server.admin("/readyz?verbose");
    ready.status == 503 && ready.body.lines().any(|line| line.starts_with("[-] moderation: ") && line.contains(reason))
}

/// Who is banned at run time, as a server lists it.
pub(crate) fn banned(server: &Server) -> BTreeSet<String> {
    let (mut users, mut after) = (BTreeSet::new(), String::new());
    loop {
        let page = Service.gets(server, &format!("bans?limit=100{after}")).json();
        let entries = page["entries"].as_array().unwrap().iter().filter(|entry| entry["source"] == "moderation");
        users.extend(entries.map(|entry| entry["user"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return users,
        }
    }
}

/// All changes that a Redis has, which have no gap.
pub(crate) fn changes(redis: &Redis) -> Vec<Value> {
    let log: Vec<(String, Vec<String>)> = redis.ask(&["XRANGE", "{chat-signer:}log", "-", "+"]);
    let changes: Vec<Value> = log.iter().map(|(_, fields)| serde_json::from_str(&fields[1]).unwrap()).collect();
    for (place, change) in changes.iter().enumerate() {
        assert_eq!(change["version"], json!(place + 1), "{changes:?}");
    }
    changes
}

/// To whom this has happened, as often as it is told of.
pub(crate) fn told_of(redis: &Redis, kind: &str) -> Vec<String> {
    let changes = changes(redis);
    let told = changes.iter().flat_map(|change| change["events"].as_array().unwrap());
    let events = told.map(|event| serde_json::from_str::<Value>(event.as_str().unwrap()).unwrap());
    let of = events.filter(|event| event["type"] == kind);
    of.map(|event| event["data"]["user"].as_str().unwrap().to_owned()).collect()
}

/// How often this has happened to this user.
pub(crate) fn events(redis: &Redis, kind: &str, user: &str) -> usize {
    told_of(redis, kind).iter().filter(|told| *told == user).count()
}
