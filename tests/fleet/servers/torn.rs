//! A store whose parts don't fit together any more.

use std::fs;
use std::process::Command;

use crate::common::until;
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, SOON, ban, banned, changes};
use crate::world::login;

#[test]
fn a_store_that_lost_its_head_is_used_by_all_once_it_is_accepted() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    for user in ["ann", "ben"] {
        assert_eq!(ban(&fleet.servers[0], user), 200);
    }
    fleet.all_refuse(&["ann", "ben"]);
    redis.ask::<()>(&["DEL", "{chat-signer:}head"]);
    fleet.refuse_for("store is empty");
    let accepted = fleet.accept(&[]);
    assert!(String::from_utf8(accepted.stdout).unwrap().contains("accepted: 2 bans"));
    fleet.are_ready();
    let another = fleet.another();
    until("it is ready", || another.is_ready());
    for (server, user) in fleet.servers.iter().zip(["cat", "dan", "eve"]) {
        assert_eq!(ban(server, user), 200);
        fleet.all_refuse(&["ann", "ben", user]);
    }
    until("who has just started knows it, too", || banned(&another).len() == 5);
    imports(&fleet);
    fleet.all("what is imported counts", |server| login(server, "fay") == 403 && login(server, "ann") == 200);
}

fn imports(fleet: &Fleet) {
    let directory = &fleet.servers[0].directory;
    let file = directory.join("moderation.toml");
    fs::write(&file, "[[bans]]\nuser = \"fay\"\n").unwrap();
    let mut import = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    import.args(["store", "import", "--replace", "--quiet", "--config"]).arg(directory.join("signer.toml")).arg(file);
    let imported = import.output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
}

#[test]
fn a_change_that_could_not_be_made_whole_is_none() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, SOON);
    assert_eq!(ban(&fleet.servers[0], "ann"), 200);
    fleet.all_refuse(&["ann"]);
    for key in ["entries", "log"] {
        let [key, aside] = [key, "aside"].map(|name| format!("{{chat-signer:}}{name}"));
        redis.ask::<()>(&["RENAME", &key, &aside]);
        redis.ask::<()>(&["SET", &key, "x"]);
        assert_eq!(ban(&fleet.servers[1], "ben"), 503, "{key}");
        redis.ask::<()>(&["RENAME", &aside, &key]);
        fleet.are_ready();
        assert!(fleet.servers.iter().all(|server| login(server, "ben") == 200), "{key}");
    }
    // As it was left by a script that failed after that.
    let first = changes(&redis)[0].to_string();
    let begun = first.replace(r#""version":1"#, r#""version":2"#).replace("ann", "ben");
    redis.ask::<()>(&["XADD", "{chat-signer:}log", "2-0", "change", &begun]);
    let another = fleet.another();
    until("it is ready", || another.is_ready());
    assert_eq!(login(&another, "ben"), 200);
    for (server, user) in fleet.servers.iter().chain([&another]).zip(["ben", "cat", "dan", "eve"]) {
        assert_eq!(ban(server, user), 200);
        fleet.all_refuse(&["ann", user]);
    }
    until("it knows them all", || banned(&another).len() == 5);
    assert_eq!(redis.ask::<usize>(&["XLEN", "{chat-signer:}log"]), 4, "what was never made is gone");
}
