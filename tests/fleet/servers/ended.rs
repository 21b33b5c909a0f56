//! Servers that end, and bans that do.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat_signer::model::Millis;
use serde_json::json;

use crate::common::{post, until};
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER, ban, banned, changes, events};
use crate::world::{Service, login};

#[test]
fn a_server_that_is_killed_loses_nothing_that_it_acknowledged() {
    let Some(redis) = Redis::start() else { return };
    let mut fleet = Fleet::on(&redis, NEVER);
    let (acknowledged, others) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let (all, others, victim) = (&acknowledged, &others, &fleet.servers[0]);
        let writer = |writer: usize| {
            for user in (0..).map(|round| format!("user-{writer}-{round}")) {
                match ban(victim, &user) {
                    200 => drop(all.lock().unwrap().insert(user)),
                    other => others.lock().unwrap().push(other),
                }
            }
        };
        let writers: Vec<_> = (0..6).map(|number| scope.spawn(move || writer(number))).collect();
        until("some are acknowledged", || all.lock().unwrap().len() > 20);
        victim.signal("-KILL");
        for writer in writers {
            assert!(writer.join().is_err(), "it panics when nobody answers");
        }
    });
    assert_eq!(others.into_inner().unwrap(), [0; 0]);
    let acknowledged = acknowledged.into_inner().unwrap();
    drop(fleet.servers.remove(0));
    fleet.servers.push(fleet.another());
    fleet.are_ready();
    let made = changes(&redis).len();
    println!("{} acknowledged, {made} made, until the server was killed", acknowledged.len());
    assert!(made <= acknowledged.len() + 6);
    fleet.all("all changes are there", |server| banned(server).len() == made);
    for server in &fleet.servers {
        assert!(banned(server).is_superset(&acknowledged));
        assert!(acknowledged.iter().all(|user| login(server, user) == 403));
    }
}

#[test]
fn what_ends_is_taken_away_once() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    let users = ["ann", "ben", "cat", "dan", "eve"];
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let until_then = Millis(u64::try_from(now.as_millis()).unwrap() + 2000).to_string();
    Service.does(&fleet.servers[0], "bans", &json!({ "users": users, "until": until_then }));
    Service.does(&fleet.servers[0], "bans", &json!({ "users": ["zoe"] }));
    // While they last, nobody gets through; how long that is depends on how fast this is.
    let refused = fleet.servers.iter().map(|server| server.ask(&post("/v1/leancloud/login", "ann", "{}")).status);
    println!("before: {:?}", refused.collect::<Vec<_>>());
    let took: Duration = fleet.all("they have ended", |server| banned(server).len() == 1);
    println!("{users:?} were taken away after {took:?}");
    for user in users {
        assert_eq!((events(&redis, "ban.created", user), events(&redis, "ban.expired", user)), (1, 1));
        assert!(fleet.servers.iter().all(|server| login(server, user) == 200));
    }
    fleet.all_refuse(&["zoe"]);
}
