//! Callers whom a proxy names.

use std::process::Stdio;

use crate::common::{Answer, Server, Setup, request, token};

/// The tests are their own proxy.
const FROM_HERE: &str = r#"
[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
roles_header = "x-forwarded-groups"
trusted_proxies = ["127.0.0.0/8"]
subject_prefix = "sso-"
max_role = "owner"
"#;

const FROM_ELSEWHERE: &str = r#"
[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
roles_header = "x-forwarded-groups"
trusted_proxies = ["192.0.2.0/24", "::/0", "unix"]
"#;

fn login(server: &Server, headers: &str) -> Answer {
    server.ask(&request("POST", "/v1/leancloud/login", headers, ""))
}

fn kick(server: &Server, headers: &str) -> Answer {
    let headers = format!("content-type: application/json\r\n{headers}");
    let body = r#"{"conv_id": "c1", "members": ["bob"]}"#;
    server.ask(&request("POST", "/v1/leancloud/kick", &headers, body))
}

/// What the caller is told; it was a 401.
fn refused(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{answer:?}");
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_proxy_is_believed() {
    let audit = tempfile();
    let server = Server::with(Setup { audit: Stdio::from(audit.1), ..Setup::more(FROM_HERE) });
    assert_eq!(login(&server, "x-forwarded-user: tom\r\n").status, 200);
    assert_eq!(login(&server, "X-FORWARDED-USER: tom\r\n").status, 200, "the case of a name means nothing");
    assert_eq!(login(&server, "x-forwarded-user: 汤姆\r\n").status, 200);
    let lines = std::fs::read_to_string(&audit.0).unwrap();
    let _ = std::fs::remove_file(&audit.0);
    assert!(lines.contains(r#""authenticator":"ingress","caller":{"kind":"user","subject":"sso-tom"}"#), "{lines}");
}

#[test]
fn the_certificate_that_a_proxy_has_verified_names_the_caller() {
    const MESH: &str = r#"
[[authenticators]]
name = "mesh"
type = "forwarded"
caller = "user"
header = "x-forwarded-client-cert"
certificate_name = "uri"
trusted_proxies = ["127.0.0.0/8"]
"#;
    let audit = tempfile();
    let server = Server::with(Setup { audit: Stdio::from(audit.1), ..Setup::more(MESH) });
    let header = |value: &str| {
        let headers = format!("x-forwarded-client-cert: {value}\r\n");
        server.ask(&request("POST", "/v1/talkjs/token", &headers, ""))
    };
    assert_eq!(header("By=spiffe://example.com/signer;Hash=1;URI=spiffe://example.com/tom").status, 200);
    let lines = std::fs::read_to_string(&audit.0).unwrap();
    let _ = std::fs::remove_file(&audit.0);
    assert!(
        lines.contains(r#""authenticator":"mesh","caller":{"kind":"user","subject":"spiffe://example.com/tom"}"#),
        "{lines}"
    );
    for (value, says) in [
        ("Hash=1;URI=spiffe://example.com/alice,Hash=2;URI=spiffe://example.com/tom", "more than one certificate"),
        ("URI=spiffe://example.com/alice;URI=spiffe://example.com/tom", "more than one name"),
        ("Hash=1;Subject=\"URI=spiffe://example.com/tom\"", "no name of this kind"),
        ("spiffe://example.com/tom", "not a list of pairs"),
    ] {
        let detail = refused(&header(value));
        assert!(detail.contains(says), "{detail}");
    }
    let elsewhere = Server::with(Setup::more(&MESH.replace("127.0.0.0/8", "192.0.2.0/24")));
    let detail = refused(&login(&elsewhere, "x-forwarded-client-cert: URI=spiffe://example.com/tom\r\n"));
    assert!(detail.contains("only from the configured proxies"), "{detail}");
}

#[test]
fn no_caller_is_taken_for_another() {
    let server = Server::with(Setup::more(FROM_HERE));
    let own = |user| format!("authorization: Bearer {}\r\n", token(user));
    assert_eq!(login(&server, &own("tom")).status, 200);
    refused(&login(&server, &own("sso-tom")));
    let sections = FROM_HERE.replace("\"user\"", "\"service\"").replace("subject_prefix = \"sso-\"\n", "");
    let server = Server::with(Setup::more(&sections));
    assert_ne!(login(&server, "x-forwarded-user: billing\r\n").status, 401);
    refused(&login(&server, "x-forwarded-user: orders\r\n"));
}

#[test]
fn roles_come_in_their_own_header_and_no_stronger_than_allowed() {
    let server = Server::with(Setup::more(FROM_HERE));
    for (groups, status) in [
        ("owner", 200),
        ("staff, owner", 200),
        ("staff,owner", 200),
        ("staff owner", 200),
        ("member", 403),
        ("staff", 403),
        ("", 403),
        ("Owner", 403),
        ("owner;", 403),
    ] {
        let headers = format!("x-forwarded-user: tom\r\nx-forwarded-groups: {groups}\r\n");
        assert_eq!(kick(&server, &headers).status, status, "{groups}");
    }
    let weaker = Server::with(Setup::more(&FROM_HERE.replace("\"owner\"", "\"member\"")));
    assert_eq!(kick(&weaker, "x-forwarded-user: tom\r\nx-forwarded-groups: owner\r\n").status, 403);
    let without = Server::with(Setup::more(&FROM_HERE.replace("max_role = \"owner\"", "")));
    assert_eq!(kick(&without, "x-forwarded-user: tom\r\nx-forwarded-groups: owner\r\n").status, 403);
}

#[test]
fn anyone_else_who_sends_the_header_is_refused() {
    let server = Server::with(Setup::more(FROM_ELSEWHERE));
    let bearer = format!("authorization: Bearer {}\r\n", token("tom"));
    assert_eq!(login(&server, &bearer).status, 200);
    for header in ["x-forwarded-user: tom", "X-Forwarded-User: tom", "x-forwarded-user:", "x-forwarded-groups: owner"] {
        for headers in [format!("{header}\r\n"), format!("{bearer}{header}\r\n")] {
            let told = refused(&login(&server, &headers));
            assert!(told.ends_with("is accepted only from the configured proxies"), "{headers}: {told}");
        }
    }
}

#[test]
fn a_header_that_others_take_for_it_is_refused_from_everyone() {
    let (here, elsewhere) = (Server::with(Setup::more(FROM_HERE)), Server::with(Setup::more(FROM_ELSEWHERE)));
    let bearer = format!("authorization: Bearer {}\r\n", token("tom"));
    for name in [
        "X_Forwarded_User",
        "x_forwarded_user",
        "x-forwarded_user",
        "X-FORWARDED_USER",
        "x.forwarded.user",
        "x-forwarded~user",
        "x'forwarded*user",
        "x_forwarded_groups",
        "X-Forwarded_Groups",
    ] {
        for before in ["", "x-forwarded-user: tom\r\n", &bearer] {
            for server in [&here, &elsewhere] {
                let told = refused(&login(server, &format!("{before}{name}: admin\r\n")));
                let whole = told.ends_with("looks like a header that only a proxy may send")
                    || told.ends_with("is accepted only from the configured proxies");
                assert!(whole, "{before}{name}: {told}");
            }
        }
    }
    // What nobody takes for it means nothing.
    for name in ["x-forwarded-users", "forwarded-user", "xforwardeduser", "x-forwarded-for", "x-user"] {
        assert_eq!(login(&here, &format!("x-forwarded-user: tom\r\n{name}: admin\r\n")).status, 200, "{name}");
        assert_eq!(login(&elsewhere, &format!("{bearer}{name}: admin\r\n")).status, 200, "{name}");
    }
}

#[test]
fn one_request_names_one_caller() {
    let server = Server::with(Setup::more(FROM_HERE));
    for headers in [
        "x-forwarded-user: tom\r\nx-forwarded-user: tom\r\n",
        "x-forwarded-user: tom\r\nX-Forwarded-User: admin\r\n",
        "x-forwarded-user: tom\r\nx-forwarded-groups: member\r\nX-FORWARDED-GROUPS: owner\r\n",
    ] {
        assert!(refused(&login(&server, headers)).ends_with("is there more than once"), "{headers}");
    }
    for name in ["tom,admin", "tom, admin", ",tom", "tom,", ","] {
        let told = refused(&login(&server, &format!("x-forwarded-user: {name}\r\n")));
        assert_eq!(told, "the header `x-forwarded-user` must name one caller: it holds a comma", "{name}");
    }
}

#[test]
fn a_name_that_is_none_is_refused() {
    let server = Server::with(Setup::more(&FROM_HERE.replace("\"sso-\"", "\"\"")));
    let long = "x".repeat(256);
    for name in ["", " ", "*", "a\tb", &long] {
        refused(&login(&server, &format!("x-forwarded-user: {name}\r\n")));
    }
}

#[test]
fn a_proxy_s_word_comes_after_what_the_request_itself_presents() {
    let server = Server::with(Setup::more(FROM_HERE));
    let forwarded = "x-forwarded-user: mallory\r\n";
    // Mallory under the prefix is nobody banned; a token's mallory is.
    assert_eq!(login(&server, forwarded).status, 200);
    assert_eq!(login(&server, &format!("{forwarded}authorization: Bearer {}\r\n", token("tom"))).status, 200);
    assert_eq!(login(&server, &format!("{forwarded}authorization: Bearer {}\r\n", token("mallory"))).status, 403);
    let told = refused(&login(&server, &format!("{forwarded}authorization: Bearer nonsense\r\n")));
    assert!(!told.contains("forwarded"), "a bad credential is not passed over: {told}");
    refused(&login(&server, &format!("{forwarded}x-api-key: nonsense\r\n")));
}

#[test]
fn through_the_unix_socket_it_takes_unix_in_from() {
    let server = Server::with(Setup::unix("", FROM_ELSEWHERE));
    assert_eq!(login(&server, "x-forwarded-user: tom\r\n").status, 200);
    let server = Server::with(Setup::unix("", FROM_HERE));
    refused(&login(&server, "x-forwarded-user: tom\r\n"));
}

#[test]
fn an_address_is_the_socket_s_whatever_a_header_says() {
    let trusting = format!("{FROM_ELSEWHERE}\n[limits]\ntrusted_proxies = [\"127.0.0.1/32\"]");
    let server = Server::with(Setup::more(&trusting));
    for said in ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1", "x-real-ip: 192.0.2.1"] {
        refused(&login(&server, &format!("{said}\r\nx-forwarded-user: tom\r\n")));
    }
}

fn tempfile() -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("chat-signer-forwarded-{}", std::process::id()));
    (path.clone(), std::fs::File::create(path).unwrap())
}

#[test]
fn a_request_that_lost_its_forwarded_identity_does_not_become_the_proxy() {
    #[allow(clippy::disallowed_methods)]
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let local =
        format!("[[authenticators]]\nname = \"local\"\ntype = \"unix-peer\"\ncaller = \"user\"\nuids = [{uid}]\n");
    // Whichever stands first in the file, and whatever apps the proxy's callers may use.
    for sections in [
        format!("{FROM_ELSEWHERE}{local}"),
        format!("{local}{FROM_ELSEWHERE}"),
        format!("{local}{}", FROM_ELSEWHERE.replace("trusted_proxies =", "apps = [\"talkjs\"]\ntrusted_proxies =")),
    ] {
        let server = Server::with(Setup::unix("", &sections));
        if !sections.contains("apps") {
            assert_eq!(login(&server, "x-forwarded-user: tom\r\n").status, 200);
            assert_eq!(login(&server, "x-forwarded-user: mallory\r\n").status, 403);
        }
        for lost in ["", "connection: x-forwarded-user\r\n", "x-forwarded-for: 192.0.2.1\r\n"] {
            let told = refused(&login(&server, lost));
            assert!(told.starts_with("there is no credential"), "{lost}: {told}");
            assert!(!told.contains("from an accepted process"), "{lost}: {told}");
        }
        let bearer = format!("authorization: Bearer {}\r\n", token("tom"));
        assert_eq!(login(&server, &bearer).status, 200, "the caller's own credential counts");
    }
    // Where no proxy is trusted on the socket, its callers are served.
    let server = Server::with(Setup::unix("", &format!("{FROM_HERE}{local}")));
    assert_eq!(login(&server, "").status, 200);
}
