//! What ends by itself has its line in the audit log, like all that is asked for.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{Server, until};
use crate::routes::world::{Service, User, now, server, soon};

const FILE: &str = "[audit]\nto = \"audit.log\"\n";

/// A server whose audit log is a file.
fn audited() -> (Server, PathBuf) {
    let server = server(FILE);
    let path = server.directory.join("audit.log");
    (server, path)
}

/// The lines that no request asked for.
fn lines(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    // One that is being written is not whole yet.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["event"].is_string()).collect()
}

/// The lines of what ended, once there are so many.
fn ended(path: &PathBuf, count: usize) -> Vec<Value> {
    let ended = || lines(path).into_iter().filter(|line| line["event"] != "audit_resumed").collect::<Vec<_>>();
    until("what ended is in the audit log", || ended().len() >= count);
    ended()
}

/// What the server counts by this name.
fn counted(server: &Server, name: &str) -> String {
    let metrics = server.admin("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[test]
fn what_ends_by_itself_is_in_the_audit_log() {
    let (server, path) = audited();
    let until = soon();
    Service.does(&server, "bans", &json!({"users": ["tom", "zoe"], "until": until, "reason": "spam"}));
    let mute = json!({"users": ["carol"], "conversation": "den", "app": "ably", "until": until});
    User("bob").does(&server, "mutes", &mute);
    let mut found = ended(&path, 3);
    found.sort_by_key(|line| line["targets"].to_string());
    for line in &mut found {
        let line = line.as_object_mut().unwrap();
        // How many changes took them away depends on the machine.
        assert!(line.remove("change").unwrap().as_u64().unwrap() > 2);
        let (at, time) = (line.remove("at").unwrap(), line.remove("time").unwrap());
        let [at, time] = [&at, &time].map(|time| time.as_str().unwrap());
        assert!(at < until.as_str() && time >= until.as_str(), "{at} {until} {time}");
    }
    let service = json!({"kind": "service", "subject": "orders"});
    let bob = json!({"kind": "user", "subject": "bob", "role": "manager"});
    assert_eq!(
        found,
        [
            json!({"event": "mute.expired", "app": "ably", "conversation": "den", "targets": ["carol"], "until": until, "by": bob}),
            json!({"event": "ban.expired", "conversation": "*", "targets": ["tom"], "until": until, "reason": "spam", "by": service}),
            json!({"event": "ban.expired", "conversation": "*", "targets": ["zoe"], "until": until, "reason": "spam", "by": service}),
        ]
    );
}

#[test]
fn nothing_ends_while_the_audit_log_can_not_be_written() {
    let (server, path) = audited();
    let until_then = soon();
    Service.does(&server, "bans", &json!({"users": ["tom"], "until": until_then}));
    server.limit_files(Some(path.metadata().unwrap().len()));
    assert_eq!(Service.gets(&server, "bans").status, 503);
    until("its time is over", || now() > until_then);
    let entries = || counted(&server, "chat_signer_moderation_entries");
    assert_eq!((entries(), lines(&path).len()), ("1.0".to_owned(), 0));
    server.limit_files(None);
    assert_eq!(ended(&path, 1)[0]["targets"], json!(["tom"]));
    assert_eq!(entries(), "0.0");
}

#[test]
fn a_line_that_could_not_be_written_is_written_once_it_can() {
    let (server, path) = audited();
    Service.does(&server, "bans", &json!({"users": ["tom"], "until": soon()}));
    // Nothing but the end itself finds out.
    server.limit_files(Some(path.metadata().unwrap().len()));
    until("it has ended", || counted(&server, "chat_signer_moderation_entries") == "0.0");
    until("the log is known to fail", || !server.is_ready());
    server.limit_files(None);
    assert_eq!(ended(&path, 1)[0]["targets"], json!(["tom"]));
    // What is recorded next comes after it, and nothing is told twice.
    Service.does(&server, "bans", &json!({"users": ["zoe"], "until": soon()}));
    let targets: Vec<Value> = ended(&path, 2).iter().map(|line| line["targets"].clone()).collect();
    assert_eq!(targets, [json!(["tom"]), json!(["zoe"])]);
}
