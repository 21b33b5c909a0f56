//! What is too much, too slow or not HTTP.

use std::net::Shutdown;

use crate::common::{Server, Setup, post, request, token};

/// As short as it may be.
const HASTY: &str = "request_timeout = \"100ms\"";

fn headers() -> String {
    format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token("tom"))
}

#[test]
fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let server = Server::with(Setup::server("body_limit = \"1KiB\""));
    let body = |length: usize| format!("{{{}}}", " ".repeat(length - 2));
    let mut connection = server.connect();
    assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", &body(1024))).status, 200);
    let answer = connection.ask(&post("/v1/leancloud/login", "tom", &body(1025)));
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    assert_eq!(answer.json()["detail"], "The body must have at most 1024 bytes.");
    assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200, "the connection goes on");
    // Far beyond the limit: the answer still gets through.
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", &body(900_000))).status, 413);
}

#[test]
fn a_body_of_untold_length_is_counted() {
    let server = Server::with(Setup::server("body_limit = \"1KiB\""));
    let chunked = |length: usize| {
        let chunk = " ".repeat(length - 2);
        let head = format!(
            "POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n{}transfer-encoding: chunked\r\n\r\n",
            headers()
        );
        format!("{head}1\r\n{{\r\n{:x}\r\n{chunk}\r\n1\r\n}}\r\n0\r\n\r\n", chunk.len())
    };
    let mut connection = server.connect();
    assert_eq!(connection.ask(&chunked(1024)).status, 200);
    assert_eq!(connection.ask(&chunked(1025)).status, 413);
    assert_eq!(connection.ask(&chunked(64)).status, 200);
}

#[test]
fn nothing_of_the_body_is_read_for_unknown_callers() {
    let server = Server::start();
    let mut connection = server.connect();
    // The body is promised and never sent.
    let answer = connection.ask("POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n");
    assert_eq!(answer.status, 401);
}

#[test]
fn broken_json_is_named_by_its_place_and_not_quoted() {
    let server = Server::start();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"canary\"",
        "{\"canary\": }",
        "{\"canary\": 1, \"canary\": 2}",
        &"[".repeat(20_000),
        "\0",
        "{}canary",
    ] {
        let answer = server.ask(&post("/v1/leancloud/login", "tom", body));
        if body.is_empty() {
            assert_eq!(answer.status, 200);
            continue;
        }
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{body}");
        assert!(!answer.body.contains("canary"), "{}", answer.body);
    }
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::with(Setup::server(HASTY));
    let mut connection = server.connect();
    let answer = connection.ask(&format!(
        "POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n{}content-length: 9\r\n\r\n{{",
        headers()
    ));
    assert_eq!((answer.status, answer.code().as_str()), (408, "malformed"));
    assert_eq!(answer.json()["detail"], "The body did not arrive within 100ms.");
    assert_eq!(connection.rest(), "", "and the connection ends");
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let server = Server::with(Setup::server(HASTY));
    for beginning in [
        "",
        "P",
        "POST /v1/leancloud/login HTTP/1.1\r\nhost: loc",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(beginning);
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut connection.stream(), &mut rest).unwrap();
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{beginning:?}");
    }
    assert_eq!(server.ask(&request("GET", "/livez", "", "")).status, 200);
}

#[test]
fn headers_have_limits() {
    let server = Server::start();
    let long = format!("x-long: {}\r\n", "a".repeat(40_000));
    assert_eq!(server.connect().ask(&request("GET", "/livez", &long, "")).status, 431);
    let many = "x-many: 1\r\n".repeat(200);
    assert_eq!(server.connect().ask(&request("GET", "/livez", &many, "")).status, 431);
    let query = format!("/v1/talkjs/token?ttl={}", "1".repeat(20_000));
    let answer = server.ask(&crate::common::get(&query, "tom"));
    assert_eq!((answer.status, answer.code().as_str()), (414, "too_large"));
}

#[test]
fn what_is_not_http_is_turned_away() {
    let server = Server::start();
    for nonsense in [
        "nonsense\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        assert_eq!(server.ask(nonsense).status, 400, "{nonsense}");
    }
    assert_eq!(server.ask(&request("GET", "/livez", "", "")).status, 200);
}

#[test]
fn a_client_may_close_its_half_and_still_read_the_answer() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send(&post("/v1/leancloud/login", "tom", "{}"));
    connection.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.read().status, 200);
    assert_eq!(connection.rest(), "");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send(&format!(
        "POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n{}content-length: 2\r\nexpect: 100-continue\r\n\r\n",
        headers()
    ));
    assert_eq!(connection.head().status, 100);
    assert_eq!(connection.ask("{}").status, 200);
}

#[test]
fn requests_may_be_sent_ahead() {
    let server = Server::start();
    let mut connection = server.connect();
    let one = post("/v1/leancloud/login", "tom", "{}");
    connection.send(&one.repeat(20));
    assert!((0..20).all(|_| connection.read().status == 200));
}
