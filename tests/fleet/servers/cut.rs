//! Servers that are cut off from the store: in the middle of a change, or from hints at changes.

use std::time::Duration;

use serde_json::json;

use crate::common::until;
use crate::proxy::{Fate, Proxy};
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER, ban, banned, changes, events};
use crate::world::{Service, login};

#[test]
fn what_became_of_a_change_that_was_cut_off_is_found_out() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, NEVER);
    for (number, (fate, is_made)) in [
        (Fate::IsNotAnswered, true),
        (Fate::IsCutAfter(1000), false),
        (Fate::IsCutAfter(0), false),
        (Fate::IsNotAnswered, true),
    ]
    .into_iter()
    .enumerate()
    {
        let (server, user) = (&fleet.servers[number % 3], format!("user-{number}"));
        proxy.next_change(fate);
        assert_eq!(ban(server, &user), 503, "{fate:?}");
        if is_made {
            fleet.all_refuse(&[&user]);
        }
        assert_eq!(changes(&redis).len(), number + usize::from(is_made), "{fate:?}");
        assert_eq!(ban(server, &user), 200);
        fleet.all_refuse(&[&user]);
        assert_eq!(events(&redis, "ban.created", &user), 1, "{fate:?}");
        assert_eq!(changes(&redis).len(), number + 1);
        println!("{fate:?}: 503, {} change, and the same again: 200, one change", usize::from(is_made));
    }
}

#[test]
fn changes_are_found_without_hints() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, "4s");
    proxy.mute();
    for (number, server) in fleet.servers.iter().enumerate() {
        let (user, before) = (format!("user-{number}"), proxy.swallowed());
        assert_eq!(login(server, &user), 200);
        assert_eq!(ban(server, &user), 200);
        assert_eq!(login(server, &user), 403, "who made it knows it");
        let took = fleet.all_refuse(&[&user]);
        println!("without hints, all refuse {user} after {took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        until("hints are swallowed", || proxy.swallowed() >= before + 3);
    }
}

#[test]
fn what_was_taken_back_elsewhere_is_not_there_already() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, NEVER);
    proxy.mute();
    let (here, there) = (&fleet.servers[0], &fleet.servers[1]);
    for round in 1..=5 {
        assert_eq!(ban(here, "tom"), 200);
        fleet.all_refuse(&["tom"]);
        Service.does(here, "bans/lift", &json!({ "users": ["tom"] }));
        assert_eq!(ban(there, "tom"), 200, "as far as it knows there is one");
        assert_eq!(banned(there).len(), 1);
        assert_eq!(events(&redis, "ban.created", "tom"), 2 * round);
        Service.does(here, "bans/lift", &json!({ "users": ["tom"] }));
        assert_eq!(events(&redis, "ban.lifted", "tom"), 2 * round);
        fleet.all("they may come back", |server| login(server, "tom") == 200);
    }
}
