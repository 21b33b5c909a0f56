//! How the program ends, and how it is asked.

use std::net::TcpStream;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Connection, LONG, Log, Server, Setup, request, token, until};

/// A request whose body is still to come, and which is known to be in progress.
fn begun(server: &Server) -> Connection {
    let mut connection = server.connect();
    let headers =
        format!("authorization: Bearer {}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n", token("tom"));
    connection
        .send(&format!("POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: 2\r\n\r\n"));
    assert_eq!(connection.head().status, 100);
    connection
}

fn until_refused(server: &Server) {
    let began = Instant::now();
    while TcpStream::connect(server.main).is_ok() {
        assert!(began.elapsed() < LONG, "it goes on accepting");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_begun_is_finished() {
    let mut server = Server::start();
    let mut idle = server.connect();
    assert_eq!(idle.ask(&request("GET", "/livez", "", "")).status, 200);
    let mut connection = begun(&server);
    server.signal("-TERM");
    until_refused(&server);
    assert_eq!(server.admin("/readyz?verbose").body, "[-] serving: shutting down\n[+] audit: ok\n");
    assert_eq!(idle.rest(), "", "who waits for nothing is let go");
    assert_eq!(connection.ask("{}").status, 200);
    assert_eq!(connection.rest(), "");
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("stopping"));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::with(Setup::server("request_timeout = \"5m\""));
    let _connection = begun(&server);
    server.signal("-INT");
    until_refused(&server);
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(1));
}

/// A server that waits long for load balancers when it stops.
fn waiting_for_load_balancers() -> Server {
    let server = Server::with(Setup::server("request_timeout = \"5m\""));
    server.change("drain_delay = \"0s\"", "drain_delay = \"5m\"");
    server
}

#[test]
fn ctrl_c_waits_for_nobody_if_nothing_probes_the_server() {
    let mut server = waiting_for_load_balancers();
    server.signal("-INT");
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("press Ctrl-C again to exit at once"));
}

#[test]
fn ctrl_c_waits_if_something_probes_the_server_or_a_request_is_in_progress() {
    type Begin = fn(&Server) -> Option<Connection>;
    let begins: [Begin; 3] = [
        |server| {
            assert_eq!(server.ask(&request("GET", "/readyz", "", "")).status, 200);
            None
        },
        |server| {
            assert!(server.is_ready());
            None
        },
        |server| Some(begun(server)),
    ];
    for begin in begins {
        let mut server = waiting_for_load_balancers();
        let _busy = begin(&server);
        server.signal("-INT");
        until("it stops", || server.said().contains("stopping: "));
        assert_eq!(server.ask(&request("GET", "/livez", "", "")).status, 200, "it still accepts connections");
        server.signal("-INT");
        assert_eq!(server.wait().code(), Some(1), "a second Ctrl-C ends the wait");
    }
}

#[test]
fn sigterm_always_waits_for_load_balancers() {
    let mut server = waiting_for_load_balancers();
    server.signal("-TERM");
    until("it stops", || server.said().contains("a second SIGTERM or Ctrl-C exits at once"));
    assert_eq!(server.ask(&request("GET", "/livez", "", "")).status, 200);
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn a_hang_up_stops_nothing() {
    let mut server = Server::start();
    server.signal("-HUP");
    assert!(server.is_ready());
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn it_goes_on_when_nobody_reads_its_log() {
    let mut server = Server::with(Setup { log: Log::Closed, ..Setup::default() });
    server.signal("-TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn it_says_what_keeps_it_from_starting() {
    let first = Server::start();
    let configuration = first.directory.join("signer.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text.replacen("127.0.0.1:0", &first.main.to_string(), 1)).unwrap();
    let Output { status, stderr, .. } = run(&["serve", "--config", configuration.to_str().unwrap()]);
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&format!("server.listen can't listen on {}", first.main)), "{said}");
}

#[test]
fn a_probe_tells_by_its_exit_code() {
    let server = Server::start();
    let admin = server.admin.to_string();
    let Output { status, stdout, .. } = run(&["probe", "--admin", &admin]);
    assert_eq!((status.code(), stdout.as_slice()), (Some(0), &b"[+] serving: ok\n[+] audit: ok\n"[..]));
    let Output { status, stdout, .. } = run(&["probe", "--admin", &admin, "-o", "json"]);
    assert_eq!(
        (status.code(), serde_json::from_slice::<serde_json::Value>(&stdout).unwrap()["ready"].as_bool()),
        (Some(0), Some(true))
    );
    drop(server);
    let Output { status, stderr, .. } = run(&["probe", "--admin", &admin]);
    assert_eq!(status.code(), Some(1));
    let said = String::from_utf8(stderr).unwrap();
    assert!(said.contains("does not answer") && said.contains("Is `chat-signer serve` running there?"), "{said}");
    assert_eq!(run(&["probe", "--admin", "nonsense"]).status.code(), Some(2));
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-signer")).args(arguments).output().unwrap()
}
