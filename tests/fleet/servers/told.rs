//! What a server's log tells of its store: once when something begins, and once when it is over.

use crate::common::{Server, until};
use crate::redis::{DURABLE, Redis};
use crate::servers::fleet::{NEVER, accept, ban, start};

fn times(server: &Server, what: &str) -> usize {
    server.said().matches(what).count()
}

const NOT_FOLLOWED: &str = "the moderation store can't be read";
const FOLLOWED: &str = "the moderation store is read again";

#[test]
fn a_store_that_can_not_be_had_is_logged_once() {
    let Some(mut redis) = Redis::start() else { return };
    redis.kill();
    let server = start(&format!("unix://{}", redis.socket().display()), "1s");
    until("it is logged", || times(&server, NOT_FOLLOWED) == 1);
    // It has been tried again since.
    until("what is known is too old", || server.admin("/readyz?verbose").body.contains("has not been read yet"));
    redis.restart();
    let accepted = accept(&server, &["--empty"]);
    assert!(accepted.status.success(), "{accepted:?}");
    until("it is ready", || server.is_ready());
    until("it is logged, too", || times(&server, FOLLOWED) == 1);
    assert_eq!(times(&server, NOT_FOLLOWED), 1, "{}", server.said());
    redis.kill();
    until("it is logged again", || times(&server, NOT_FOLLOWED) == 2);
}

#[test]
fn a_password_that_is_wrong_is_logged() {
    let Some(redis) = Redis::on_port(&[&DURABLE[..], &["--requirepass", "fake-right"]].concat()) else { return };
    let server = start(&format!("redis://:fake-wrong@{}", redis.address()), NEVER);
    until("it is logged", || times(&server, NOT_FOLLOWED) == 1);
    let said = server.said();
    assert!(
        said.contains("Redis refuses the user or the password in the URL") && !said.contains("fake-wrong"),
        "{said}"
    );
    assert!(said.contains(&redis.address().to_string()), "it says which Redis that is: {said}");
}

#[test]
fn a_password_that_is_missing_is_logged_with_the_fix() {
    let Some(redis) = Redis::on_port(&[&DURABLE[..], &["--requirepass", "fake-right"]].concat()) else { return };
    let server = start(&format!("redis://{}", redis.address()), NEVER);
    until("it is logged", || times(&server, NOT_FOLLOWED) == 1);
    let said = server.said();
    assert!(
        said.contains("Redis requires a password, and the URL has none: write redis://USER:PASSWORD@HOST:PORT"),
        "{said}"
    );
    assert!(!said.contains("multibulk"), "{said}");
}

#[test]
fn a_redis_that_evicts_keys_is_warned_of_once() {
    const WARNING: &str = "with `maxmemory-policy allkeys-lru`, Redis removes bans";
    let Some(redis) = Redis::with(&[&DURABLE[..], &["--maxmemory-policy", "allkeys-lru"]].concat()) else { return };
    let server = start(&format!("unix://{}", redis.socket().display()), NEVER);
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!(ban(&server, "ann"), 200);
    assert_eq!(times(&server, WARNING), 1, "{}", server.said());
    redis.ask::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    until("a ban is made over a new connection", || ban(&server, "ben") == 200);
    assert_eq!(times(&server, WARNING), 1, "{}", server.said());
}

#[test]
fn an_empty_store_names_the_whole_command() {
    let Some(redis) = Redis::start() else { return };
    let server = start(&format!("unix://{}", redis.socket().display()), NEVER);
    until("it is refused", || server.said().contains("run `chat-signer store accept --empty`"));
}

#[test]
fn who_may_not_hear_of_changes_is_told_so() {
    const LATE: [&str; 2] = ["changes by other processes are noticed late", "other processes notice changes late"];
    for (denied, late) in [("resetchannels", [1, 1]), ("-subscribe", [1, 0]), ("-publish", [0, 1])] {
        let Some(redis) = Redis::on_port(&DURABLE) else { return };
        redis.ask::<()>(&["ACL", "SETUSER", "signer", "on", ">fake-password", "~*", "&*", "+@all", denied]);
        let server = start(&format!("redis://signer:fake-password@{}", redis.address()), "4s");
        assert!(accept(&server, &["--empty"]).status.success());
        until("it is ready", || server.is_ready());
        for user in ["ann", "ben"] {
            assert_eq!(ban(&server, user), 200);
        }
        until("it is logged", || LATE.map(|what| times(&server, what)) == late);
    }
}
