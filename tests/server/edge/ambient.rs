//! What browsers and proxies add by themselves, and pages of other sites.

use crate::common::{Answer, Connection, Server, Setup, request, token};

const INGRESS: &str = r#"
[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
trusted_proxies = ["127.0.0.1/32"]
"#;

const CORS: &str = "cors = { origins = [\"https://app.example.com\"], credentials = true }";

const FORWARDED: &str = "x-forwarded-user: tom\r\n";

fn server() -> Server {
    Server::with(Setup { more: INGRESS.to_owned(), ..Setup::server(CORS) })
}

fn login(server: &Server, headers: &str) -> Answer {
    server.ask(&request("POST", "/v1/leancloud/login", headers, ""))
}

/// What browsers send along, and whether it comes from a page that may ask with ambient credentials. The tests' host is `localhost`.
const CASES: [(&str, bool); 17] = [
    ("", true),
    ("origin: https://app.example.com\r\n", true),
    ("origin: https://app.example.com\r\nsec-fetch-site: cross-site\r\n", true),
    ("origin: http://localhost\r\nsec-fetch-site: same-origin\r\n", true),
    ("origin: https://localhost\r\n", true),
    ("sec-fetch-site: same-origin\r\n", true),
    ("sec-fetch-site: none\r\n", true),
    ("origin: https://evil.example\r\n", false),
    ("origin: https://evil.example\r\nsec-fetch-site: cross-site\r\n", false),
    ("origin: https://evil.example\r\nsec-fetch-site: same-origin\r\n", false),
    ("origin: null\r\n", false),
    ("origin: http://app.example.com\r\n", false),
    ("sec-fetch-site: cross-site\r\n", false),
    ("sec-fetch-site: same-site\r\n", false),
    ("origin: http://localhost\r\nsec-fetch-site: cross-site\r\n", false),
    ("origin: https://app.example.com\r\norigin: https://evil.example\r\n", false),
    ("sec-fetch-site: none\r\nsec-fetch-site: cross-site\r\n", false),
];

#[test]
fn other_sites_pages_can_not_use_ambient_credentials() {
    let server = server();
    for (lines, may) in CASES {
        let answer = login(&server, &format!("{FORWARDED}{lines}"));
        if may {
            assert_eq!(answer.status, 200, "{lines}: {answer:?}");
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{lines}");
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
}

#[test]
fn explicit_credentials_are_no_matter_of_sites() {
    let server = server();
    for (lines, _) in CASES {
        let bearer = format!("authorization: Bearer {}\r\n{lines}", token("tom"));
        assert_eq!(login(&server, &bearer).status, 200, "{lines}");
        assert_eq!(login(&server, &format!("{FORWARDED}{bearer}")).status, 200, "{lines}");
        assert_eq!(login(&server, lines).status, 401, "without any it is a 401: {lines}");
    }
}

#[test]
fn ably_clients_are_told_to_stop() {
    let server = server();
    let evil = format!("{FORWARDED}origin: https://evil.example\r\n");
    let answer = server.ask(&request("GET", "/v1/ably/token", &evil, ""));
    assert_eq!((answer.status, answer.json()["error"]["code"].as_u64()), (403, Some(40300)));
    assert_eq!(server.ask(&request("GET", "/v1/ably/token", FORWARDED, "")).status, 200);
}

#[test]
fn a_host_with_a_port_is_an_origin_with_a_port() {
    let server = server();
    let port = server.main.port();
    let ask = |origin: &str| {
        let head = format!(
            "POST /v1/leancloud/login HTTP/1.1\r\nhost: localhost:{port}\r\n{FORWARDED}origin: {origin}\r\n\r\n"
        );
        Connection::to(server.main).ask(&head).status
    };
    assert_eq!(ask(&format!("http://localhost:{port}")), 200);
    assert_eq!(ask("http://localhost"), 403);
    assert_eq!(ask("http://localhost:1"), 403);
}

#[test]
fn the_refusal_is_in_the_audit_log() {
    let path = std::env::temp_dir().join(format!("chat-signer-ambient-{}", std::process::id()));
    let audit = std::fs::File::create(&path).unwrap();
    let server = Server::with(Setup { more: INGRESS.to_owned(), ..Setup::audit(audit) });
    login(&server, &format!("{FORWARDED}origin: https://evil.example\r\n"));
    let lines = std::fs::read_to_string(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    assert!(lines.contains(r#""decision":"refused","authenticator":"ingress""#), "{lines}");
}
