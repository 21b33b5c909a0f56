//! Bytes that are not quite HTTP, and shapes by which one request is smuggled behind another.

use crate::abuse::request::{bearer, send};
use crate::bad_input::case::{self, Case, malformed, not_http, tom};
use crate::common::Connection;

/// A `POST` of JSON whose end of header and body are written out.
fn login(rest: &str) -> Vec<u8> {
    let headers = bearer(&tom()) + "content-type: application/json\r\n";
    format!("POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n{headers}{rest}").into_bytes()
}

/// A request that must not be seen as one: what the smuggler wants answered.
const HIDDEN: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn request_lines_and_headers_have_their_form() {
    let probe = |line: &str| format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{line}\r\n\r\n");
    let cases = [
        not_http("nonsense", "nonsense\r\n\r\n", 400),
        not_http("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n".to_vec(), 400),
        not_http("no version", "GET /livez\r\n\r\n", 400),
        not_http("another version", "GET /livez HTTP/1.9\r\nhost: localhost\r\n\r\n", 400),
        not_http("version 2 in words", "GET /livez HTTP/2.0\r\nhost: localhost\r\n\r\n", 400),
        not_http("another protocol", "GET /livez SSH/2.0\r\n\r\n", 400),
        not_http("no path", "GET  HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        not_http("a space in the path", "GET /live z HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        not_http("a NUL in the path", "GET /live\0z HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        not_http("a newline in the method", "GE\nT /livez HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        not_http("no colon", probe("no colon"), 400),
        not_http("no name", probe(": value"), 400),
        not_http("a space before the colon", probe("x-some : value"), 400),
        not_http("a folded header", probe("x-some: a\r\n b"), 400),
        not_http("a NUL in a value", probe("x-some: a\0b"), 400),
        not_http("a lone carriage return", probe("x-some: a\rb"), 400),
        not_http("a name beyond ASCII", probe("x-sömé: a"), 400),
        not_http("an enormous header", probe(&format!("x-some: {}", "a".repeat(40_000))), 431),
        not_http("an enormous name", probe(&format!("{}: a", "a".repeat(40_000))), 431),
        not_http("an enormous path", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(40_000)), 431),
        not_http("200 headers", probe(&"x-some: a\r\n".repeat(200)), 431),
        not_http("a long request id", probe(&format!("x-request-id: {}", "a".repeat(33_000))), 431),
    ];
    case::check(&cases);
}

#[test]
fn lengths_are_not_to_be_disputed() {
    let hidden = |headers: &str, body: &str| login(&format!("{headers}\r\n{body}{HIDDEN}"));
    let cases: Vec<Case> = vec![
        not_http("two lengths", hidden("content-length: 2\r\ncontent-length: 3\r\n", "{} "), 400),
        not_http("two lengths in one", hidden("content-length: 2, 3\r\n", "{} "), 400),
        not_http("a negative length", hidden("content-length: -2\r\n", "{}"), 400),
        not_http("a signed length", hidden("content-length: +2\r\n", "{}"), 400),
        not_http("a length in hex", hidden("content-length: 0x2\r\n", "{}"), 400),
        not_http("an empty length", hidden("content-length:\r\n", "{}"), 400),
        not_http("a length beyond counting", hidden("content-length: 99999999999999999999999\r\n", "{}"), 400),
        not_http("an unknown coding", hidden("transfer-encoding: xchunked\r\n", "{}"), 400),
        not_http("no coding", hidden("transfer-encoding: identity\r\n", "{}"), 400),
        not_http(
            "chunks, and then something else",
            hidden("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
            400,
        ),
        not_http(
            "chunks, and then something else in another line",
            hidden("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        not_http("a space before the coding's colon", hidden("transfer-encoding : chunked\r\n", "0\r\n\r\n"), 400),
        not_http("a vertical tab before the coding", hidden("transfer-encoding:\x0bchunked\r\n", "0\r\n\r\n"), 400),
        not_http(
            "chunks in HTTP/1.0",
            format!("POST /livez HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
            400,
        ),
    ];
    case::check(&cases);
}

#[test]
fn chunks_have_their_form() {
    let broken = "The body ended too early.";
    let chunks = |body: &str| login(&format!("transfer-encoding: chunked\r\n\r\n{body}{HIDDEN}"));
    let cases = [
        malformed("a size that is no number", chunks("x\r\n{}\r\n0\r\n\r\n"), broken).closes(),
        malformed("a negative size", chunks("-2\r\n{}\r\n0\r\n\r\n"), broken).closes(),
        malformed("a size with a prefix", chunks("0x2\r\n{}\r\n0\r\n\r\n"), broken).closes(),
        malformed("a size beyond counting", chunks("fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), broken).closes(),
        malformed("a chunk longer than its size", chunks("2\r\n{}{}\r\n0\r\n\r\n"), broken).closes(),
        malformed("endless extensions", chunks(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(30_000))), broken)
            .closes(),
    ];
    case::check(&cases);
}

#[test]
fn chunks_count_where_a_length_says_otherwise_and_nothing_behind_them() {
    let server = case::server();
    for headers in BOTH {
        let mut connection = server.connect();
        send(&connection, &login(&format!("{headers}\r\n2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}")));
        assert_eq!(connection.read().status, 200, "{headers}: the body is {{}}");
        assert_eq!(connection.rest(), "", "{headers}: one answer, and no more");
    }
}

/// A length and a coding, in both orders, also where the client asks to keep the connection.
const BOTH: [&str; 4] = [
    "content-length: 4\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    "connection: keep-alive\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 4\r\nconnection: keep-alive\r\n",
];

#[test]
fn no_second_request_is_read_after_a_length_with_a_coding() {
    let server = case::server();
    let post = |path: &str, more: &str, rest: &str| {
        let json = "content-type: application/json\r\n";
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{more}{json}{rest}").into_bytes()
    };
    let bearer = bearer(&tom());
    for headers in BOTH {
        let body = format!("{headers}\r\n2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}");
        for (how, status, request) in [
            ("answered", 200, post("/v1/leancloud/login", &bearer, &body)),
            ("refused before its body is read", 401, post("/v1/leancloud/login", "", &body)),
            ("sent to a path that is not there", 404, post("/v1/nowhere", &bearer, &body)),
            ("sent to a probe", 405, post("/livez", "", &body)),
            // The body is cut off, so a server that goes by the length would read what follows as a request.
            (
                "refused with a body that never ends",
                401,
                post("/v1/leancloud/login", "", &format!("{headers}\r\n{HIDDEN}")),
            ),
        ] {
            let mut connection = server.connect();
            send(&connection, &request);
            let answer = connection.read();
            assert_eq!(answer.status, status, "{how}, {headers}");
            // The second request comes later, too: on the same connection, after the first answer.
            send(&connection, HIDDEN.as_bytes());
            assert_eq!(connection.rest(), "", "{how}, {headers}: one answer, and no more");
        }
    }
}

#[test]
fn a_repeated_transfer_encoding_is_refused_and_the_connection_closed() {
    let server = case::server();
    for headers in [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding:\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n",
    ] {
        for path in
            ["/v1/leancloud/login", "/v1/ably/token", "/1.1/functions/signLogin", "/v1/moderation/bans", "/livez"]
        {
            let request = String::from_utf8(login(&format!("{headers}\r\n2\r\n{{}}\r\n0\r\n\r\n{HIDDEN}"))).unwrap();
            let mut connection = server.connect();
            send(&connection, request.replace("/v1/leancloud/login", path).as_bytes());
            let answer = connection.read();
            assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{path}, {headers}");
            assert!(answer.body.contains("Transfer-Encoding"), "{path}, {headers}: {answer:?}");
            assert_eq!(connection.rest(), "", "{path}, {headers}: one answer, and no more");
        }
        let admin = format!("GET /readyz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n0\r\n\r\n{HIDDEN}");
        let mut connection = Connection::to(server.0.admin);
        send(&connection, admin.as_bytes());
        assert_eq!(connection.read().status, 400, "the admin listener, {headers}");
        assert_eq!(connection.rest(), "", "the admin listener, {headers}: one answer, and no more");
    }
}

#[test]
fn a_target_with_a_user_name_or_another_scheme_is_refused() {
    let server = case::server();
    let ask = |target: &str, host: &str| {
        let mut connection = server.connect();
        send(&connection, format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        connection.read().status
    };
    for target in ["/livez", "http://localhost/livez", "https://localhost/livez", "HTTP://localhost/livez"] {
        assert_eq!(ask(target, "localhost"), 200, "{target}");
    }
    for (target, host) in [
        ("http://tom@localhost/livez", "localhost"),
        ("http://tom@localhost/livez", "tom@localhost"),
        ("http://tom:word@localhost/livez", "localhost"),
        ("/livez", "tom@localhost"),
        ("ftp://localhost/livez", "localhost"),
        ("ws://localhost/livez", "localhost"),
        ("javascript://localhost/livez", "localhost"),
    ] {
        assert_eq!(ask(target, host), 400, "{target} at {host}");
    }
}

#[test]
fn what_stands_in_a_body_is_no_request() {
    let server = case::server();
    let mut connection = server.connect();
    send(&connection, &login(&format!("content-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())));
    assert_eq!(connection.read().status, 400, "it is no JSON");
    send(&connection, &login("content-length: 2\r\n\r\n{}"));
    assert_eq!(connection.read().status, 200, "and the next answer is to the next request");
}
