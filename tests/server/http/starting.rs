//! What is said, or refused, before anything is answered.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::{Server, Setup, post};

/// The configuration of a server that runs, with its audit log elsewhere. Its own address can't be listened on again.
fn another(server: &Server, audit: &Path) -> PathBuf {
    let text = fs::read_to_string(server.directory.join("signer.toml")).unwrap();
    let taken = text.replacen("127.0.0.1:0", &server.main.to_string(), 1);
    let configuration = server.directory.join("another.toml");
    fs::write(&configuration, format!("{taken}\n[audit]\nto = \"{}\"\n", audit.display())).unwrap();
    configuration
}

/// Runs `serve` until it ends, or is ended for not doing so, and tells its exit code and what it said.
fn serve(configuration: &Path, redirection: &str) -> (Option<i32>, String) {
    let command = format!("exec timeout 20 \"$0\" serve --config \"$1\" {redirection}");
    let program = env!("CARGO_BIN_EXE_chat-signer");
    let Output { status, stderr, .. } =
        Command::new("sh").args(["-c", &command, program]).arg(configuration).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_pipe_that_nobody_reads_is_said_at_once() {
    let server = Server::start();
    let fifo = server.directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (code, said) = serve(&another(&server, &fifo), "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("audit.to") && said.contains("can't be opened: nobody reads this pipe"), "{said}");
}

#[test]
fn an_audit_log_that_goes_nowhere_is_warned_of() {
    let server = Server::start();
    for (to, redirection, warned) in
        [("stdout", ">&-", true), ("stdout", "> /dev/null", true), ("stdout", "", false), ("/dev/null", "", false)]
    {
        let (code, said) = serve(&another(&server, to.as_ref()), redirection);
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said.contains("WARN the audit log goes nowhere"), warned, "{to} {redirection}: {said}");
    }
}

#[test]
fn a_hang_up_while_the_configuration_is_read_stops_nothing() {
    let server = Server::start();
    let fifo = server.directory.join("fifo.secret");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let configuration = another(&server, "stdout".as_ref());
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("leancloud.secret", "fifo.secret")).unwrap();
    let mut starting = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    let starting = starting.args(["serve", "--config"]).arg(configuration).stdout(Stdio::null()).stderr(Stdio::piped());
    let starting = starting.spawn().unwrap();
    // This waits until it is being read.
    let mut secret = File::options().write(true).open(fifo).unwrap();
    assert!(Command::new("kill").args(["-HUP", &starting.id().to_string()]).status().unwrap().success());
    let _ = secret.write_all(b"fake-leancloud-master-key");
    drop(secret);
    let Output { status, stderr, .. } = starting.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{status}: {said}");
    assert!(said.contains("server.listen can't listen on"), "{said}");
}

#[test]
fn with_json_every_line_is_json_from_the_first_on() {
    let arguments: &[&str] = &["--log-format", "json"];
    let mut server = Server::with(Setup { arguments, ..Setup::more("[store]\ntype = \"memory\"") });
    server.signal("-TERM");
    server.wait();
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warning = lines.iter().find(|line| line["message"].as_str().unwrap().contains("loses all bans")).unwrap();
    assert_eq!(warning["level"], "WARN");
    assert!(warning["file"].as_str().unwrap().ends_with("signer.toml"), "{warning}");
    assert!(warning["line"].as_u64().unwrap() > 1 && warning["column"] == 8, "{warning}");
    assert!(warning["help"].as_str().unwrap().contains("redb"), "{warning}");
}

#[test]
fn with_json_each_mistake_in_the_configuration_is_one_line_of_json() {
    let server = Server::start();
    let configuration = another(&server, "stdout".as_ref());
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, format!("{text}\n[nonsense]\n")).unwrap();
    let (code, said) = serve(&configuration, "--log-format json");
    assert_eq!(code, Some(1), "{said}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mistake = lines.iter().find(|line| line["message"].as_str().unwrap().contains("nonsense")).unwrap();
    assert_eq!((&mistake["level"], mistake["line"].is_u64()), (&"ERROR".into(), true), "{mistake}");
}

#[test]
fn a_reload_changes_the_level_of_the_log_unless_an_argument_sets_it() {
    let refused = r#"{"conv_id": "a", "members": ["bob"]}"#;
    for (arguments, logs) in [(&[][..], true), (&["--log-level", "info"][..], false)] {
        let server = Server::with(Setup { arguments, ..Setup::more("[log]\nlevel = \"info\"") });
        assert_eq!(server.ask(&post("/v1/leancloud/kick", "tom", refused)).status, 403);
        server.change("level = \"info\"", "level = \"debug\"");
        assert!(!server.said().contains("DEBUG"), "{}", server.said());
        assert_eq!(server.ask(&post("/v1/leancloud/kick", "tom", refused)).status, 403);
        // The log of the next reload follows all earlier lines.
        server.change("level = \"debug\"", "level = \"info\"");
        assert_eq!(server.said().contains("DEBUG"), logs, "{}", server.said());
    }
}

#[test]
fn what_a_client_says_forges_no_line_of_the_log() {
    let mut server = Server::with(Setup { arguments: &["--log-level", "debug"], ..Setup::default() });
    let member = r#"{"conv_id": "a\u202eb", "members": ["bob"]}"#;
    assert_eq!(server.ask(&post("/v1/leancloud/kick", "tom", member)).status, 403);
    let forged = r#"{"capability": {"a\nERROR forged": ["publish"]}}"#;
    assert_eq!(server.ask(&post("/v1/ably/token", "tom", forged)).status, 403);
    server.signal("-TERM");
    server.wait();
    let log = server.log();
    assert!(log.contains(r"a\u202eb"), "{log}");
    assert!(!log.contains('\u{202e}') && !log.lines().any(|line| line.starts_with("ERROR")), "{log}");
}
