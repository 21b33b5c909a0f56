//! Files with tokens that are shown to others, which may be anything by the time that they are read.

use std::fs::{self, File};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::common::{Server, Setup, post};

/// A service that nobody is asked at, as there is no token to show anyway.
const FACTS: &str = r#"
[audit]
to = "audit.log"

[facts]
url = "http://127.0.0.1:1/facts"
bearer = { file = "facts.secret" }
cache = "0s"
"#;

/// A server whose facts need a token.
fn started() -> Server {
    let files = vec![("facts.secret", "obviously-fake-token".to_owned())];
    Server::with(Setup { files, ..Setup::more(FACTS) })
}

fn kick(server: &Server, conversation: usize) -> u16 {
    let body = format!(r#"{{"conv_id": "c{conversation}", "members": ["zoe"]}}"#);
    server.ask(&post("/v1/leancloud/kick", "tom", &body)).status
}

/// Why the last request was not decided.
fn reason(server: &Server) -> String {
    let text = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    line["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_that_can_not_be_read_holds_up_nothing_else() {
    let mut server = started();
    let path = server.directory.join("facts.secret");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    thread::scope(|scope| {
        let server = &server;
        let asking: Vec<_> = (0..8).map(|number| scope.spawn(move || kick(server, number))).collect();
        for asked in asking {
            assert_eq!(asked.join().unwrap(), 503);
        }
    });
    assert!(reason(&server).ends_with("the bearer token cannot be read: it is not a regular file"));
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn of_a_token_no_more_is_read_than_one_can_have() {
    let server = started();
    let path = server.directory.join("facts.secret");
    // A hole takes no room on the disk.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(kick(&server, 0), 503);
    assert!(reason(&server).ends_with("the bearer token cannot be read: it has more than 65536 bytes"));
}
