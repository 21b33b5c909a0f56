//! The password of the store changes while a server runs.

use std::fs;
use std::path::Path;

use crate::common::{Server, until};
use crate::redis::Redis;
use crate::servers::fleet::{accept, ban, says, start};
use crate::world::login;

const USER: &str = "signer";

/// Returns the URL of this Redis with a password.
fn url(socket: &Path, password: &str) -> String {
    format!("unix://{}?user={USER}&pass={password}", socket.display())
}

/// Lets the user log in with this password alone, and ends the connections with the earlier password.
fn set_password(redis: &Redis, password: &str) {
    let _: () = redis.ask(&["ACL", "SETUSER", USER, "on", "resetpass", &format!(">{password}"), "~*", "&*", "+@all"]);
    let _: u64 = redis.ask(&["CLIENT", "KILL", "USER", USER]);
}

/// Adds a ban to the policy file, and waits until it is in force.
fn ban_in_file(server: &Server, user: &str) {
    let path = server.directory.join("policy.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n[[bans]]\nuser = \"{user}\"\nreason = \"spam\"\n")).unwrap();
    until("the ban in the file is in force", || login(server, user) == 403);
}

#[test]
fn a_new_password_of_the_store_needs_no_restart() {
    let Some(redis) = Redis::start() else { return };
    let [old, new] = ["obviously-fake-old-password", "obviously-fake-new-password"];
    set_password(&redis, old);
    let server = start(&url(&redis.socket(), old), "3s");
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!(ban(&server, "ann"), 200);
    let file = server.directory.join("redis.url");
    let kept = |why: &str| {
        until(why, || {
            let body = server.admin("/readyz?verbose").body;
            body.lines()
                .any(|line| line.starts_with("[!] store: the earlier values are in force") && line.contains(why))
        });
    };

    fs::write(&file, "").unwrap();
    kept("which is empty");
    ban_in_file(&server, "ben");
    assert_eq!(ban(&server, "cat"), 200, "the open connections and the earlier password work");
    fs::write(&file, url(Path::new("/nowhere.sock"), new)).unwrap();
    kept("`[store]`, except its credentials, can't be changed while the program runs");
    ban_in_file(&server, "dan");

    set_password(&redis, new);
    until("the earlier password is refused", || says(&server, "has not answered"));
    fs::write(&file, url(&redis.socket(), new)).unwrap();
    until("it is ready with the new password", || server.is_ready());
    until("it can make changes", || ban(&server, "eve") == 200);
    for user in ["ann", "ben", "cat", "dan", "eve"] {
        assert_eq!(login(&server, user), 403);
    }
    assert!(!server.admin("/readyz?verbose").body.contains("[!] store"));
    let log = server.log();
    assert!(!log.contains(old) && !log.contains(new), "{log}");
}
