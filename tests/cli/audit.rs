//! `audit show`: which lines it shows, and how.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::common::directory;

fn decision(second: u32, decision: &str, user: &str, more: &Value) -> String {
    let mut line = json!({
        "time": format!("2026-11-22T00:03:{second:02}.000Z"), "request_id": format!("id-{second}"), "decision": decision,
        "caller": { "kind": "user", "subject": user }, "app": "leancloud", "action": "join", "client": user,
        "latency_us": 100 * second,
    });
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string() + "\n"
}

/// Ten lines: tom joins, is denied, and bob bans him; a line that is torn, and an event.
fn log() -> String {
    [
        decision(1, "allow", "tom", &json!({ "conversation": "room", "rules": ["everyone-joins"] })),
        decision(2, "deny", "tom", &json!({ "conversation": "room", "rule": "owners-kick", "reason": "tom is member", "action": "kick", "targets": ["bob", "ann"], "targets_count": 30 })),
        decision(3, "allow", "bob", &json!({ "action": "ban", "targets": ["tom"], "rules": ["moderators"], "app": null })),
        decision(4, "deny", "tom", &json!({ "ban": "*", "reason": "tom is banned\u{1b}[31m" })),
        decision(5, "allow", "zoe", &json!({ "app": "ably", "action": "login", "granted": { "room": ["publish"] } })),
        "{\"time\":\"2026-11-22T00:03:06\n".to_owned(),
        json!({ "time": "2026-11-22T00:03:07.000Z", "event": "ban.expired", "targets": ["tom"], "conversation": "*" }).to_string() + "\n",
    ]
    .concat()
}

fn show(directory: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_chat-signer");
    Command::new(program).args(["audit", "show"]).args(arguments).current_dir(directory).output().unwrap()
}

