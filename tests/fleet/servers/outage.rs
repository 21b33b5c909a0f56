//! A store that is down, or stands still.

use std::fs::{self, File};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Server, Setup, post, until};
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER, SOON, accept, ban, banned, events, says};
use crate::world::{POLICY, Service, login};

#[test]
fn a_killed_store_is_done_without_for_a_while_and_then_not() {
    let Some(mut redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    for (server, user) in fleet.servers.iter().zip(["ann", "ben", "cat"]) {
        assert_eq!(ban(server, user), 200);
    }
    fleet.all_refuse(&["ann", "ben", "cat"]);
    redis.kill();
    let begin = Instant::now();
    for server in &fleet.servers {
        assert_eq!((login(server, "tom"), login(server, "ann"), ban(server, "late")), (200, 403, 503));
        assert_eq!(ban(server, "ann"), 503, "nobody knows whether that still is so");
    }
    fleet.refuse_for("has not answered");
    println!("all refuse everyone {:?} after the store was killed", begin.elapsed());
    for server in &fleet.servers {
        assert_eq!((login(server, "ann"), ban(server, "late")), (503, 503));
    }
    redis.restart();
    println!("all are ready {:?} after it was started again", fleet.are_ready());
    for server in &fleet.servers {
        assert_eq!((login(server, "tom"), login(server, "late")), (200, 200));
        assert_eq!(banned(server), ["ann", "ben", "cat"].map(str::to_owned).into());
    }
    assert_eq!(ban(&fleet.servers[1], "late"), 200);
    fleet.all_refuse(&["ann", "ben", "cat", "late"]);
}

#[test]
fn requests_that_a_stale_store_leaves_undecided_have_audit_lines_and_are_counted() {
    let Some(mut redis) = Redis::start() else { return };
    let log = redis.directory.with_extension("audit.log");
    let store = "[store]\ntype = \"redis\"\nurl = { file = \"redis.url\" }\nmax_staleness = \"2s\"";
    let url = format!("unix://{}", redis.socket().display());
    let files = vec![("policy.toml", POLICY.to_owned()), ("redis.url", url)];
    let server = Server::with(Setup { files, audit: File::create(&log).unwrap().into(), ..Setup::more(store) });
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!(login(&server, "tom"), 200);
    redis.kill();
    until("it refuses everyone", || says(&server, "has not answered"));
    let join = server.ask(&post("/v1/leancloud/join", "tom", r#"{"conv_id": "den"}"#));
    let token = server.ask(&post("/v1/ably/token", "tom", r#"{"capability": {"chat:1": ["subscribe"]}}"#));
    assert_eq!((join.status, token.status), (503, 503));

    let lines = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [login, join, token] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&login["decision"], &join["decision"], &join["action"]),
        (&json!("allow"), &json!("unavailable"), &json!("join"))
    );
    assert_eq!((&join["client"], &join["conversation"]), (&json!("tom"), &json!("den")));
    assert!(join["reason"].as_str().unwrap().contains("has not answered"), "{join}");
    assert_eq!((&token["decision"], &token["asked"]), (&json!("unavailable"), &json!({"chat:1": ["subscribe"]})));
    let counted = r#"decisions_total{app="leancloud",action="join",outcome="unavailable",rule="none"} 1"#;
    assert!(server.admin("/metrics").body.contains(counted));
    fs::remove_file(&log).unwrap();
}

#[test]
fn a_store_that_stands_still_keeps_no_signature_waiting() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all_refuse(&["ann"]);
    redis.stall();
    let longest = thread::scope(|scope| {
        // Every server has changes that wait.
        let late = (0..12).map(|number| (&fleet.servers[number % 3], format!("late-{number}")));
        let waiting: Vec<_> = late.map(|(server, user)| scope.spawn(move || ban(server, &user))).collect();
        let mut longest = Duration::ZERO;
        while !waiting.iter().all(ScopedJoinHandle::is_finished) {
            for server in &fleet.servers {
                longest = longest.max(timed(server, "tom", 200)).max(timed(server, "ann", 403));
            }
        }
        for answered in waiting {
            assert_eq!(answered.join().unwrap(), 503);
        }
        longest
    });
    println!("no signature took longer than {longest:?} while the store stood still");
    // A server gives up on the store after three seconds, and who waits with it waits as long.
    assert!(longest < Duration::from_millis(2500), "{longest:?}");
    redis.go_on();
    // What wasn't acknowledged may be made or not, and the same again settles that.
    for (number, server) in (0..12).zip(fleet.servers.iter().cycle()) {
        let user = format!("late-{number}");
        until("a change is made again", || ban(server, &user) == 200);
        fleet.all_refuse(&["ann", &user]);
        assert_eq!(events(&redis, "ban.created", &user), 1);
    }
}

#[test]
fn events_are_told_while_changes_wait() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    let server = &fleet.servers[0];
    redis.stall();
    let took = thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..4).map(|number| scope.spawn(move || ban(server, &format!("late-{number}")))).collect();
        until("changes wait", || server.admin("/metrics").body.contains("chat_signer_in_flight 4"));
        let begin = Instant::now();
        let mut stream = server.connect();
        stream.send(&Service.request("GET", "events", None));
        assert_eq!(stream.head().status, 200);
        let took = begin.elapsed();
        assert!(waiting.iter().any(|waiting| !waiting.is_finished()));
        for answered in waiting {
            assert_eq!(answered.join().unwrap(), 503);
        }
        took
    });
    println!("a stream of events began within {took:?} while the store stood still");
    // A server gives up on the store after three seconds.
    assert!(took < Duration::from_millis(2500), "{took:?}");
    redis.go_on();
}

fn timed(server: &Server, user: &str, status: u16) -> Duration {
    let begin = Instant::now();
    let answer = server.ask(&post("/v1/leancloud/login", user, "{}"));
    assert_eq!(answer.status, status, "{answer:?} {}", server.admin("/readyz?verbose").body);
    begin.elapsed()
}

#[test]
fn a_store_that_stands_still_for_long_is_refused_like_one_that_is_down() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all_refuse(&["ann"]);
    for _ in 0..2 {
        redis.stall();
        println!("all refuse everyone {:?} after it stood still", fleet.refuse_for("has not answered"));
        redis.go_on();
        println!("all are ready {:?} after it went on", fleet.are_ready());
        fleet.all_refuse(&["ann"]);
    }
}
