//! Pages of other origins.

use crate::common::{Answer, Server, Setup, post, request, token};

const CORS: &str =
    "[server.cors]\norigins = [\"https://app.example.com\", \"http://localhost:3000\"]\ncredentials = true";

const PREFLIGHT: &str = "access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n";

/// One of every kind of route.
const PATHS: [&str; 8] = [
    "/v1/leancloud/login",
    "/v1/talkjs/token",
    "/v1/ably/token",
    "/v1/ably/token-request",
    "/sign2",
    "/1.1/functions/signLogin",
    "/1.1/functions/nothing",
    "/v1/nothing/token",
];

fn may_be_read(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert!(answer.header("vary").unwrap().contains("origin"));
}

#[test]
fn a_preflight_is_answered_to_everyone_and_allows_the_listed() {
    let server = Server::with(Setup::server(CORS));
    for path in PATHS {
        let ask = |origin: &str| server.ask(&request("OPTIONS", path, &format!("origin: {origin}\r\n{PREFLIGHT}"), ""));
        for origin in ["https://app.example.com", "http://localhost:3000"] {
            let answer = ask(origin);
            assert_eq!((answer.status, answer.body.as_str()), (200, ""));
            may_be_read(&answer, origin);
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST"));
            let headers = "authorization,content-type,x-request-id,last-event-id,traceparent,tracestate,\
                           x-lc-id,x-lc-key,x-lc-prod,x-lc-sign,x-lc-ua,baggage,sentry-trace,x-requested-with";
            assert_eq!(answer.header("access-control-allow-headers"), Some(headers));
            assert_eq!(answer.header("access-control-max-age"), Some("600"));
            assert!(answer.header("x-request-id").is_some());
        }
        for origin in [
            "https://evil.example.com",
            "http://app.example.com",
            "https://app.example.com.evil.com",
            "https://app.example.com:8443",
            "https://APP.example.com",
            "http://localhost:3001",
            "null",
            "*",
        ] {
            let answer = ask(origin);
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
            assert!(answer.header("vary").unwrap().contains("origin"));
        }
    }
}

#[test]
fn a_wildcard_allows_the_pages_of_hosts_with_one_label_more() {
    let server =
        Server::with(Setup::server("[server.cors]\norigins = [\"https://*.example.com\"]\nheaders = [\"x-tenant\"]"));
    let ask = |origin: &str| {
        let origin = format!("origin: {origin}\r\n{PREFLIGHT}");
        server.ask(&request("OPTIONS", "/v1/talkjs/token", &origin, ""))
    };
    for origin in ["https://app.example.com", "https://a-1.example.com"] {
        let answer = ask(origin);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("access-control-allow-headers").unwrap().ends_with(",x-requested-with,x-tenant"));
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
    for origin in [
        "https://example.com",
        "http://app.example.com",
        "https://a.b.example.com",
        "https://app.example.com.evil.example",
        "https://evil.example/.example.com",
        "https://evilexample.com",
        "https://app.example.com:8443",
        "https://*.example.com",
        "null",
    ] {
        let answer = ask(origin);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
}

#[test]
fn answers_and_errors_can_be_read_by_listed_pages() {
    let server = Server::with(Setup::server(CORS));
    let origin = "origin: https://app.example.com\r\n";
    let by = |user: &str| format!("{origin}authorization: Bearer {}\r\n", token(user));
    let ask = |method: &str, path: &str, headers: &str, body: &str| {
        let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        server.ask(&request(method, path, &format!("{headers}{json}"), body))
    };
    for (method, path, headers, body, status) in [
        ("GET", "/v1/ably/token", by("tom"), "", 200),
        ("GET", "/v1/ably/token?capability=x", by("tom"), "", 403),
        ("GET", "/v1/ably/token", origin.to_owned(), "", 401),
        ("POST", "/v1/talkjs/token", by("tom"), "{}", 200),
        ("POST", "/v1/talkjs/token", by("mallory"), "{}", 403),
        ("PUT", "/v1/talkjs/token", by("tom"), "", 405),
        ("GET", "/v1/nothing/token", by("tom"), "", 404),
        ("POST", "/sign2", by("tom"), "{}", 200),
        ("POST", "/sign2", origin.to_owned(), "{}", 401),
        ("POST", "/1.1/functions/signLogin", by("mallory"), "{}", 403),
        ("POST", "/1.1/functions/signLogin", by("tom"), "{", 400),
        ("POST", "/1.1/functions/nothing", by("tom"), "{}", 404),
    ] {
        let answer = ask(method, path, &headers, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        may_be_read(&answer, "https://app.example.com");
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("moderation-version,x-request-id,x-ably-errorcode,retry-after")
        );
    }
}

#[test]
fn what_may_be_tried_again_can_be_read_too() {
    let (reader, audit) = std::io::pipe().unwrap();
    let server = Server::with(Setup { audit: audit.into(), ..Setup::server(CORS) });
    drop(reader);
    let headers = format!("origin: https://app.example.com\r\nauthorization: Bearer {}\r\n", token("tom"));
    for path in &PATHS[..6] {
        let answer = server.ask(&request("POST", path, &headers, ""));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        may_be_read(&answer, "https://app.example.com");
    }
}

#[test]
fn answers_to_other_pages_say_that_they_depend_on_the_origin() {
    let server = Server::with(Setup::server(CORS));
    for origin in ["", "origin: https://evil.example.com\r\n"] {
        let ask = post("/v1/leancloud/login", "tom", "{}").replacen("\r\n", &format!("\r\n{origin}"), 1);
        let answer = server.ask(&ask);
        // A token of the page's own is no ambient credential: who has it could send it without a browser.
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
}

#[test]
fn without_credentials_none_are_invited() {
    let server = Server::with(Setup::server(&CORS.replace("true", "false")));
    let origin = "origin: https://app.example.com\r\n";
    let answer = server.ask(&request("OPTIONS", "/v1/ably/token", &format!("{origin}{PREFLIGHT}"), ""));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

/// What pages inside mobile and desktop apps have for an origin.
#[test]
fn an_origin_may_have_a_scheme_of_its_own() {
    let apps = ["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdefghijklmnop"];
    let server = Server::with(Setup::server(&format!("[server.cors]\norigins = {apps:?}\ncredentials = true")));
    for origin in apps {
        let answer = server.ask(&request("OPTIONS", "/sign2", &format!("origin: {origin}\r\n{PREFLIGHT}"), ""));
        may_be_read(&answer, origin);
    }
    for origin in ["capacitor://localhost:80", "http://localhost", "null", "file://"] {
        let answer = server.ask(&request("OPTIONS", "/sign2", &format!("origin: {origin}\r\n{PREFLIGHT}"), ""));
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
}

#[test]
fn nothing_is_allowed_unless_configured() {
    let server = Server::start();
    let origin = "origin: https://app.example.com\r\n";
    for path in ["/v1/leancloud/login", "/sign2"] {
        let answer = server.ask(&request("OPTIONS", path, &format!("{origin}{PREFLIGHT}"), ""));
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
        let answer = server.ask(&post(path, "tom", "{}").replacen("\r\n", &format!("\r\n{origin}"), 1));
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    }
}
