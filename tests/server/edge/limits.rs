//! Rates for callers and addresses, and caps on requests and connections.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Instant;

use crate::common::{Answer, Connection, LONG, SERVICE_KEY, Server, Setup, get, post, request};

fn login(server: &Server, user: &str) -> Answer {
    server.ask(&post("/v1/leancloud/login", user, "{}"))
}

/// All that a server logs to its orderly end.
fn logged(mut server: Server) -> String {
    server.signal("-TERM");
    server.wait();
    server.log()
}

/// Asks until it is so.
fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LONG, "not so after {LONG:?}");
    }
}

/// How many requests are let through until the first 429, which is returned, too.
fn until_limited(mut ask: impl FnMut() -> Answer) -> (usize, Answer) {
    for passed in 0..1000 {
        let answer = ask();
        if answer.status == 429 {
            return (passed, answer);
        }
    }
    panic!("there is no limit");
}

#[test]
fn a_caller_has_a_rate() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"2/s\""));
    let (passed, answer) = until_limited(|| login(&server, "tom"));
    assert!(passed >= 2, "{passed}");
    assert_eq!(answer.code(), "rate_limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(login(&server, "alice").status, 200, "others have their own");
    let log = logged(server);
    assert!(log.contains("turned away so far: requests beyond a caller's rate"), "{log}");
}

#[test]
fn a_caller_is_one_caller_wherever_it_asks() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"2/s\""));
    let mut turn = 0;
    let (passed, answer) = until_limited(|| {
        turn += 1;
        match turn % 3 {
            0 => login(&server, "tom"),
            1 => server.ask(&get("/v1/talkjs/token", "tom")),
            _ => server.ask(&get("/v1/ably/token", "tom")),
        }
    });
    assert!((2..200).contains(&passed), "{passed}: {answer:?}");
}

#[test]
fn ably_is_told_in_its_own_words() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"1/s\""));
    let (_, answer) = until_limited(|| server.ask(&get("/v1/ably/token", "tom")));
    assert_eq!(answer.json()["error"]["code"], 42900);
    assert_eq!(answer.json()["error"]["statusCode"], 429);
    assert_eq!(answer.header("x-ably-errorcode"), Some("42900"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn an_address_has_a_rate_before_anyone_is_asked_who_they_are() {
    let server = Server::with(Setup::more("[limits]\nper_address = \"2/s\""));
    let bad = request("POST", "/v1/leancloud/login", "x-api-key: nonsense\r\n", "");
    let (passed, _) = until_limited(|| server.ask(&bad));
    assert!(passed >= 2);
    let (_, answer) = until_limited(|| login(&server, "tom"));
    assert_eq!(answer.code(), "rate_limited");
    let (_, answer) = until_limited(|| server.ask("GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    assert_eq!(answer.code(), "rate_limited", "a path that isn't there counts, too");
    for _ in 0..20 {
        assert_eq!(server.ask("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").status, 200, "probes don't");
    }
}

#[test]
fn headers_change_nobodys_address() {
    let server = Server::with(Setup::more("[limits]\nper_address = \"2/s\""));
    let mut number = 0;
    until_limited(|| {
        number += 1;
        server.ask(&from(&format!("x-forwarded-for: 192.0.2.{number}\r\nforwarded: for=192.0.2.{number}\r\n")))
    });
}

#[test]
fn behind_trusted_proxies_the_address_before_them_counts() {
    let server = Server::with(Setup::more(
        "[limits]\nper_address = \"2/s\"\ntrusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]",
    ));
    let via = |address: IpAddr| server.ask(&from(&format!("x-forwarded-for: 203.0.113.7, {address}, 10.1.2.3\r\n")));
    let first = IpAddr::from([192, 0, 2, 1]);
    until_limited(|| via(first));
    // Two hundred others are not disturbed, and what a client itself claims further left is nothing.
    for number in 1..=200 {
        assert_eq!(via([198, 51, 100, number].into()).status, 401, "{number}");
    }
    until_limited(|| server.ask(&from("x-forwarded-for: 192.0.2.1, 192.0.2.99\r\n")));
    // The proxy's header is the one that counts, not the one that its client adds.
    let mut number = 0;
    until_limited(|| {
        number += 1;
        server.ask(&from(&format!("forwarded: for=192.0.2.{number}\r\nx-forwarded-for: 192.0.2.250\r\n")))
    });
}

#[test]
fn ipv6_addresses_count_by_their_network() {
    let server = Server::with(Setup::more("[limits]\nper_address = \"2/s\"\ntrusted_proxies = [\"127.0.0.1/32\"]"));
    let via = |address: Ipv6Addr| server.ask(&from(&format!("forwarded: for=\"[{address}]:443\"\r\n")));
    let mut host = 0;
    until_limited(|| {
        host += 1;
        via(Ipv6Addr::new(0x2001, 0xdb8, 1, 1, host, 0, 0, host))
    });
    assert_eq!(via(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 1, 0, 0, 1)).status, 401, "the next network is another");
}

/// A request without a credential, with these headers.
fn from(headers: &str) -> String {
    request("POST", "/v1/leancloud/login", headers, "")
}

#[test]
fn memory_is_bounded_whatever_the_number_of_addresses() {
    let server = Server::with(Setup::more("[limits]\nper_address = \"2/s\"\ntrusted_proxies = [\"127.0.0.1/32\"]"));
    let mut connection = server.connect();
    let mut ask = |number: u32| {
        let address = Ipv4Addr::from(number.wrapping_mul(0x9e37_79b9));
        connection.ask(&format!("GET /nowhere HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {address}\r\n\r\n"));
    };
    (0..1_000).for_each(&mut ask);
    let before = server.memory();
    (1_000..10_000).for_each(&mut ask);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 1 << 20, "9,000 further addresses took {grown} bytes");
}

/// Callers whom another server knows by a header.
fn sessions(backend: &TcpListener) -> String {
    let url = format!("http://{}/me", backend.local_addr().unwrap());
    format!(
        "[[authenticators]]\nname = \"sessions\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{url}\"\n\
         forward = {{ headers = [\"x-session\"] }}\nsubject = \"/id\"\n"
    )
}

#[test]
fn callers_leave_probes_their_share_of_what_the_system_allows() {
    let server = Server::start();
    server.limit_open_files(100);
    server.change("grace = \"20s\"", "grace = \"10s\"");
    let _callers: Vec<_> = (0..200).map(|_| server.connect()).collect();
    assert_eq!(server.admin("/livez").status, 200);
    server.change("grace = \"10s\"", "grace = \"5s\"");
    let log = logged(server);
    let warning =
        "the system allows 100 open files: callers have room for 50 connections, not limits.max_connections = 10000";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(log.contains("turned away so far: connections beyond limits.max_connections"), "{log}");
}

#[test]
fn beyond_the_cap_of_requests_in_progress_there_are_quick_refusals() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::with(Setup::more(&format!("[limits]\nmax_in_flight = 2\n{}", sessions(&backend))));
    let mut held: Vec<(Connection, TcpStream)> = Vec::new();
    for session in ["one", "two"] {
        let mut connection = server.connect();
        let credential = format!("x-session: {session}\r\ncontent-type: application/json\r\n");
        connection.send(&request("POST", "/v1/leancloud/login", &credential, "{}"));
        held.push((connection, backend.accept().unwrap().0));
    }
    let answer = login(&server, "alice");
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let ably = server.ask(&get("/v1/ably/token", "alice"));
    assert_eq!((ably.status, ably.json()["error"]["code"].as_u64()), (503, Some(50003)));
    assert_eq!(server.ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status, 200, "probes get through");
    for (connection, asked) in &mut held {
        asked.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"id\":\"tom\"}").unwrap();
        assert_eq!(connection.read().status, 200, "what is in progress is not disturbed");
    }
    assert_eq!(login(&server, "alice").status, 200, "and there is room again");
    let log = logged(server);
    assert!(log.contains("turned away so far: requests beyond limits.max_in_flight"), "{log}");
}

