//! A Redis that was taken back to an earlier state, as by a restored backup: every process refuses it, also one that starts later.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_signer::clock;
use chat_signer::config::{Durability, RedisAddress, RedisServer, RedisSettings, StoreKind, StoreSettings};
use chat_signer::moderation::store::{LOG_LIMIT, NewChange, Store};
use tokio::runtime::Runtime;

use crate::common::{Server, Setup, until};
use crate::proxy::Proxy;
use crate::redis::{DURABLE, Redis};
use crate::servers::fleet::{Fleet, NEVER, SOON, accept, ban, banned, says, start, with_record};
use crate::world::login;

const LOST: &str = "has lost changes that it had acknowledged. To use it as it is, run `chat-signer store accept`";

const MARK: &str = "rolled_back";

/// Copies a directory of files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Where Redis keeps its append-only files, and where a backup of them is.
fn files(redis: &Redis) -> [PathBuf; 2] {
    ["appendonlydir", "backup"].map(|name| redis.directory.join(name))
}

pub(crate) fn back_up(redis: &Redis) {
    let [files, backup] = files(redis);
    copy(&files, &backup);
}

/// Stops Redis, puts the backup in the place of its files, and starts it.
pub(crate) fn restore(redis: &mut Redis) {
    redis.kill();
    let [files, backup] = files(redis);
    fs::remove_dir_all(&files).unwrap();
    copy(&backup, &files);
    redis.restart();
}

fn is_marked(redis: &Redis) -> bool {
    redis.ask::<Option<String>>(&["HGET", "{chat-signer:}head", MARK]).is_some()
}

/// Kills a server and starts it again with all that it had.
fn restarted(server: Server) -> Server {
    server.signal("-KILL");
    Server::run(server.killed(), Setup::default())
}

