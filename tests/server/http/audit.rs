//! No answer without its line in the audit log.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use chat_signer::telemetry::audit::WRITE_TIMEOUT;
use serde_json::{Value, json};

use crate::common::{LONG, Log, Server, Setup, directory, post, request, until};

/// A server, and the socket on which each of its audit log's writes is one packet.
fn audited() -> (Server, UnixDatagram) {
    let (theirs, ours) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Server::with(Setup::audit(OwnedFd::from(theirs))), ours)
}

/// The one line that is there; nothing is waited for.
fn line(socket: &UnixDatagram) -> Value {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).expect("the line is there before the answer");
    assert_eq!(buffer[length - 1], b'\n');
    serde_json::from_slice(&buffer[..length]).unwrap()
}

#[test]
fn what_breaks_a_line_or_hides_is_escaped_in_it() {
    let (server, socket) = audited();
    let id = "x\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{200b}\u{200d}y";
    for (path, body, status) in [
        ("/v1/leancloud/join", json!({ "conv_id": id }), 200),
        ("/v1/leancloud/kick", json!({ "conv_id": id, "members": [id] }), 403),
    ] {
        assert_eq!(server.ask(&post(path, "tom", &body.to_string())).status, status, "{path}");
        let mut buffer = vec![0; 1 << 16];
        let length = socket.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.contains(r"x\u2028\u2029\u202e\u2066\ufeff\u200b\u200dy"), "{text}");
        let raw: Vec<char> = text.trim_end().chars().filter(|c| !c.is_ascii() || c.is_control()).collect();
        assert!(raw.is_empty(), "{raw:?} in {text}");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()["conversation"], id);
    }
}

#[test]
fn a_decision_is_written_before_its_answer() {
    let (server, socket) = audited();
    let kick = r#"{"conv_id": "5f3c2a1b9e8d7c6b5a493827", "members": ["bob", "carol"]}"#;

    let answer = server.ask(&post("/v1/leancloud/create", "tom", r#"{"members": ["bob"]}"#));
    let written = line(&socket);
    assert_eq!(answer.status, 200);
    assert_eq!(written["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(written["decision"], "allow");
    assert_eq!(written["caller"], json!({"kind": "user", "subject": "tom"}));
    assert_eq!(
        (&written["authenticator"], &written["app"], &written["vendor"]),
        (&json!("app-users"), &json!("leancloud"), &json!("leancloud"))
    );
    assert_eq!(
        (&written["action"], &written["client"], &written["targets"]),
        (&json!("create"), &json!("tom"), &json!(["bob"]))
    );
    assert_eq!((&written["rules"], &written["nonce"]), (&json!(["everyone"]), &answer.json()["nonce"]));
    assert_eq!(written["policy"].as_str().unwrap().len(), 64);
    assert!(written["time"].as_str().unwrap().ends_with('Z') && written["latency_us"].is_u64());
    assert!(!written.to_string().contains(answer.json()["signature"].as_str().unwrap()));

    assert_eq!(server.ask(&post("/v1/leancloud/kick", "tom", kick)).status, 403);
    let written = line(&socket);
    assert_eq!(
        (&written["decision"], &written["action"], &written["rule"]),
        (&json!("deny"), &json!("kick"), &json!("owners"))
    );
    assert_eq!(written["conversation"], "5f3c2a1b9e8d7c6b5a493827");
    assert!(written["reason"].as_str().unwrap().contains("owner"));

    assert_eq!(server.ask(&post("/v1/leancloud/login", "mallory", "")).status, 403);
    let written = line(&socket);
    assert_eq!((&written["decision"], &written["ban"]), (&json!("deny"), &json!("*")));

    let capability = r#"{"capability": {"chat:1": ["subscribe", "publish"]}}"#;
    assert_eq!(server.ask(&post("/v1/ably/token", "tom", capability)).status, 200);
    assert_eq!(line(&socket)["granted"], json!({"chat:1": ["subscribe"]}));
}

#[test]
fn a_refused_caller_is_written_without_the_credential() {
    let (server, socket) = audited();
    assert_eq!(
        server
            .ask(&request("POST", "/v1/leancloud/login", "authorization: Bearer canary.canary.canary\r\n", ""))
            .status,
        401
    );
    let written = line(&socket);
    assert_eq!(
        (&written["decision"], &written["app"], &written["caller"]),
        (&json!("refused"), &json!("leancloud"), &Value::Null)
    );
    assert!(!written.to_string().contains("canary") && written["reason"].is_string());
    // What was not decided is not a decision.
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{")).status, 400);
    assert_eq!(server.ask(&post("/v1/leancloud/nothing", "tom", "")).status, 404);
    assert!(socket.recv(&mut [0]).is_err());
}

#[test]
fn a_dead_log_is_a_503_and_not_ready() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = Server::with(Setup::audit(full));
    assert!(server.is_ready(), "nothing is known yet");
    for _ in 0..2 {
        let answer = server.ask(&post("/v1/leancloud/login", "tom", ""));
        assert_eq!(
            (answer.status, answer.code().as_str(), answer.header("retry-after")),
            (503, "unavailable", Some("1"))
        );
        assert!(!answer.body.contains("signature"));
        assert!(!server.is_ready());
    }
    let denied = server.ask(&post("/v1/leancloud/login", "mallory", ""));
    let unauthenticated = server.ask(&request("POST", "/v1/leancloud/login", "", ""));
    let ably = server.ask(&post("/v1/ably/token", "tom", ""));
    assert_eq!((denied.status, unauthenticated.status, ably.status), (503, 503, 503));
    assert_eq!(ably.json()["error"]["statusCode"], 503);
    assert_eq!(server.admin("/readyz?verbose").body, "[+] serving: ok\n[-] audit: writing the audit log fails\n");
    assert_eq!(server.admin("/livez").status, 200);
    assert!(server.log().contains("the audit log can't be written"));
}

#[test]
fn a_program_log_that_nobody_reads_stops_nothing() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = Server::with(Setup { log: Log::Unread, ..Setup::audit(full) });
    let mut connection = server.connect();
    let asked = post("/v1/leancloud/login", "tom", "");
    for _ in 0..2000 {
        assert_eq!(connection.ask(&asked).status, 503);
    }
    assert_eq!(server.admin("/livez").status, 200);
}

#[test]
fn a_stuck_log_is_a_503_in_time_and_recovers_by_itself() {
    let (reader, writer) = pipe().unwrap();
    // Full to the brim: what doesn't fit blocks a writer of its own, until the pipe is read.
    let mut filler = writer.try_clone().unwrap();
    let filling =
        thread::spawn(move || std::io::Write::write_all(&mut filler, &[b"x".repeat(1 << 20), b"\n".to_vec()].concat()));
    let server = Server::with(Setup::audit(OwnedFd::from(writer)));
    until_full(&server);
    assert!(!server.is_ready());
    assert_eq!(server.admin("/livez").status, 200, "the workers are not stuck");
    let began = Instant::now();
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "")).status, 503);
    assert!(began.elapsed() < LONG);

    let lines = thread::spawn(move || {
        BufReader::new(File::from(OwnedFd::from(reader))).lines().map(Result::unwrap).collect::<Vec<_>>()
    });
    let began = Instant::now();
    while !server.is_ready() {
        assert!(began.elapsed() < LONG, "it does not recover");
        thread::sleep(Duration::from_millis(10));
    }
    let answer = server.ask(&post("/v1/leancloud/login", "tom", ""));
    assert_eq!(answer.status, 200);
    filling.join().unwrap().unwrap();
    let id = answer.header("x-request-id").unwrap().to_owned();
    drop(server);
    let lines = lines.join().unwrap();
    assert!(lines.iter().any(|line| line.contains("audit_resumed")), "the gap is told");
    assert!(lines.iter().any(|line| line.contains(&id)));
}

