//! A store that can be read, but not written: signing goes on, and the operator hears that nobody can be banned.

use std::collections::BTreeSet;

use chat_signer::moderation::store::FailureReason;

use crate::common::Server;
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER, SOON, ban, changes};
use crate::world::login;

/// The line about the store in the verbose probe of a server that is ready.
fn line(server: &Server) -> Option<String> {
    let ready = server.admin("/readyz?verbose");
    let line = ready.body.lines().find(|line| line.contains(" moderation: ")).map(str::to_owned);
    line.filter(|_| ready.status == 200)
}

/// Whether the metrics of a server have this sample.
fn shows(server: &Server, sample: &str) -> bool {
    shows_any(server, &format!("chat_signer_moderation_{sample}"))
}

fn shows_any(server: &Server, sample: &str) -> bool {
    server.admin("/metrics").body.lines().any(|line| line == sample)
}

fn failed(reason: &str) -> String {
    format!("failed_changes_total{{origin=\"caller\",reason=\"{reason}\"}}")
}

#[test]
fn bans_that_redis_would_not_store_are_reported_before_anybody_bans() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    let server = &fleet.servers[0];
    assert_eq!(ban(server, "ann"), 200);
    fleet.all_refuse(&["ann"]);
    let is_well =
        |server: &Server| line(server).as_deref() == Some("[+] moderation: ok") && shows(server, "writable 1");
    fleet.all("bans can be stored", is_well);
    for reason in FailureReason::ALL {
        assert!(shows(server, &format!("{} 0", failed(reason.as_str()))), "the first failure must be an increase");
    }
    let rounds = [
        ("maxmemory", "0", "1", "Redis has no memory left", "full"),
        ("appendfsync", "always", "everysec", "a change would not be on the disk", "not_durable"),
        ("appendonly", "yes", "no", "a change would not be on the disk", "not_durable"),
    ];
    for (round, (setting, good, bad, says, reason)) in rounds.into_iter().enumerate() {
        redis.ask::<()>(&["CONFIG", "SET", setting, bad]);
        fleet.all(&format!("{setting} {bad} is reported"), |server| {
            let is_noticed =
                |line: String| line.starts_with("[!] moderation: signing continues") && line.contains(says);
            line(server).is_some_and(is_noticed) && shows(server, "writable 0")
        });
        for server in &fleet.servers {
            assert_eq!((login(server, "tom"), login(server, "ann")), (200, 403), "signing goes on");
        }
        let before = round.saturating_sub(1);
        assert_eq!(ban(server, "ben"), 503);
        assert!(shows(server, &format!("{} {}", failed(reason), before + 1)), "{}", server.admin("/metrics").body);
        redis.ask::<()>(&["CONFIG", "SET", setting, good]);
        fleet.all("bans can be stored again", is_well);
        assert_eq!(changes(&redis).len(), 1 + round, "neither probes nor refused bans are changes");
        assert_eq!(ban(server, &format!("late-{round}")), 200);
    }
    fleet.all_refuse(&["late-2"]);
    for server in &fleet.servers {
        let said = server.said();
        let times = |what: &str| said.lines().filter(|line| line.contains(what)).count();
        let begun_and_ended = (times("changes cannot be stored"), times("changes can be stored again"));
        assert_eq!(begun_and_ended, (rounds.len(), rounds.len()), "{said}");
    }
}

/// Which stores the servers of a fleet say that they follow.
fn stores(fleet: &Fleet) -> BTreeSet<String> {
    let metrics = fleet.servers.iter().map(|server| server.admin("/metrics").body);
    let names = metrics.flat_map(|body| body.lines().map(str::to_owned).collect::<Vec<_>>());
    names.filter(|line| line.starts_with("chat_signer_moderation_store_info{store=\"")).collect()
}

#[test]
fn instances_of_one_store_show_the_same_store_and_version() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    let before = stores(&fleet);
    assert_eq!(before.len(), 1, "{before:?}");
    let version =
        |number| move |server: &Server| shows_any(server, &format!("chat_signer_moderation_version {number}"));
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all("all have the change", version(1));
    assert!(fleet.accept(&[]).status.success());
    fleet.all("another epoch is another store", |_| stores(&fleet).is_disjoint(&before) && stores(&fleet).len() == 1);
    fleet.all("its changes are the same", version(1));
}
