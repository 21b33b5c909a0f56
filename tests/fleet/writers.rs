//! Many who ban at the same time, at all servers.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Connection, LONG, post};
use crate::fleet::{Fleet, NEVER, changes, events};
use crate::redis::Redis;
use crate::world::Service;

const WRITERS: usize = 50;
const BANS: usize = 4;

/// How long after it was acknowledged a ban held everywhere.
fn holds_everywhere_after(servers: &mut [Connection], user: &str) -> Duration {
    let login = post("/v1/leancloud/login", user, "{}");
    let begin = Instant::now();
    for server in servers {
        while server.ask(&login).status != 403 {
            assert!(begin.elapsed() < LONG, "{user} gets signatures");
        }
    }
    begin.elapsed()
}

#[test]
fn a_ban_holds_everywhere_whoever_else_bans() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    let times = Mutex::new(Vec::new());
    let user = |writer: usize, round: usize| format!("user-{writer}-{round}");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (fleet, times) = (&fleet, &times);
            scope.spawn(move || {
                let mut servers: Vec<_> = fleet.servers.iter().map(|server| server.connect()).collect();
                for user in (0..BANS).map(|round| user(writer, round)) {
                    let ban = Service.request("POST", "bans", Some(&json!({ "users": [user] })));
                    let begin = Instant::now();
                    let answer = servers[writer % 3].ask(&ban);
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let acknowledged = begin.elapsed();
                    let held = holds_everywhere_after(&mut servers, &user);
                    times.lock().unwrap().push((held, acknowledged));
                }
            });
        }
    });
    let users: BTreeSet<_> = (0..WRITERS).flat_map(|writer| (0..BANS).map(move |round| user(writer, round))).collect();
    fleet.all_list(&users);
    assert_eq!(changes(&redis).len(), users.len());
    assert!(users.iter().all(|user| events(&redis, "ban.created", user) == 1));
    let held = p99(times.lock().unwrap().iter().map(|(held, _)| *held));
    let acknowledged = p99(times.lock().unwrap().iter().map(|(_, acknowledged)| *acknowledged));
    println!("p99: acknowledged after {acknowledged:?}, held everywhere {held:?} after that");
    assert!(held < LONG / 3, "{held:?}");
}

/// What all but one in a hundred stay below.
fn p99(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort();
    times[times.len() * 99 / 100]
}