#[test]
fn a_stuck_log_does_not_keep_a_second_signal_from_ending_it_at_once() {
    let (reader, writer) = pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let filling = thread::spawn(move || std::io::Write::write_all(&mut filler, &b"x".repeat(1 << 20)));
    let mut server = Server::with(Setup::audit(OwnedFd::from(writer)));
    until_full(&server);
    let _waiting = server.in_progress();
    server.signal("-TERM");
    until("it stops", || server.said().contains("stopping"));
    let began = Instant::now();
    server.signal("-INT");
    assert_eq!(server.wait().code(), Some(1));
    assert!(began.elapsed() < WRITE_TIMEOUT);
    drop(reader);
    assert!(filling.join().unwrap().is_err());
}

/// Asks until the pipe takes no more. The filler and the server write in turns, so that some lines may get through.
fn until_full(server: &Server) {
    let began = Instant::now();
    while server.ask(&post("/v1/leancloud/login", "tom", "")).status != 503 {
        assert!(began.elapsed() < LONG, "the pipe is never full");
    }
}

#[test]
fn a_file_at_its_limit_is_a_503_and_recovers() {
    let path = directory().join("audit.log");
    let server = Server::with(Setup::server(&format!("[audit]\nto = \"{}\"", path.display())));
    let asked = post("/v1/leancloud/login", "tom", "");
    assert_eq!(server.ask(&asked).status, 200);
    // The next line is torn.
    server.limit_files(Some(path.metadata().unwrap().len() + 10));
    assert_eq!(server.ask(&asked).status, 503);
    assert_eq!(server.ask(&asked).status, 503);
    server.limit_files(None);
    let began = Instant::now();
    while !server.is_ready() {
        assert!(began.elapsed() < LONG, "it does not recover");
        thread::sleep(Duration::from_millis(10));
    }
    let answer = server.ask(&asked);
    assert_eq!(answer.status, 200);
    let log = std::fs::read_to_string(&path).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["request_id"], answer.header("x-request-id").unwrap());
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
