//! Which host names count as a listener's own: pages elsewhere can make their own name resolve to it (DNS rebinding).

use crate::common::{Answer, Connection, Server, Setup, token};

const INGRESS: &str = r#"
[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
trusted_proxies = ["127.0.0.1/32"]
"#;

const FORWARDED: &str = "x-forwarded-user: tom\r\n";

fn server(lines: &str) -> Server {
    Server::with(Setup { more: INGRESS.to_owned(), ..Setup::server(lines) })
}

/// A request to this host.
fn ask(server: &Server, method: &str, path: &str, host: &str, headers: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n");
    Connection::to(server.main).ask(&head)
}

fn login(server: &Server, host: &str, headers: &str) -> Answer {
    ask(server, "POST", "/v1/leancloud/login", host, headers)
}

#[test]
fn only_configured_hosts_are_the_own_origin_for_ambient_credentials() {
    let server = server("hosts = [\"signer.example.com\"]\ncors = { origins = [\"https://app.example.com\"] }");
    for host in ["signer.example.com", "Signer.Example.com", "signer.example.com:7480"] {
        for headers in [String::new(), format!("origin: https://{host}\r\n"), "sec-fetch-site: same-origin\r\n".into()]
        {
            assert_eq!(login(&server, host, &format!("{FORWARDED}{headers}")).status, 200, "{host} {headers}");
        }
    }
    for host in ["evil.example", "evil.example:7480", "localhost", "127.0.0.1", "signer.example.com.evil.example"] {
        for headers in [String::new(), format!("origin: http://{host}\r\n"), "sec-fetch-site: same-origin\r\n".into()] {
            let answer = login(&server, host, &format!("{FORWARDED}{headers}"));
            assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{host} {headers}");
            // With GET a page sends no origin to what it takes for its own.
            let answer = ask(&server, "GET", "/v1/talkjs/token", host, &format!("{FORWARDED}{headers}"));
            assert_eq!(answer.status, 403, "{host} {headers}");
        }
    }
    assert_eq!(login(&server, "evil.example", &format!("{FORWARDED}origin: https://app.example.com\r\n")).status, 200);
}

#[test]
fn probes_and_explicit_credentials_do_not_depend_on_hosts() {
    let server = server("hosts = [\"signer.example.com\"]");
    let bearer = format!("authorization: Bearer {}\r\n", token("tom"));
    for host in ["evil.example", "10.0.0.1:7480", "localhost"] {
        let origin = format!("origin: http://{host}\r\n");
        assert_eq!(login(&server, host, &bearer).status, 200, "{host}");
        assert_eq!(login(&server, host, &format!("{bearer}{origin}")).status, 200, "{host}");
        for probe in ["/livez", "/readyz", "/startupz"] {
            assert_eq!(ask(&server, "GET", probe, host, &origin).status, 200, "{host} {probe}");
        }
    }
}

#[test]
fn without_hosts_a_page_is_of_the_own_origin_only_by_an_address() {
    let server = server("");
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:7480", 200),
        ("[::1]", 200),
        ("evil.example", 403),
        ("evil.example:7480", 403),
        ("127.0.0.1.evil.example", 403),
    ] {
        let page = format!("{FORWARDED}origin: http://{host}\r\n");
        assert_eq!(login(&server, host, &page).status, status, "{host}");
        assert_eq!(login(&server, host, FORWARDED).status, 200, "{host}: a program says nothing of pages");
    }
}

#[test]
fn the_host_that_was_refused_is_in_the_audit_log() {
    let path = std::env::temp_dir().join(format!("chat-signer-hosts-{}", std::process::id()));
    let audit = std::fs::File::create(&path).unwrap();
    let setup =
        Setup { more: INGRESS.to_owned(), server: "hosts = [\"signer.example.com\"]".into(), ..Setup::audit(audit) };
    let server = Server::with(setup);
    let answer = login(&server, "evil.example", FORWARDED);
    assert!(!answer.body.contains("evil.example"), "{answer:?}");
    let lines = std::fs::read_to_string(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    assert!(lines.contains("the request names \\\"evil.example\\\""), "{lines}");
}

fn admin(server: &Server, path: &str, headers: &str) -> u16 {
    Connection::to(server.admin).ask(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n")).status
}

const ADMIN_PATHS: [&str; 5] = ["/livez", "/readyz", "/readyz?verbose", "/startupz", "/metrics"];

#[test]
fn the_admin_listener_refuses_what_pages_of_other_sites_have_a_browser_send() {
    let server = Server::start();
    for path in ADMIN_PATHS {
        for (headers, status) in [
            ("host: 127.0.0.1\r\n", 200),
            ("host: localhost\r\nsec-fetch-site: none\r\n", 200),
            ("host: localhost\r\norigin: http://localhost\r\nsec-fetch-site: same-origin\r\n", 200),
            ("host: localhost\r\norigin: http://evil.example\r\n", 403),
            ("host: localhost\r\norigin: null\r\n", 403),
            ("host: localhost\r\nsec-fetch-site: cross-site\r\n", 403),
            ("host: localhost\r\nsec-fetch-site: same-site\r\n", 403),
            ("host: evil.example\r\norigin: http://evil.example\r\n", 403),
            // As Prometheus and the kubelet ask.
            ("host: signer.monitoring.svc:7481\r\n", 200),
            ("host: 10.1.2.3:7481\r\nuser-agent: kube-probe/1.31\r\nconnection: close\r\n", 200),
        ] {
            assert_eq!(admin(&server, path, headers), status, "{path} {headers}");
        }
    }
}

#[test]
fn the_admin_listener_answers_addresses_and_configured_names_alone() {
    let server = Server::with(Setup { admin: "hosts = [\"signer.example.com\"]".into(), ..Setup::default() });
    for path in ADMIN_PATHS {
        for (host, status) in [
            ("127.0.0.1:7481", 200),
            ("10.1.2.3", 200),
            ("[fd00::1]:7481", 200),
            ("localhost", 200),
            ("signer.example.com:7481", 200),
            ("SIGNER.example.com", 200),
            ("evil.example", 403),
            ("evil.example:7481", 403),
            ("signer.example.com.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
        ] {
            assert_eq!(admin(&server, path, &format!("host: {host}\r\n")), status, "{path} {host}");
        }
        let two = "host: localhost\r\nhost: evil.example\r\n";
        assert_ne!(admin(&server, path, two), 200, "{path}");
    }
}