#[test]
fn those_who_wait_for_their_body_keep_out_nobody_but_their_like() {
    let server = Server::with(Setup::more("[limits]\nmax_in_flight = 2"));
    let mut slow: Vec<Connection> = (0..2).map(|_| server.in_progress()).collect();
    for _ in 0..5 {
        assert_eq!(login(&server, "alice").status, 200, "whole requests are served");
        let (_, answer) = server.begin();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for connection in &mut slow {
        connection.send("{}");
        assert_eq!(connection.read().status, 200, "those who wait are not disturbed");
    }
    let log = logged(server);
    assert!(log.contains("turned away so far: requests that waited for their body beyond"), "{log}");
}

#[test]
fn a_client_that_hangs_up_gives_its_place_back() {
    let server = Server::with(Setup::more("[limits]\nmax_in_flight = 1"));
    for _ in 0..5 {
        // The server hears soon of one that has hung up, and then there is a place to wait at.
        drop(server.in_progress());
        eventually(|| waits(&server));
    }
}

/// Whether a request may wait for its body, which it then gets.
fn waits(server: &Server) -> bool {
    let (mut connection, answer) = server.begin();
    if answer.status == 503 {
        return false;
    }
    assert_eq!(answer.status, 100);
    connection.ask("{}").status == 200
}

#[test]
fn connections_beyond_the_cap_are_closed_at_once() {
    let server = Server::with(Setup::more("[limits]\nmax_connections = 3"));
    let mut held: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut held {
        assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    }
    let beyond = server.connect();
    let mut rest = Vec::new();
    // Closed or reset: it is over either way.
    let _ = beyond.stream().read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert!(server.is_ready(), "probes have their own listener");
    held.pop();
    // The server hears of it soon.
    eventually(|| answers(&server));
    let log = logged(server);
    assert!(log.contains("turned away so far: connections beyond limits.max_connections"), "{log}");
}

/// Whether a new connection is served.
fn answers(server: &Server) -> bool {
    let connection = server.connect();
    let _ = std::io::Write::write_all(
        &mut connection.stream(),
        b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    let mut answer = Vec::new();
    connection.stream().read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn a_service_has_a_rate_of_its_own() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"2/s\""));
    let ask = || server.ask(&request("POST", "/v1/leancloud/login", &format!("x-api-key: {SERVICE_KEY}\r\n"), ""));
    let (passed, _) = until_limited(ask);
    assert!(passed >= 2);
}

#[test]
fn without_the_section_there_are_no_rates() {
    let server = Server::start();
    let mut connection = server.connect();
    for _ in 0..300 {
        assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    }
}