/// The seconds of the lines that are shown.
fn seconds(directory: &Path, arguments: &[&str]) -> Vec<u32> {
    let output = show(directory, &[&["audit.log", "-o", "json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let times =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].as_str().unwrap().to_owned());
    times.map(|time| time[17..19].parse().unwrap()).collect()
}

#[test]
fn each_filter_selects_its_lines() {
    let home = directory();
    fs::write(home.join("audit.log"), log()).unwrap();
    let expected: [(&[&str], &[u32]); 12] = [
        (&[], &[1, 2, 3, 4, 5, 7]),
        (&["--user", "tom"], &[1, 2, 3, 4, 7]),
        (&["--user", "ann"], &[2]),
        (&["--conversation", "room"], &[1, 2, 5]),
        (&["--app", "ably"], &[5]),
        (&["--decision", "deny"], &[2, 4]),
        (&["--decision", "deny,allow", "--user", "bob"], &[2, 3]),
        (&["--action", "ban"], &[3]),
        (&["--rule", "owners-kick"], &[2]),
        (&["--rule", "moderators"], &[3]),
        (&["--request-id", "id-4"], &[4]),
        (&["--since", "2026-11-22T00:03:03Z", "--until", "2026-11-22T00:03:05Z"], &[3, 4]),
    ];
    for (arguments, shown) in expected {
        assert_eq!(seconds(&home, arguments), shown, "{arguments:?}");
    }
    assert_eq!(seconds(&home, &["--since", "1h", "--user", "nobody"]), [0; 0]);
    let wrong = show(&home, &["audit.log", "--decision", "maybe"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("allow, deny, invalid, refused, unavailable"));
}

#[test]
fn a_row_says_who_wanted_what_and_why_not() {
    let home = directory();
    fs::write(home.join("audit.log"), log()).unwrap();
    let output = show(&home, &["audit.log", "--decision", "deny"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "2026-11-22T00:03:02.000Z  deny         tom               leancloud kick room → bob, ann and 28 more  [owners-kick]  tom is member\n\
         2026-11-22T00:03:04.000Z  deny         tom               leancloud join  tom is banned\\u{1b}[31m\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "note: lines that are not lines of an audit log: 1\n");
}

#[test]
fn compressed_files_and_standard_input_are_read() {
    let home = directory();
    let mut gzip = GzEncoder::new(File::create(home.join("audit.log.1.gz")).unwrap(), Compression::default());
    gzip.write_all(log().as_bytes()).unwrap();
    gzip.finish().unwrap();
    fs::write(home.join("audit.log"), decision(9, "allow", "tom", &json!({}))).unwrap();
    let both = show(&home, &["audit.log.1.gz", "audit.log", "--user", "tom", "-o", "json"]);
    assert_eq!(String::from_utf8(both.stdout).unwrap().lines().count(), 6);
    let input = File::open(home.join("audit.log")).unwrap();
    let program = env!("CARGO_BIN_EXE_chat-signer");
    let piped = Command::new(program).args(["audit", "show", "-"]).stdin(input).output().unwrap();
    assert!(String::from_utf8(piped.stdout).unwrap().starts_with("2026-11-22T00:03:09.000Z  allow"));
    let missing = show(&home, &["none.log"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().starts_with("error: cannot read none.log: "));
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_counted() {
    let home = directory();
    let long = "x".repeat(9 << 20);
    fs::write(home.join("audit.log"), format!("{long}\n{}", decision(9, "allow", "tom", &json!({})))).unwrap();
    let output = show(&home, &["audit.log"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("2026-11-22T00:03:09.000Z  allow"));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "note: lines that are not lines of an audit log: 1\n");
}

#[test]
fn the_summary_counts_and_ranks() {
    let home = directory();
    fs::write(home.join("audit.log"), log()).unwrap();
    let output = show(&home, &["audit.log", "--summary", "-o", "json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["decisions"], json!({ "allow": 3, "deny": 2 }));
    assert_eq!(summary["events"], json!({ "ban.expired": 1 }));
    assert_eq!(
        summary["denials_by_rule"],
        json!([{ "name": "no rule", "count": 1 }, { "name": "owners-kick", "count": 1 }])
    );
    assert_eq!(summary["top_callers"][0], json!({ "name": "user tom", "count": 3 }));
    assert_eq!(summary["slowest"][0], json!({ "latency_us": 500, "request_id": "id-5", "action": "login" }));
    assert_eq!(summary["first"], "2026-11-22T00:03:01.000Z");
    let text = String::from_utf8(show(&home, &["audit.log", "--summary"]).stdout).unwrap();
    assert!(text.starts_with("6 lines from 2026-11-22T00:03:01.000Z to 2026-11-22T00:03:07.000Z\n"), "{text}");
    assert!(text.contains("\nslowest requests\n       0.5 ms  id-5  login\n"), "{text}");
    assert_eq!(show(&home, &["audit.log", "--user", "nobody", "--summary"]).stdout, b"no line matches\n");
}

#[test]
fn a_followed_log_goes_on_after_its_rotation() {
    let home = directory();
    let log = home.join("audit.log");
    fs::write(&log, decision(1, "allow", "tom", &json!({}))).unwrap();
    let mut shown = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
        .args(["audit", "show", "--follow", "-o", "json"])
        .arg(&log)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(shown.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut expect = |second: u32| assert!(lines.next().unwrap().contains(&format!("\"id-{second}\"")), "{second}");
    expect(1);
    let mut old = File::options().append(true).open(&log).unwrap();
    let second = decision(2, "deny", "tom", &json!({}));
    let (start, end) = second.split_at(20);
    old.write_all(start.as_bytes()).unwrap();
    old.write_all(end.as_bytes()).unwrap();
    expect(2);
    fs::rename(&log, home.join("audit.log.1")).unwrap();
    old.write_all(decision(3, "allow", "tom", &json!({})).as_bytes()).unwrap();
    expect(3);
    fs::write(&log, decision(4, "allow", "tom", &json!({}))).unwrap();
    expect(4);
    shown.kill().unwrap();
    shown.wait().unwrap();
}
