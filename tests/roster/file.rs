//! A roster in a file that can't be written any more.

use std::fs;

use serde_json::json;

use crate::common::{Server, Setup, until};
use crate::world::{POLICY, Service, login, with};

const STORE: &str = "[store]\ntype = \"redb\"\npath = \"roster.redb\"\n";

fn verbose(server: &Server) -> (u16, String) {
    let ready = server.admin("/readyz?verbose");
    (ready.status, ready.body.lines().find(|line| line.contains("roster")).unwrap().to_owned())
}

#[test]
fn a_file_that_could_not_be_written_is_said_to_be_so() {
    let server = with(Setup::more(STORE));
    let bans = |user: &str| Service.posts(&server, "bans", &json!({"users": [user], "reason": "spam"}));
    assert_eq!(bans("tom").status, 200);
    assert_eq!(verbose(&server), (200, "[+] roster: ok".to_owned()));
    server.limit_files(Some(0));
    let said = |user: &str| {
        let answer = bans(user);
        assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{answer:?}");
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let restart = "Nothing can be changed until chat-signer is started anew";
    assert!(said("zoe").starts_with(restart));
    server.limit_files(None);
    // What the disk has now, nobody knows. Neither whether that still is so.
    for user in ["zoe", "tom"] {
        assert!(said(user).starts_with(restart));
    }
    until("it is told", || verbose(&server).1.starts_with("[!] roster: "));
    let (status, line) = verbose(&server);
    assert_eq!(status, 200, "{line}");
    assert!(line.contains("what is known still counts, but nothing can be changed: "), "{line}");
    assert!(line.contains("roster.redb could not be written: ") && line.contains("restart to use it again"), "{line}");
    assert_eq!((login(&server, "tom"), login(&server, "zoe")), (403, 200));

    server.signal("-KILL");
    let directory = server.killed();
    let server =
        Server::run(directory.clone(), Setup { files: vec![("policy.toml", POLICY.to_owned())], ..Setup::more(STORE) });
    until("it is ready", || server.is_ready());
    assert_eq!((login(&server, "tom"), verbose(&server)), (403, (200, "[+] roster: ok".to_owned())));
    Service.does(&server, "bans", &json!({"users": ["zoe"]}));
    drop(server);
    let _ = fs::remove_dir_all(directory);
}