#[test]
fn a_process_that_starts_after_a_rollback_refuses_until_an_operator_accepts() {
    let Some(mut redis) = Redis::start() else { return };
    let mut fleet = Fleet::on(&redis, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ann", "ben"]);
    restore(&mut redis);
    println!("all refuse a store that was rolled back after {:?}", fleet.refuse_for(LOST));
    until("it is marked", || is_marked(&redis));

    // Those who knew what is lost are gone, one after the other.
    while let Some(server) = fleet.servers.pop() {
        let server = restarted(server);
        until("it refuses after a restart", || says(&server, LOST));
        assert_eq!((login(&server, "ben"), login(&server, "tom"), ban(&server, "cat")), (503, 503, 503));
    }
    let new = fleet.another();
    until("a new one refuses", || says(&new, LOST));
    assert_eq!((login(&new, "ben"), login(&new, "tom"), ban(&new, "cat")), (503, 503, 503));
    // Neither does the mark go when Redis is started again.
    redis.kill();
    redis.restart();
    let another = fleet.another();
    until("another refuses", || says(&another, LOST));

    assert!(accept(&new, &[]).status.success());
    for server in [&new, &another] {
        until("it is ready", || server.is_ready());
        assert_eq!((login(server, "ann"), login(server, "ben")), (403, 200), "that ban was given up");
    }
    assert!(!is_marked(&redis));
    assert_eq!(ban(&new, "ben"), 200);
    until("they go on", || login(&another, "ben") == 403);
}

/// A backup is restored twice, and whoever knew what is lost is gone before the second time. The mark goes with what the second restore replaces.
#[test]
fn a_process_that_has_read_a_mark_refuses_though_a_second_restore_takes_the_mark_away() {
    let Some(mut redis) = Redis::start() else { return };
    let mut fleet = Fleet::on(&redis, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ann", "ben"]);
    restore(&mut redis);
    fleet.refuse_for(LOST);
    until("it is marked", || is_marked(&redis));
    let late = fleet.another();
    until("a process that starts refuses", || says(&late, LOST));
    for server in fleet.servers.drain(..) {
        server.signal("-KILL");
        drop(server.killed());
    }
    restore(&mut redis);

    until("it is marked again", || is_marked(&redis));
    let new = fleet.another();
    until("another process that starts refuses", || says(&new, LOST));
    for server in [&late, &new] {
        assert_eq!((login(server, "ben"), login(server, "tom"), ban(server, "cat")), (503, 503, 503));
    }
    assert!(accept(&new, &[]).status.success());
    for server in [&late, &new] {
        until("it is ready", || server.is_ready());
        assert_eq!((login(server, "ann"), login(server, "ben")), (403, 200));
    }
    assert!(!is_marked(&redis));
}

/// As before, but the process has read the store between the restore and the mark. So the store looks to it as it did then.
#[test]
fn a_process_that_read_the_store_before_the_mark_refuses_though_a_second_restore_takes_the_mark_away() {
    let Some(mut redis) = Redis::on_port(&DURABLE) else { return };
    let proxy = Proxy::before(&redis.socket());
    let mut fleet = Fleet::behind(&proxy, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ann", "ben"]);
    // The servers that know what is lost do not see the store for a while.
    proxy.lead_to(Path::new("/dev/null"));
    restore(&mut redis);
    let late = start(&format!("unix://{}", redis.socket().display()), NEVER);
    until("it does not know what is lost", || late.is_ready());
    proxy.lead_to(&redis.socket());
    until("it obeys the mark", || says(&late, LOST));
    for server in fleet.servers.drain(..) {
        server.signal("-KILL");
        drop(server.killed());
    }
    restore(&mut redis);
    until("it has marked the store again", || is_marked(&redis));
    assert_eq!((login(&late, "ben"), login(&late, "tom")), (503, 503));
    assert!(accept(&late, &[]).status.success());
    until("it is ready", || late.is_ready());
    assert_eq!((login(&late, "ann"), login(&late, "ben")), (403, 200));
}

#[test]
fn a_process_that_was_stopped_during_a_rollback_finds_it_by_its_record_and_tells_the_others() {
    let Some(mut redis) = Redis::start() else { return };
    let url = format!("unix://{}", redis.socket().display());
    let recording = with_record(&url, NEVER, "store.record");
    assert!(accept(&recording, &["--empty"]).status.success());
    until("it is ready", || recording.is_ready());
    assert_eq!(ban(&recording, "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&recording, "ben"), 200);
    recording.signal("-KILL");
    let directory = recording.killed();
    restore(&mut redis);

    let recording = Server::run(directory, Setup::default());
    until("it knows what is lost", || says(&recording, LOST));
    until("it has marked the store", || is_marked(&redis));
    let other = start(&url, NEVER);
    until("one without a record knows it, too", || says(&other, LOST));
    assert_eq!((login(&recording, "ben"), login(&other, "ben")), (503, 503));

    assert!(accept(&other, &[]).status.success());
    for server in [&recording, &other] {
        until("it is ready", || server.is_ready());
        assert_eq!((login(server, "ann"), login(server, "ben")), (403, 200));
    }
    let recording = restarted(recording);
    until("its record is of what was accepted", || recording.is_ready());
}

/// What a process records it has from others as well.
#[test]
fn what_other_processes_changed_is_in_the_record() {
    let Some(mut redis) = Redis::start() else { return };
    let url = format!("unix://{}", redis.socket().display());
    let (recording, other) = (with_record(&url, NEVER, "store.record"), start(&url, NEVER));
    assert!(accept(&recording, &["--empty"]).status.success());
    until("they are ready", || recording.is_ready() && other.is_ready());
    back_up(&redis);
    assert_eq!(ban(&other, "ann"), 200);
    until("it knows", || login(&recording, "ann") == 403);
    let record = recording.directory.join("store.record");
    until("it is recorded", || fs::read_to_string(&record).unwrap().contains("\"version\":1,"));
    drop(other);
    recording.signal("-KILL");
    let directory = recording.killed();
    restore(&mut redis);
    let recording = Server::run(directory, Setup::default());
    until("it knows what is lost", || says(&recording, LOST));
}

/// As the documentation says: what nobody remembers can't be missed.
#[test]
fn a_fleet_without_records_that_stops_as_a_whole_does_not_notice_a_rollback() {
    let Some(mut redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&fleet.servers[0], "ben"), 200);
    let url = format!("unix://{}", redis.socket().display());
    drop(fleet);
    restore(&mut redis);
    let new = start(&url, NEVER);
    until("it is ready", || new.is_ready());
    assert_eq!((login(&new, "ann"), login(&new, "ben")), (403, 200));
}

#[test]
fn a_record_of_another_store_stops_nobody_else() {
    let (Some(redis), Some(test)) = (Redis::start(), Redis::start()) else { return };
    let url = |redis: &Redis| format!("unix://{}", redis.socket().display());
    let fleet = Fleet::on(&redis, SOON);
    let tried = with_record(&url(&test), NEVER, "store.record");
    assert!(accept(&tried, &["--empty"]).status.success());
    until("it is ready", || tried.is_ready());
    assert_eq!(ban(&tried, "ann"), 200);
    tried.signal("-KILL");
    let directory = tried.killed();
    fs::write(directory.join("redis.url"), url(&redis)).unwrap();
    let tried = Server::run(directory, Setup::default());
    until("it refuses", || says(&tried, "is not the store that was used before"));
    assert!(!is_marked(&redis) && fleet.servers.iter().all(Server::is_ready));
}

/// Makes more changes than the log keeps, as servers do that don't know what was lost.
fn outgrow_the_log(redis: &Redis) {
    Runtime::new().unwrap().block_on(async {
        let server =
            RedisServer { address: RedisAddress::Unix(redis.socket()), database: 0, user: None, password: None };
        let settings = RedisSettings {
            servers: vec![server],
            sentinels: Vec::new(),
            prefix: "chat-signer:".to_owned(),
            durability: Durability::None,
            max_clock_offset: Duration::from_secs(30),
            authorities: Vec::new(),
            identity: None,
        };
        let (kind, max_staleness) = (StoreKind::Redis(settings), Duration::from_secs(60));
        let store = Store::open(&StoreSettings { kind, max_staleness, record: None }).await.unwrap();
        let mut head = store.head().await.unwrap();
        for _ in 0..LOG_LIMIT + 2 {
            let change = store.commit(&head, NewChange::default(), clock::now()).await.unwrap();
            (head.version, head.change) = (change.version, change.id);
        }
    });
}

#[test]
fn a_refused_store_stays_refused_after_the_last_known_change_has_left_its_log() {
    let Some(mut redis) = Redis::on_port(&DURABLE) else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    back_up(&redis);
    assert_eq!(ban(&fleet.servers[1], "ben"), 200);
    fleet.all_refuse(&["ann", "ben"]);
    // The servers don't see how it comes so far.
    proxy.lead_to(Path::new("/dev/null"));
    restore(&mut redis);
    outgrow_the_log(&redis);
    proxy.lead_to(&redis.socket());
    println!("all refuse a store without the known change in its log after {:?}", fleet.refuse_for(LOST));
    assert!(fleet.servers.iter().all(|server| login(server, "ben") == 503));
    // Neither does it help that changes go on.
    redis.ask::<()>(&["HDEL", "{chat-signer:}head", MARK]);
    outgrow_the_log_unseen(&redis, &proxy);
    fleet.refuse_for(LOST);
    until("it is marked again", || is_marked(&redis));
    let new = fleet.another();
    until("a new one refuses", || says(&new, LOST));
    assert!(fleet.accept(&[]).status.success());
    fleet.are_ready();
    assert_eq!(banned(&fleet.servers[0]).len(), 1);
}

fn outgrow_the_log_unseen(redis: &Redis, proxy: &Proxy) {
    proxy.lead_to(Path::new("/dev/null"));
    redis.ask::<()>(&["HDEL", "{chat-signer:}head", MARK]);
    outgrow_the_log(redis);
    proxy.lead_to(&redis.socket());
}

#[test]
fn a_healthy_store_is_read_anew_after_the_last_known_change_has_left_its_log() {
    let Some(redis) = Redis::on_port(&DURABLE) else { return };
    let proxy = Proxy::before(&redis.socket());
    let fleet = Fleet::behind(&proxy, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all_refuse(&["ann"]);
    proxy.lead_to(Path::new("/dev/null"));
    outgrow_the_log(&redis);
    fleet.all("nobody is served meanwhile", |server| login(server, "tom") == 503);
    proxy.lead_to(&redis.socket());
    fleet.are_ready();
    fleet.all_refuse(&["ann"]);
}
