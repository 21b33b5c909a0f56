//! Pages of other origins.

use crate::common::{Server, Setup, post, request, token};

const CORS: &str = "[server.cors]\norigins = [\"https://app.example.com\"]\ncredentials = true";

const PREFLIGHT: &str = "access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n";

#[test]
fn a_preflight_is_answered_to_everyone_and_allows_the_listed() {
    let server = Server::with(Setup::server(CORS));
    let ask = |origin: &str| {
        server.ask(&request("OPTIONS", "/v1/ably/token", &format!("origin: {origin}\r\n{PREFLIGHT}"), ""))
    };
    let answer = ask("https://app.example.com");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET,POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type,x-request-id"));
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    assert!(answer.header("vary").unwrap().contains("origin"));
    assert!(answer.header("x-request-id").is_some());
    for origin in ["https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.com", "null"] {
        assert_eq!(ask(origin).header("access-control-allow-origin"), None, "{origin}");
    }
}

#[test]
fn answers_and_errors_can_be_read_by_listed_pages() {
    let server = Server::with(Setup::server(CORS));
    let headers = format!("authorization: Bearer {}\r\norigin: https://app.example.com\r\n", token("tom"));
    for (path, status) in [("/v1/ably/token", 200), ("/v1/ably/token?capability=x", 403), ("/v1/nothing/token", 404)] {
        let answer = server.ask(&request("GET", path, &headers, ""));
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-request-id,x-ably-errorcode,retry-after"));
    }
}

#[test]
fn nothing_is_allowed_unless_configured() {
    let server = Server::start();
    let origin = "origin: https://app.example.com\r\n";
    let answer = server.ask(&request("OPTIONS", "/v1/leancloud/login", &format!("{origin}{PREFLIGHT}"), ""));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
    let answer = server.ask(&post("/v1/leancloud/login", "tom", "{}").replacen("\r\n", &format!("\r\n{origin}"), 1));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
}
