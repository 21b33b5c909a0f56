//! A store that has lost what it had acknowledged.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::common::until;
use crate::proxy::Proxy;
use crate::redis::{DURABLE, Redis};
use crate::servers::fleet::{Fleet, NEVER, SOON, ban, banned, changes, says, start};
use crate::world::login;

const LOST: &str = "has lost changes that it had acknowledged. To use it as it is, run `chat-signer store accept`";

#[test]
fn after_a_flush_nobody_gets_a_signature_until_an_operator_accepts_it() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all_refuse(&["ann"]);
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for server in &fleet.servers {
            let (is_over, asked) = (&is_over, &asked);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let status = login(server, "ann");
                    assert!(matches!(status, 403 | 503), "{status}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        redis.ask::<()>(&["FLUSHALL"]);
        println!("all refuse everyone {:?} after the flush", fleet.refuse_for("store accept"));
        let another = fleet.another();
        until("one that has just started knows why", || says(&another, "store accept"));
        for server in fleet.servers.iter().chain([&another]) {
            assert_eq!((login(server, "ann"), login(server, "tom"), ban(server, "ben")), (503, 503, 503));
        }
        let refused = fleet.accept(&[]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8(refused.stderr).unwrap().contains("--empty"));
        assert!(!another.is_ready() && fleet.servers.iter().all(|server| !server.is_ready()));
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} requests of who is banned were refused", asked.into_inner());

    assert!(fleet.accept(&["--empty"]).status.success());
    println!("all are ready {:?} after the operator's word", fleet.are_ready());
    for server in &fleet.servers {
        assert_eq!((login(server, "ann"), banned(server).len()), (200, 0));
    }
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ben"]);
    assert_eq!(changes(&redis).len(), 1);
}

#[test]
fn a_store_without_its_entries_is_refused_until_an_operator_accepts_it() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    for user in ["ann", "ben", "cat"] {
        assert_eq!(ban(&fleet.servers[0], user), 200);
    }
    fleet.all_refuse(&["ann", "ben", "cat"]);
    let held: Vec<String> = redis.ask(&["HGETALL", "{chat-signer:}entries"]);
    redis.ask::<()>(&["DEL", "{chat-signer:}entries"]);
    println!("all refuse a store without its entries after {:?}", fleet.refuse_for(ASTRAY));
    let another = fleet.another();
    until("one that has just started misses them", || says(&another, ASTRAY));
    for server in fleet.servers.iter().chain([&another]) {
        assert_eq!((login(server, "ann"), login(server, "tom"), ban(server, "dan")), (503, 503, 503));
    }
    // Who has them back has them all.
    let mut back = vec!["HSET", "{chat-signer:}entries"];
    back.extend(held.iter().map(String::as_str));
    redis.ask::<()>(&back);
    fleet.are_ready();
    until("it is ready, too", || another.is_ready());
    fleet.all_refuse(&["ann", "ben", "cat"]);

    redis.ask::<()>(&["HDEL", "{chat-signer:}entries", &held[0]]);
    fleet.refuse_for("(1 too few or too many)");
    assert!(fleet.accept(&[]).status.success());
    fleet.are_ready();
    fleet.all("one of them was given up", |server| banned(server).len() == 2);
}

const ASTRAY: &str = "do not match its changes (3 too few or too many)";

/// A Redis that has what another one has by now, and no more of it from now on.
fn copy(redis: &Redis) -> Option<Redis> {
    let port = redis.port.unwrap().to_string();
    let arguments = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
    let copy = Redis::on_port(&[&DURABLE[..], &arguments].concat())?;
    let offset = |redis: &Redis| {
        let said: String = redis.ask(&["INFO", "replication"]);
        let line = said.lines().find_map(|line| line.strip_prefix("master_repl_offset:").map(str::to_owned));
        (line, said.contains("master_link_status:up"))
    };
    until("the copy is there", || {
        let (has, is_up) = offset(&copy);
        is_up && has == offset(redis).0
    });
    copy.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    Some(copy)
}

#[test]
fn an_older_store_is_refused_until_an_operator_accepts_it() {
    let Some(redis) = Redis::on_port(&DURABLE) else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    let older = copy(&redis).unwrap();
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ann", "ben"]);

    proxy.lead_to(&older.socket());
    println!("all refuse an older store after {:?}", fleet.refuse_for(LOST));
    for server in &fleet.servers {
        assert_eq!(ban(server, "cat"), 503);
    }
    assert_eq!(changes(&older).len(), 1, "none of them writes to it");
    // What comes back is known.
    proxy.lead_to(&redis.socket());
    fleet.are_ready();
    fleet.all_refuse(&["ann", "ben"]);

    // One that knows nothing of what was lost goes on with it, if it is faster than those who mark the store: to the same number of changes, and beyond.
    let url = format!("unix://{}", older.socket().display());
    let mut last = None;
    for (user, count) in [("dan", 2), ("eve", 3), ("fay", 4)] {
        proxy.lead_to(Path::new("/dev/null"));
        // One that has read the mark would leave it again.
        drop(last.take());
        older.ask::<()>(&["HDEL", "{chat-signer:}head", "rolled_back"]);
        let another = start(&url, NEVER);
        until("it is ready", || another.is_ready());
        assert_eq!(ban(&another, user), 200);
        assert_eq!(changes(&older).len(), count);
        proxy.lead_to(&older.socket());
        fleet.all("it has parted ways", |server| says(server, LOST));
        until("it knows from the others", || says(&another, LOST));
        assert_eq!((login(&another, "ben"), ban(&another, "gus")), (503, 503));
        println!("all refuse a store that has parted ways, at change {count}");
        last = Some(another);
    }
    assert!(fleet.servers.iter().all(|server| login(server, "ben") == 503));

    assert!(fleet.accept(&[]).status.success());
    fleet.are_ready();
    fleet.all_refuse(&["ann", "dan", "eve", "fay"]);
    assert!(fleet.servers.iter().all(|server| login(server, "ben") == 200), "the operator has given that up");
    let another = last.unwrap();
    until("it follows as well", || another.is_ready());

    // The one before was accepted, too, but before that.
    proxy.lead_to(&redis.socket());
    println!("all refuse the store before it after {:?}", fleet.refuse_for("nobody has accepted it since"));
    let late = start(&format!("unix://{}", redis.socket().display()), NEVER);
    until("one that has just started knows it, too", || says(&late, LOST));
    proxy.lead_to(&older.socket());
    fleet.are_ready();

    // Whoever has lost nothing by an operator's word goes on.
    assert!(fleet.accept(&[]).status.success());
    assert_eq!(ban(&another, "gil"), 200);
    fleet.all_refuse(&["ann", "dan", "eve", "fay", "gil"]);
}
