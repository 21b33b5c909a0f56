//! Servers that are cut off from the store: in the middle of a change, or from hints at changes.

use std::time::Duration;

use crate::common::until;
use crate::fleet::{Fleet, NEVER, ban, changes, events};
use crate::proxy::{Fate, Proxy};
use crate::redis::Redis;
use crate::world::login;

#[test]
fn what_became_of_a_change_that_was_cut_off_is_found_out() {
    let Some(redis) = Redis::start() else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, NEVER);
    let whole = usize::MAX;
    for (number, (fate, is_made)) in [
        (Fate::IsNotAnswered, true),
        (Fate::IsCutAfter(1000), false),
        (Fate::IsCutAfter(whole), true),
        (Fate::IsCutAfter(0), false),
        (Fate::IsNotAnswered, true),
    ]
    .into_iter()
    .enumerate()
    {
        let (server, user) = (&fleet.servers[number % 3], format!("user-{number}"));
        proxy.next_change(fate);
        assert_eq!(ban(server, &user), 503, "{fate:?}");
        // The connection's end may come before the change is made.
        if is_made && !matches!(fate, Fate::IsCutAfter(_)) {
            fleet.all_refuse(&[&user]);
        }
        until("it can be said again", || ban(server, &user) == 200);
        fleet.all_refuse(&[&user]);
        assert_eq!(events(&redis, "ban.created", &user), 1, "{fate:?}");
        assert_eq!(changes(&redis).len(), number + 1);
        println!("{fate:?}: 503, then found, then the same again is no other change");
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
