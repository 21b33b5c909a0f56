//! Many who ban at the same time, at all servers.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use chat_signer::environment;
use serde_json::json;

use crate::common::{Connection, LONG, Server, post};
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER, told_of};
use crate::world::Service;

const WRITERS: usize = 50;

/// How many bans each of them makes; `benches/fleet` wants more.
fn bans() -> usize {
    environment::get("BANS").map_or(4, |bans| bans.to_str().unwrap().parse().unwrap())
}

/// How long after it was acknowledged a ban held everywhere.
fn holds_everywhere_after(servers: &mut [Connection], user: &str) -> Duration {
    let login = post("/v1/leancloud/login", user, "{}");
    let begin = Instant::now();
    loop {
        for server in servers.iter_mut() {
            server.send(&login);
        }
        let answers: Vec<_> = servers.iter_mut().map(|server| server.read().status).collect();
        if answers == [403, 403, 403] {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < LONG, "{user} gets signatures: {answers:?}");
    }
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
                let mut servers: Vec<_> = fleet.servers.iter().map(Server::connect).collect();
                for user in (0..bans()).map(|round| user(writer, round)) {
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
    let rounds = 0..bans();
    let users: BTreeSet<_> =
        (0..WRITERS).flat_map(|writer| rounds.clone().map(move |round| user(writer, round))).collect();
    fleet.all_list(&users);
    let told = told_of(&redis, "ban.created");
    assert_eq!(told.len(), users.len(), "none twice");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), users);
    let (mut held, acknowledged): (Vec<_>, Vec<_>) = times.into_inner().unwrap().into_iter().unzip();
    println!("acknowledged: {}", figures(acknowledged));
    println!("held everywhere after that: {}", figures(held.clone()));
    held.sort();
    // Whoever only looked every two seconds would hear of half of them after a second.
    assert!(held[held.len() / 2] < Duration::from_millis(500), "{}", figures(held));
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let millis = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)].as_secs_f64() * 1000.0;
    let [median, most, all] = [500, 990, 1000].map(millis);
    format!("median {median:.1} ms, p99 {most:.1} ms, longest {all:.1} ms of {}", times.len())
}
