//! A moderation in a file that can't be written any more, or is not where it was.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Server, Setup, until};
use crate::routes::world::{POLICY, Service, login, with};

const STORE: &str = "[store]\ntype = \"redb\"\npath = \"moderation.redb\"\n";

fn verbose(server: &Server) -> (u16, String) {
    let ready = server.admin("/readyz?verbose");
    (ready.status, ready.body.lines().find(|line| line.contains("moderation")).unwrap().to_owned())
}

#[test]
fn a_file_that_could_not_be_written_is_said_to_be_so() {
    let server = with(Setup::more(STORE));
    let bans = |user: &str| Service.posts(&server, "bans", &json!({"users": [user], "reason": "spam"}));
    assert_eq!(bans("tom").status, 200);
    assert_eq!(verbose(&server), (200, "[+] moderation: ok".to_owned()));
    // So that the change finds the limit, and not a probe.
    until("the first probe is over", || server.admin("/metrics").body.contains("chat_signer_moderation_writable 1"));
    server.limit_files(Some(0));
    let said = |user: &str| {
        let answer = bans(user);
        assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{answer:?}");
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let restart = "The store could not be written, so changes are rejected until chat-signer is restarted";
    assert!(said("zoe").starts_with(restart));
    server.limit_files(None);
    // What the disk has now, nobody knows. Neither whether that still is so.
    for user in ["zoe", "tom"] {
        assert!(said(user).starts_with(restart));
    }
    until("it is told", || verbose(&server).1.starts_with("[!] moderation: "));
    let (status, line) = verbose(&server);
    assert_eq!(status, 200, "{line}");
    assert!(
        line.contains("signing continues with the known entries, but changes such as bans are not possible: "),
        "{line}"
    );
    assert!(
        line.contains("moderation.redb could not be written: ") && line.contains("restart to use it again"),
        "{line}"
    );
    assert_eq!((login(&server, "tom"), login(&server, "zoe")), (403, 200));

    server.signal("-KILL");
    let directory = server.killed();
    let server =
        Server::run(directory.clone(), Setup { files: vec![("policy.toml", POLICY.to_owned())], ..Setup::more(STORE) });
    until("it is ready", || server.is_ready());
    assert_eq!((login(&server, "tom"), verbose(&server)), (403, (200, "[+] moderation: ok".to_owned())));
    Service.does(&server, "bans", &json!({"users": ["zoe"]}));
    drop(server);
    let _ = fs::remove_dir_all(directory);
}

/// What the configuration says, with a time that is over soon.
fn impatient() -> String {
    format!("{STORE}max_staleness = \"1s\"\n")
}

fn bans(server: &Server, user: &str) -> u16 {
    Service.posts(server, "bans", &json!({ "users": [user] })).status
}

#[test]
fn a_file_that_was_moved_away_is_missed_until_it_is_back() {
    let server = with(Setup::more(&impatient()));
    let (path, moved) = (server.directory.join("moderation.redb"), server.directory.join("moved.redb"));
    assert_eq!(bans(&server, "tom"), 200);
    fs::rename(&path, &moved).unwrap();
    assert_eq!(bans(&server, "zoe"), 503, "no restart would find it");
    assert_eq!(bans(&server, "tom"), 503, "nor that");
    until("it is told", || verbose(&server).1.contains("moderation.redb can't be found"));
    until("what is known is too old", || verbose(&server).0 == 503);
    assert!(verbose(&server).1.starts_with("[-] moderation: "), "{:?}", verbose(&server));
    assert_eq!((login(&server, "tom"), login(&server, "zoe")), (503, 503));

    fs::rename(&moved, &path).unwrap();
    until("it is back", || verbose(&server) == (200, "[+] moderation: ok".to_owned()));
    assert_eq!((login(&server, "tom"), login(&server, "zoe")), (403, 200));
    assert_eq!(bans(&server, "zoe"), 200);
    let said = server.said();
    let times = |what: &str| said.matches(what).count();
    assert_eq!(
        (times("the moderation store can't be read"), times("the moderation store is read again")),
        (1, 1),
        "{said}"
    );
}

#[test]
fn another_file_in_the_place_of_the_first_is_not_taken_for_it() {
    let server = with(Setup::more(STORE));
    let [path, moved, copy] = ["moderation.redb", "moved.redb", "copy.redb"].map(|name| server.directory.join(name));
    assert_eq!(bans(&server, "tom"), 200);
    fs::copy(&path, &copy).unwrap();
    // As it is done where nobody is to see half of a file; and by a link to it, which is as good as the file.
    fs::rename(&path, &moved).unwrap();
    std::os::unix::fs::symlink(&copy, &path).unwrap();
    assert_eq!(bans(&server, "zoe"), 503);
    until("it is told", || verbose(&server).1.starts_with("[!] moderation: "));
    let (status, line) = verbose(&server);
    assert!(status == 200 && line.contains("moderation.redb is another file than the one that was opened"), "{line}");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&moved, &path).unwrap();
    until("it is back", || verbose(&server).1 == "[+] moderation: ok");
    assert_eq!(bans(&server, "zoe"), 200);
}

#[test]
fn that_an_empty_file_was_begun_is_logged() {
    let server = with(Setup::more(STORE));
    let what = "created an empty store in ";
    let lines = server.said().lines().filter(|line| line.contains(what)).map(str::to_owned).collect::<Vec<_>>();
    assert!(lines.len() == 1 && lines[0].to_lowercase().contains("warn"), "{lines:?}");
    server.signal("-KILL");
    let directory = server.killed();
    let run = |directory: &std::path::Path| {
        let files = vec![("policy.toml", POLICY.to_owned())];
        Server::run(directory.to_owned(), Setup { files, ..Setup::more(STORE) })
    };
    let server = run(&directory);
    assert!(!server.said().contains(what));
    server.signal("-KILL");
    let directory = server.killed();
    for name in ["moderation.redb", "moderation.redb.record"] {
        fs::remove_file(directory.join(name)).unwrap();
    }
    assert!(run(&directory).said().contains(what));
}

#[test]
fn a_file_that_could_not_grow_is_reported_before_anybody_bans_and_needs_no_restart() {
    let server = with(Setup::more(&impatient()));
    assert_eq!(bans(&server, "tom"), 200);
    let length = fs::metadata(server.directory.join("moderation.redb")).unwrap().len();
    server.limit_files(Some(length));
    until("it is reported", || verbose(&server).1.starts_with("[!] moderation: signing continues"));
    let line = verbose(&server).1;
    assert!(line.contains("moderation.redb can't be written: File too large"), "{line}");
    assert_eq!(bans(&server, "zoe"), 503);
    let full = "chat_signer_moderation_failed_changes_total{origin=\"caller\",reason=\"full\"} 1";
    assert!(server.admin("/metrics").body.lines().any(|line| line == full), "{}", server.admin("/metrics").body);
    // Twice as long as what is known may be old.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!((login(&server, "tom"), login(&server, "zoe"), verbose(&server).0), (403, 200, 200));
    }
    server.limit_files(None);
    until("it is over", || verbose(&server) == (200, "[+] moderation: ok".to_owned()));
    assert_eq!((bans(&server, "zoe"), login(&server, "zoe")), (200, 403));
    until("nothing is left of a probe", || !server.directory.join("moderation.redb.probe").exists());
    let said = server.said();
    let times = |what: &str| said.matches(what).count();
    assert_eq!((times("changes cannot be stored"), times("changes can be stored again")), (1, 1), "{said}");
}
