//! `store replay`: acknowledged changes that a store has lost are found in the audit log and made again.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::common::{Server, Setup, program, until};
use crate::redis::Redis;
use crate::servers::fleet::{accept, ban, banned, events};
use crate::servers::rolled_back::{back_up, restore};
use crate::world::{POLICY, Service, User, login};

/// A server on this Redis, with its audit log in the file `audit.log`.
fn start(redis: &Redis, log: &Path) -> Server {
    let url = format!("unix://{}", redis.socket().display());
    let store = "[store]\ntype = \"redis\"\nurl = { file = \"redis.url\" }\nmax_staleness = \"2s\"";
    let files = vec![("policy.toml", POLICY.to_owned()), ("redis.url", url)];
    Server::with(Setup { files, audit: File::create(log).unwrap().into(), ..Setup::more(store) })
}

fn replay(server: &Server, log: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["store", "replay"]).arg(log).arg("--config").arg(server.directory.join("signer.toml"));
    command.args(more).output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn lost_changes_are_made_again_and_a_later_lift_is_not_undone() {
    let Some(mut redis) = Redis::start() else { return };
    let log = redis.directory.with_extension("audit.log");
    let server = start(&redis, &log);
    assert!(accept(&server, &["--empty"]).status.success());
    until("it is ready", || server.is_ready());
    let roles = |role: &str| json!({ "users": ["dan"], "conversation": "den", "role": role });
    for user in ["ann", "kept"] {
        assert_eq!(ban(&server, user), 200);
    }
    assert_eq!(replay(&server, &log, &[]).status.code(), Some(0), "nothing is missing");
    back_up(&redis);

    assert_eq!((ban(&server, "ben"), ban(&server, "cat"), ban(&server, "eve")), (200, 200, 200));
    Service.does(&server, "bans/lift", &json!({ "users": ["ann"] }));
    Service.does(&server, "bans/lift", &json!({ "users": ["eve"] }));
    Service.does(&server, "roles", &roles("moderator"));
    let owned = json!({ "kind": "chatroom", "owner": "ann" });
    assert_eq!(Service.asks(&server, "PUT", "conversations/hall", &owned).status, 200);
    // A moderator lifts only the own ban, and a preview changes nothing.
    assert_eq!(ban(&server, "gil"), 200);
    User("erin").does(&server, "bans", &json!({ "users": ["gil"] }));
    User("erin").does(&server, "bans/lift", &json!({ "users": ["gil"], "own": true }));
    assert_eq!(Service.posts(&server, "preview", &json!({ "do": "ban", "users": ["fay"] })).status, 200);
    restore(&mut redis);
    until("it refuses", || !server.is_ready());
    assert!(accept(&server, &[]).status.success());
    until("it is ready", || server.is_ready());
    assert_eq!((login(&server, "ben"), login(&server, "ann")), (200, 403), "the changes are lost");
    // This changes nothing, because the ban is lost. Nevertheless the moderator was told that cat is not banned.
    Service.does(&server, "bans/lift", &json!({ "users": ["cat"] }));

    let shown = replay(&server, &log, &["--output", "json"]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    let found = report(&shown);
    let missing = found["missing"].as_array().unwrap();
    let missing: Vec<_> = missing.iter().map(|one| (one["entry"]["user"].clone(), one["lift"].clone())).collect();
    let expected = [("ben", false), ("ann", true), ("dan", false), ("gil", false)];
    assert_eq!(missing, expected.map(|(user, lift)| (json!(user), json!(lift))));
    assert_eq!(found["by_hand"][0]["conversation"], "hall");
    assert_eq!(banned(&server).into_iter().collect::<Vec<_>>(), ["ann", "kept"], "nothing was changed");

    let applied = replay(&server, &log, &["--apply"]);
    let text = String::from_utf8_lossy(&applied.stdout);
    assert!(text.contains("4 made again, 1 to repeat by hand"), "{applied:?}");
    assert!(
        String::from_utf8_lossy(&applied.stderr)
            .contains("\"event\":\"ban.created\",\"caller\":{\"kind\":\"operator\"")
    );
    until("ben is refused", || login(&server, "ben") == 403);
    assert_eq!((login(&server, "ann"), login(&server, "cat"), login(&server, "eve")), (200, 200, 200));
    assert_eq!(banned(&server).into_iter().collect::<Vec<_>>(), ["ben", "gil", "kept"]);
    assert_eq!(events(&redis, "ban.created", "ben"), 1, "subscribers see the change");

    let again = report(&replay(&server, &log, &["--apply", "--output", "json"]));
    assert_eq!(again["missing"], json!([]), "a second replay changes nothing");
    // A lift after the replay is not undone, although its line is in another log.
    let other = redis.directory.with_extension("other.log");
    let second = start(&redis, &other);
    until("it is ready", || second.is_ready());
    Service.does(&second, "bans/lift", &json!({ "users": ["ben"] }));
    let again = report(&replay(&server, &log, &["--output", "json"]));
    assert_eq!(again["missing"], json!([]));
    for file in [log, other] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn an_empty_store_gets_no_changes() {
    let Some(redis) = Redis::start() else { return };
    let log = redis.directory.join("audit.log");
    let server = start(&redis, &log);
    let refused = replay(&server, &log, &["--apply"]);
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("store accept"),
        "{refused:?}"
    );
}
