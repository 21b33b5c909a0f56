//! Refused requests cannot fill the disk: beyond a budget they are counted, and their number is written.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Server, Setup, post, request, until};

const SUMMARY: &str = "requests_refused";

/// The default budget of an address: what is saved up, and what is added each second, in bytes.
const SAVED: u64 = 256 << 10;
const PER_SECOND: u64 = 4 << 10;

fn server(more: &str) -> Server {
    Server::with(Setup::more(&format!("[audit]\nto = \"audit.log\"\n{more}")))
}

/// A budget that a few requests use up.
const SMALL: &str = "[limits]\nrefused_lines = \"16B\"\n";

fn anonymous() -> String {
    request("POST", "/v1/leancloud/login", "", "")
}

/// The audit log so far, in lines.
fn lines(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The audit log after the server has ended in good order.
fn final_lines(server: &mut Server) -> Vec<Value> {
    server.signal("-TERM");
    assert!(server.wait().success(), "it ends in good order");
    lines(server).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many refused requests the log tells of, in lines of their own and in summaries.
fn told(lines: &[Value]) -> u64 {
    let own = lines.iter().filter(|line| line["decision"].is_string() && line["decision"] != "allow").count() as u64;
    own + summaries(lines).map(|summary| summary["count"].as_u64().unwrap()).sum::<u64>()
}

fn summaries(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().filter(|line| line["event"] == SUMMARY)
}

/// The whole seconds since then, rounded up.
fn seconds_since(began: Instant) -> u64 {
    began.elapsed().as_secs() + 1
}

#[test]
fn refused_requests_over_one_connection_write_no_more_than_the_budget() {
    const COUNT: u64 = 3000;
    let mut server = server("");
    let (mut connection, began) = (server.connect(), Instant::now());
    for _ in 0..COUNT {
        assert_eq!(connection.ask(&anonymous()).status, 401);
    }
    let lines_of_all = final_lines(&mut server);
    let seconds = seconds_since(began);
    assert_eq!(told(&lines_of_all), COUNT, "nothing is missing");
    assert!(summaries(&lines_of_all).count() as u64 <= seconds + 1, "one summary a second");
    let (summed, own): (Vec<String>, Vec<String>) = lines(&server).into_iter().partition(|line| line.contains(SUMMARY));
    let bytes = |lines: &[String]| lines.iter().map(|line| line.len() as u64 + 1).sum::<u64>();
    assert!(bytes(&own) <= SAVED + PER_SECOND * seconds, "{} bytes in {seconds} s", bytes(&own));
    assert!(bytes(&summed) <= 600 * (seconds + 1), "{} bytes in {seconds} s", bytes(&summed));
    let (first, last) = (summaries(&lines_of_all).next().unwrap(), lines_of_all.last().unwrap());
    assert_eq!((&first["address"], &first["callers"]), (&json!("127.0.0.1"), &Value::Null));
    assert_eq!(first["decisions"]["refused"], first["count"]);
    assert!(first["reasons"].as_object().unwrap().keys().all(|reason| reason.contains("no credential")), "{first}");
    assert!(first["since"].as_str().unwrap() <= first["until"].as_str().unwrap());
    assert_eq!(last["event"], SUMMARY, "what was still counted at the end is written");
}

#[test]
fn allowed_requests_have_their_own_lines_whatever_else_comes() {
    let mut server = server(SMALL);
    let mut connection = server.connect();
    let mut ids = Vec::new();
    for number in 0..200 {
        assert_eq!(connection.ask(&anonymous()).status, 401);
        if number % 10 == 9 {
            let answer = connection.ask(&post("/v1/leancloud/login", "tom", "{}"));
            assert_eq!(answer.status, 200);
            ids.push(answer.header("x-request-id").unwrap().to_owned());
        }
    }
    let lines = final_lines(&mut server);
    let allowed = lines.iter().filter(|line| line["decision"] == "allow");
    assert_eq!(allowed.map(|line| line["request_id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert_eq!(told(&lines), 200);
    assert!(summaries(&lines).count() > 0);
}

#[test]
fn a_summary_names_callers_and_rules_without_a_further_request() {
    let server = server(SMALL);
    let mut connection = server.connect();
    let kick = post("/v1/leancloud/kick", "tom", r#"{"conv_id": "room", "members": ["bob"]}"#);
    for _ in 0..50 {
        assert_eq!(connection.ask(&kick).status, 403);
        assert_eq!(connection.ask(&post("/v1/leancloud/login", "mallory", "{}")).status, 403);
    }
    let read = || lines(&server).iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    until("all of them are told", || told(&read()) == 100);
    let lines = read();
    let of = |pick: &dyn Fn(&Value) -> u64| summaries(&lines).map(pick).sum::<u64>();
    let count = of(&|summary| summary["count"].as_u64().unwrap());
    let rule = of(&|summary| summary["reasons"]["rule owners"].as_u64().unwrap_or(0));
    let ban = of(&|summary| summary["reasons"]["ban"].as_u64().unwrap_or(0));
    assert_eq!((rule + ban, of(&|summary| summary["decisions"]["deny"].as_u64().unwrap())), (count, count));
    let callers = |summary: &Value| summary["callers"].as_array().unwrap().clone();
    let named = summaries(&lines).flat_map(callers).map(|caller| caller["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(named, count);
    assert!(rule > 0 && ban > 0, "{lines:?}");
}

#[test]
fn long_lists_are_cut_where_nothing_is_allowed_and_counted() {
    let mut server = server("");
    let members = |count: usize| (0..count).map(|number| format!("member-{number}")).collect::<Vec<_>>();
    let ask = |path: &str, body: Value| server.ask(&post(path, "tom", &body.to_string())).status;
    assert_eq!(ask("/v1/leancloud/kick", json!({"conv_id": "room", "members": members(500)})), 403);
    assert_eq!(ask("/v1/leancloud/kick", json!({"conv_id": "room", "members": members(20)})), 403);
    assert_eq!(ask("/v1/leancloud/create", json!({"members": members(500)})), 200);
    assert_eq!(ask("/v1/leancloud/create", json!({"members": members(501)})), 400, "more than a conversation holds");
    let channels: serde_json::Map<_, _> = (0..50).map(|number| (format!("c-{number}"), json!(["publish"]))).collect();
    assert_eq!(ask("/v1/ably/token", json!({"capability": channels})), 403);
    let lines = final_lines(&mut server);
    assert_eq!(lines.len(), 4);
    let named = |line: &Value| (line["targets"].as_array().map(Vec::len), line["targets_count"].as_u64());
    let expected = [(Some(20), Some(500)), (Some(20), None), (Some(500), None), (None, None)];
    assert_eq!(lines.iter().map(named).collect::<Vec<_>>(), expected);
    assert_eq!((lines[3]["asked"].as_object().unwrap().len(), &lines[3]["asked_count"]), (20, &json!(50)));
}

#[test]
fn while_the_log_cannot_be_written_nobody_is_refused_without_a_record() {
    let mut server = server(SMALL);
    let mut connection = server.connect();
    for _ in 0..100 {
        assert_eq!(connection.ask(&anonymous()).status, 401);
    }
    server.limit_files(Some(0));
    assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 503);
    assert_eq!(connection.ask(&anonymous()).status, 503, "beyond the budget, too");
    server.limit_files(None);
    until("it recovers", || server.is_ready());
    assert_eq!(connection.ask(&anonymous()).status, 401);
    let lines = final_lines(&mut server);
    assert!(told(&lines) >= 101, "what was counted before is written after all: {lines:?}");
}

#[test]
fn a_flood_of_warnings_is_cut_short_and_counted() {
    const COUNT: u64 = 500;
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut server = Server::with(Setup::audit(full));
    let (mut connection, began) = (server.connect(), Instant::now());
    for _ in 0..COUNT {
        assert_eq!(connection.ask(&anonymous()).status, 503);
    }
    server.signal("-TERM");
    server.wait();
    let spans = began.elapsed().as_secs() / 10 + 1;
    let log = server.log();
    let warnings = log.lines().filter(|line| line.contains("request_id=")).count() as u64;
    assert!(warnings <= 10 * spans, "{warnings} in {:?}: {log}", Duration::from_secs(10 * spans));
    let left_out = |line: &str| {
        let number = line.split_once("left_out=")?.1;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    assert_eq!(warnings + log.lines().filter_map(left_out).sum::<u64>(), COUNT, "{log}");
}
