//! Events as they happen, from the command line.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::asking::{asks, server};
use super::program;
use crate::common::{SERVICE_KEY, Server, until};

/// The command, while it runs.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    /// Starts it, and waits until the server has it among its readers.
    fn start(server: &Server, arguments: &[&str]) -> Following {
        let mut command = program(&[&["events"][..], arguments].concat());
        command.env("CHAT_SIGNER_SERVER", format!("http://{}", server.main)).env("CHAT_SIGNER_API_KEY", SERVICE_KEY);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        until("it is among the readers", || has_reader(server));
        Following { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it has ended: {line}");
        line.trim_end().to_owned()
    }

    /// Waits for its end, and tells the exit status and what it complained of.
    fn end(self) -> (Option<i32>, String) {
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn has_reader(server: &Server) -> bool {
    server.admin("/metrics").body.lines().any(|line| line == "chat_signer_moderation_streams 1.0")
}

/// A line without its time, which is at its beginning.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-11-22T10:00:00.000Z".len(), "{line}");
    rest
}

#[test]
fn events_come_as_they_happen() {
    let server = server();
    let mut following = Following::start(&server, &[]);
    asks(&server, &["ban", "eve", "--reason", "spam", "--conversation", "den", "--app", "ably"]).well();
    let line = following.line();
    assert_eq!(
        without_time(&line),
        "ban.created: eve, conversation den, app ably, reason spam, change 1, by orders (service)"
    );
    asks(&server, &["manage-conversation", "hall", "--kind", "chatroom", "--owner", "alice"]).well();
    let line = following.line();
    assert_eq!(
        without_time(&line),
        "conversation.set: conversation hall, kind chatroom, owner alice, change 2, by orders (service)"
    );

    // A stream ends when the configuration is read again; nothing is missing after it.
    server.change("grace = \"20s\"", "grace = \"19s\"");
    asks(&server, &["unban", "eve", "--conversation", "den", "--app", "ably"]).well();
    assert!(without_time(&following.line()).starts_with("ban.lifted: eve, "));
    until("it has come back", || has_reader(&server));
    asks(&server, &["set-role", "zoe", "--role", "manager", "--conversation", "hall"]).well();
    let line = following.line();
    assert_eq!(without_time(&line), "role.set: zoe, conversation hall, role manager, change 4, by orders (service)");

    let interrupted = Command::new("kill").args(["-INT", &following.child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(following.end(), (Some(0), String::new()));
}

#[test]
fn programs_get_lines_of_json_and_come_back_by_id() {
    let server = server();
    let mut following = Following::start(&server, &["--limit", "2", "-o", "json"]);
    for user in ["eve", "dan"] {
        asks(&server, &["ban", user]).well();
    }
    let first: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&first["type"], &first["data"]["user"]), (&"ban.created".into(), &"eve".into()));
    following.line();
    assert_eq!(following.end(), (Some(0), String::new()), "it has printed enough");

    let id = first["id"].as_str().unwrap();
    let again = asks(&server, &["events", "--after", id, "--limit", "1"]).well();
    assert!(without_time(again.trim_end()).starts_with("ban.created: dan, "), "{again}");
    let lost = asks(&server, &["events", "--after", "another-1-1", "--limit", "1"]).well();
    assert_eq!(without_time(lost.trim_end()), "reset: events may be missing: read the lists again");
}

#[test]
fn whoever_reads_no_more_ends_it() {
    let server = server();
    let Following { mut child, lines } = Following::start(&server, &[]);
    drop(lines);
    asks(&server, &["ban", "eve"]).well();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_not_answered_so_is_told() {
    let server = server();
    let url = format!("http://{}", server.main);
    let events = |arguments: &[&str]| {
        super::Ran::of(program(&[&["events", "--server", &url][..], arguments].concat()).output().unwrap())
    };
    assert!(events(&[]).ill().contains("(unauthenticated, request "));
    let chosen = events(&["--user", "eve"]);
    assert_eq!((chosen.code, chosen.complained.contains("unexpected argument '--user'")), (2, true), "{chosen:?}");
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = program(&["events", "--server", &format!("http://{address}")]).output().unwrap();
    assert!(super::Ran::of(nobody).ill().contains("does not answer"));
    let admin = program(&["events", "--server", &format!("http://{}", server.admin)]).output().unwrap();
    assert!(super::Ran::of(admin).ill().contains("is not chat-signer"));
}
