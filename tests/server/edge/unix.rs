//! A listener on a Unix socket, and callers told apart by the system.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use crate::common::{Answer, LONG, SERVICE_KEY, Server, Setup, directory, get, post, request, token};

/// Whom the tests run as.
fn ids() -> (u32, u32) {
    let own = fs::metadata("/proc/self").unwrap();
    (own.uid(), own.gid())
}

fn peer(lines: &str) -> String {
    format!("[[authenticators]]\nname = \"local\"\ntype = \"unix-peer\"\ncaller = \"user\"\n{lines}\n")
}

fn login(server: &Server, headers: &str) -> Answer {
    server.ask(&request("POST", "/v1/leancloud/login", headers, ""))
}

#[test]
fn serves_on_a_socket_with_its_mode_and_removes_it() {
    for (lines, mode) in [("", 0o600), ("socket_mode = \"0660\"", 0o660), ("socket_mode = \"666\"", 0o666)] {
        let mut server = Server::with(Setup::unix(lines, ""));
        let path = server.socket();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        let mut connection = server.connect();
        assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
        assert_eq!(connection.ask(&get("/v1/talkjs/token", "tom")).status, 200);
        assert_eq!(connection.ask("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status, 200);
        server.signal("-TERM");
        assert!(server.wait().success());
        assert!(!path.exists(), "the socket is removed");
    }
}

#[test]
fn a_socket_that_nobody_finds_any_more_is_told_of() {
    let mut server = Server::with(Setup::unix("", ""));
    let said = |server: &Server| server.admin("/readyz?verbose").body;
    assert!(!said(&server).contains("[!]"), "{}", said(&server));
    let mut connection = server.connect();
    fs::remove_file(server.socket()).unwrap();
    let notice = format!(
        "[!] socket: the file at {} is no longer the socket of this program: restart it",
        server.socket().display()
    );
    assert!(said(&server).contains(&notice), "{}", said(&server));
    assert!(server.is_ready(), "who is connected is served");
    assert_eq!(connection.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
    let _another = UnixListener::bind(server.socket()).unwrap();
    assert!(said(&server).contains(&notice), "another's is not ours: {}", said(&server));
    server.signal("-TERM");
    assert!(server.wait().success());
    assert!(server.socket().exists());
}

#[test]
fn a_socket_left_behind_by_a_killed_server_is_replaced() {
    let server = Server::with(Setup::unix("", ""));
    let (path, directory) = (server.socket(), server.directory.clone());
    server.signal("-KILL");
    let mut killed = server;
    killed.wait();
    assert!(path.exists(), "nobody was left to remove it");
    let server = Server::run(directory, Setup::default());
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 200);
}

#[test]
fn a_socket_in_use_and_a_file_of_another_kind_are_left_alone() {
    let directory = directory();
    let path = directory.join("s.sock");
    let holder = UnixListener::bind(&path).unwrap();
    let said = fails(&path);
    assert!(said.contains("another process listens there"), "{said}");
    drop(holder);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let said = fails(&path);
    assert!(said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let _ = fs::remove_dir_all(directory);
}

/// What a server says that can't listen there.
fn fails(path: &std::path::Path) -> String {
    let running = Server::start();
    let text = fs::read_to_string(running.directory.join("signer.toml")).unwrap();
    let listen = format!("listen = \"unix:{}\"", path.display());
    let configuration = running.directory.join("other.toml");
    fs::write(&configuration, text.replacen("listen = \"127.0.0.1:0\"", &listen, 1)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    let output = command.args(["serve", "--config"]).arg(configuration).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_process_is_known_by_its_ids() {
    let (uid, gid) = ids();
    for (lines, status) in [
        (format!("uids = [{uid}]"), 200),
        (format!("gids = [{gid}]"), 200),
        (format!("uids = [{}, {uid}]\ngids = [{gid}]", uid + 1), 200),
        (format!("uids = [{}]", uid + 1), 401),
        (format!("gids = [{}]", gid + 1), 401),
        (format!("uids = [{uid}]\ngids = [{}]", gid + 1), 401),
    ] {
        let server = Server::with(Setup::unix("", &peer(&lines)));
        let answer = login(&server, "");
        assert_eq!(answer.status, status, "{lines}: {answer:?}");
    }
}

#[test]
fn a_process_is_its_user_id_or_the_configured_subject() {
    let (uid, _) = ids();
    for (lines, subject) in [
        (format!("uids = [{uid}]"), format!("uid-{uid}")),
        (format!("uids = [{uid}]\nsubject = \"jobs\""), "jobs".to_owned()),
        // The policy of these tests bans her.
        (format!("uids = [{uid}]\nsubject = \"mallory\""), "mallory".to_owned()),
    ] {
        let server = Server::with(Setup::unix("", &peer(&lines)));
        let answer = login(&server, "");
        assert_eq!(answer.status, if subject == "mallory" { 403 } else { 200 }, "{answer:?}");
        let headers = "content-type: application/json\r\n";
        let own = format!("{{\"client_id\": \"{subject}\"}}");
        let named = server.ask(&request("POST", "/v1/leancloud/login", headers, &own));
        assert_eq!(named.status, answer.status, "as itself");
        let other = server.ask(&request("POST", "/v1/leancloud/login", headers, "{\"client_id\": \"other\"}"));
        assert_eq!(other.status, 403, "and as nobody else");
    }
}

#[test]
fn nobody_else_is_taken_for_a_process() {
    let (uid, _) = ids();
    for (lines, subject) in [
        (format!("uids = [{uid}]"), format!("uid-{uid}")),
        (format!("uids = [{uid}]\nsubject = \"jobs\""), "jobs".to_owned()),
    ] {
        let server = Server::with(Setup::unix("", &peer(&lines)));
        let as_user = |user: &str| login(&server, &format!("authorization: Bearer {}\r\n", token(user)));
        let answer = as_user(&subject);
        assert_eq!(answer.status, 401, "{subject}");
        assert!(answer.body.contains("reserved for a local process"), "{answer:?}");
        assert_eq!(as_user(&format!("{subject}0")).status, 200, "who is no such process");
        let services = Server::with(Setup::unix("", &peer(&lines).replace("\"user\"", "\"service\"")));
        let own = format!("authorization: Bearer {}\r\n", token(&subject));
        assert_eq!(login(&services, &own).status, 200, "a user is no service");
    }
}

#[test]
fn explicit_credentials_come_first_and_bad_ones_are_not_passed_over() {
    let (uid, _) = ids();
    let server = Server::with(Setup::unix("", &peer(&format!("uids = [{uid}]"))));
    assert_eq!(login(&server, &format!("authorization: Bearer {}\r\n", token("mallory"))).status, 403);
    assert_eq!(
        login(&server, &format!("x-api-key: {SERVICE_KEY}\r\n")).status,
        400,
        "a service has no client of its own"
    );
    assert_eq!(login(&server, "authorization: Bearer nonsense\r\n").status, 401);
    assert_eq!(login(&server, "x-api-key: nonsense\r\n").status, 401);
    let two = format!("authorization: Bearer {}\r\nx-api-key: {SERVICE_KEY}\r\n", token("tom"));
    assert_eq!(login(&server, &two).status, 401);
}

#[test]
fn a_proxy_s_process_never_answers_for_those_it_forwards() {
    let (uid, _) = ids();
    let ingress = "[[authenticators]]\nname = \"ingress\"\ntype = \"forwarded\"\ncaller = \"user\"\nheader = \"x-forwarded-user\"\n\
                   roles_header = \"x-forwarded-groups\"\ntrusted_proxies = [\"unix\"]\nmax_role = \"member\"\n";
    // The process stands first, and would be taken if it could.
    let server = Server::with(Setup::unix("", &format!("{}{ingress}", peer(&format!("uids = [{uid}]")))));
    assert_eq!(login(&server, "").status, 401, "nor for itself: a header can get lost");
    assert_eq!(login(&server, "x-forwarded-user: tom\r\n").status, 200);
    assert_eq!(login(&server, "x-forwarded-user: mallory\r\n").status, 403);
    assert_eq!(login(&server, "x-forwarded-user:\r\n").status, 401);
    assert_eq!(login(&server, "x-forwarded-user: *\r\n").status, 401);
    assert_eq!(login(&server, "x-forwarded-groups: member\r\n").status, 401, "roles of nobody");
    // Nor where the proxy's callers may not use the app.
    let elsewhere = ingress.replace("trusted_proxies =", "apps = [\"talkjs\"]\ntrusted_proxies =");
    let server = Server::with(Setup::unix("", &format!("{}{elsewhere}", peer(&format!("uids = [{uid}]")))));
    assert_eq!(login(&server, "x-forwarded-user: tom\r\n").status, 401);
}

#[test]
fn stopping_lets_a_request_on_the_socket_end() {
    let mut server = Server::with(Setup::unix("", ""));
    let mut connection = server.in_progress();
    let began = std::time::Instant::now();
    server.signal("-TERM");
    while server.socket().exists() {
        assert!(began.elapsed() < LONG, "the socket stays");
        std::thread::yield_now();
    }
    connection.send("{}");
    assert_eq!(connection.read().status, 200);
    assert!(server.wait().success());
}
