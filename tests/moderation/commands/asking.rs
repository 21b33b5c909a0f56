//! Commands that a running server answers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use super::{POLICY, Ran, files, program, run, write};
use crate::common::{Log, SERVICE_KEY, Server, Setup, demonstration, post, token, until};

const MEMORY: &str = "[store]\ntype = \"memory\"\n";

pub(super) fn server() -> Server {
    with(Setup::more(MEMORY))
}

fn with(setup: Setup) -> Server {
    let mut files = files(&[]);
    files.extend(setup.files);
    let server = Server::with(Setup { files, ..setup });
    until("it is ready", || server.is_ready());
    server
}

/// Asks as the service.
pub(super) fn asks(server: &Server, arguments: &[&str]) -> Ran {
    asks_with(server, arguments, &[("CHAT_SIGNER_API_KEY", SERVICE_KEY)])
}

/// Asks as this user.
fn asks_as(server: &Server, user: &str, arguments: &[&str]) -> Ran {
    asks_with(server, arguments, &[("CHAT_SIGNER_TOKEN", &token(user))])
}

fn asks_with(server: &Server, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let url = format!("http://{}", server.main);
    let mut command = program(arguments);
    Ran::of(command.env("CHAT_SIGNER_SERVER", url).envs(variables.iter().copied()).output().unwrap())
}

pub(super) fn login(server: &Server, user: &str) -> u16 {
    server.ask(&post("/v1/leancloud/login", user, "{}")).status
}

#[test]
fn a_ban_holds_until_it_is_lifted() {
    let server = server();
    assert_eq!(login(&server, "eve"), 200);
    let banned = asks(&server, &["ban", "eve", "dan", "--until", "2099-01-01T00:00:00Z", "--reason", "spam"]).well();
    let effect = "banned in all conversations, until 2099-01-01T00:00:00.000Z";
    assert_eq!(banned, format!("✓ eve: {effect}\n✓ dan: {effect}\n"));
    assert_eq!(login(&server, "eve"), 403);
    assert_eq!(asks(&server, &["unban", "eve"]).well(), "✓ eve: the ban for all conversations is lifted\n");
    assert_eq!([login(&server, "eve"), login(&server, "dan")], [200, 403]);
}

#[test]
fn an_answer_says_what_was_done_and_whether_there_was_anything_to_do() {
    let server = server();
    let said = |words: &str| asks(&server, &words.split(' ').collect::<Vec<_>>()).well();
    for (words, expected) in [
        ("ban bea", "✓ bea: banned in all conversations, without an end\n"),
        ("ban bea", "✓ bea: was already banned in all conversations, without an end\n"),
        ("unban tom --conversation den", "✓ tom: there was no ban for den\n"),
        ("unban bea", "✓ bea: the ban for all conversations is lifted\n"),
        ("unban bea", "✓ bea: there was no ban for all conversations\n"),
        ("mute tom --conversation den", "✓ tom: muted in den, without an end\n"),
        ("unmute tom --conversation den", "✓ tom: the mute for den is lifted\n"),
        ("ban kim --app ably", "✓ kim: banned in all conversations at the app ably, without an end\n"),
        ("set-role zoe --conversation hall --role manager", "✓ zoe: manager in hall\n"),
        ("set-role zoe --conversation hall --role manager", "✓ zoe: was already manager in hall\n"),
        ("remove-role zoe --conversation hall --role manager", "✓ zoe: no longer manager in hall\n"),
        ("block-conversation den --as tom", "✓ tom: blocks den\n"),
        ("block-conversation den --as tom", "✓ tom: already blocked den\n"),
        ("unblock-conversation den --as tom", "✓ tom: no longer blocks den\n"),
        ("unblock-conversation den --as tom", "✓ tom: did not block den\n"),
        ("manage-conversation hut --kind chatroom --owner tom", "✓ hut: registered as chatroom, owned by tom\n"),
        ("manage-conversation hut --forget", "✓ hut: forgotten\n"),
    ] {
        assert_eq!(said(words), expected, "{words}");
    }
    let asked = asks(&server, &["unban", "bea", "-o", "json"]).well();
    let answer: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(answer, serde_json::json!({ "succeeded": ["bea"], "failed": [], "unchanged": ["bea"] }));
}

#[test]
fn a_decision_is_explained_by_the_server_or_from_its_audit_log() {
    let audit = std::env::temp_dir().join(format!("chat-signer-explained-{}.log", std::process::id()));
    let log = fs::File::create(&audit).unwrap();
    let server = with(Setup { audit: log.into(), ..Setup::more(MEMORY) });
    asks(&server, &["ban", "eve", "--reason", "spam"]).well();
    let body = server.ask(&post("/v1/leancloud/login", "eve", "{}")).json();
    let id = body["request_id"].as_str().unwrap();

    let url = format!("http://{}", server.main);
    let named = ["explain", "leancloud", "login", "--as", "eve", "--server", &url];
    let logged = ["explain", "--request", id, "--audit", audit.to_str().unwrap(), "--server", &url];
    for arguments in [&named[..], &logged] {
        let ran = asks(&server, arguments);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.said.starts_with("denied: login\n  banned: user eve, conversation *, "), "{ran:?}");
        assert!(ran.complained.contains("does not know the token of the caller"), "{ran:?}");
    }
    let here = run(&server.directory, &logged[..5]);
    assert!(here.said.starts_with("allowed: eve may log in"), "the store is in the memory of the server: {here:?}");
    let unknown = run(&server.directory, &["explain", "--request", "none", "--audit", audit.to_str().unwrap()]).ill();
    assert!(unknown.contains("it has no line with the request_id none"), "{unknown}");
    fs::remove_file(audit).unwrap();
}

#[test]
fn a_missing_credential_is_named_as_the_command_line_takes_it() {
    let server = server();
    let error = asks_with(&server, &["ban", "eve"], &[]).ill();
    for named in ["--key-file", "CHAT_SIGNER_API_KEY", "--token-file", "CHAT_SIGNER_TOKEN"] {
        assert!(error.contains(named), "{error}");
    }
    assert!(!error.contains("x-api-key"), "{error}");
}

#[test]
fn who_fails_is_told_of_beside_who_does_not() {
    let server = server();
    let ran = asks_as(&server, "bob", &["mute", "tom", "alice", "zoe", "--conversation", "den"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<&str> = ran.said.lines().collect();
    assert_eq!(lines[0], "✓ tom: muted in den, without an end");
    assert!(lines[1].starts_with("✗ alice: ") && lines[1].ends_with("(denied)"), "{lines:?}");
    assert!(
        lines[2].starts_with("✗ zoe: the user has no role there; ") && lines[2].ends_with("(not_there)"),
        "{lines:?}"
    );
    assert_eq!((lines.len(), ran.complained.as_str()), (3, ""));
}

#[test]
fn programs_get_what_the_server_answers() {
    let server = server();
    let ran = asks(&server, &["ban", "eve", "-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.said).unwrap();
    assert_eq!(answer, serde_json::json!({ "succeeded": ["eve"], "failed": [], "change": 1 }));

    let ran = asks_as(&server, "tom", &["ban", "eve", "-o", "json"]);
    let problem: Value = serde_json::from_str(&ran.said).unwrap();
    assert_eq!((ran.code, &problem["code"]), (1, &"denied".into()));
    assert!(ran.complained.starts_with("error: "), "{ran:?}");
}

#[test]
fn roles_are_given_and_taken() {
    let server = server();
    let kim_is_muted = || asks_as(&server, "tom", &["mute", "kim", "--conversation", "den"]).code;
    let role = ["tom", "--conversation", "den", "--role", "manager"];
    let service = |command: &str| asks(&server, &[&[command][..], &role].concat());
    let place = ["--conversation", "hall", "--role", "manager"];
    assert_eq!(asks(&server, &[&["set-role", "zoe"][..], &place].concat()).well(), "✓ zoe: manager in hall\n");
    // What the policy file says is changed there.
    assert!(service("set-role").said.ends_with("; change it there (file)\n"));
    assert_eq!(kim_is_muted(), 1);
    assert_eq!(
        asks(&server, &[&["remove-role", "zoe"][..], &place].concat()).well(),
        "✓ zoe: no longer manager in hall\n"
    );
}

#[test]
fn a_user_is_not_added_to_what_it_blocks() {
    let server = server();
    let invite = |server: &Server| {
        let body = r#"{"conv_id": "den", "members": ["tom"]}"#;
        server.ask(&post("/v1/leancloud/invite", "bob", body)).status
    };
    assert_eq!(invite(&server), 200);
    assert_eq!(asks_as(&server, "tom", &["block-conversation", "den"]).well(), "✓ tom: blocks den\n");
    assert_eq!(invite(&server), 403);
    assert_eq!(asks(&server, &["unblock-conversation", "den", "--as", "tom"]).well(), "✓ tom: no longer blocks den\n");
    assert_eq!(invite(&server), 200);
}

#[test]
fn a_conversation_is_registered_and_forgotten() {
    let server = server();
    let id = "a place/with 1%";
    let owner = ["manage-conversation", id, "--kind", "chatroom", "--owner", "alice"];
    assert_eq!(asks(&server, &owner).well(), format!("✓ {id}: registered as chatroom, owned by alice\n"));
    assert_eq!(asks(&server, &["manage-conversation", id, "--forget"]).well(), format!("✓ {id}: forgotten\n"));
    let other = asks(&server, &["manage-conversation", id, "--owner", "bob"]).ill();
    assert!(other.contains("another owner, and an owner is set once"), "{other}");
    let room = ["manage-conversation", "hut::$chat", "--kind", "chatroom"];
    assert_eq!(asks(&server, &room).well(), "✓ hut: registered as chatroom\n");
    let nameless = ["manage-conversation", "::$chat", "--kind", "chatroom"];
    assert_eq!(asks(&server, &nameless).well(), "✓ ::$chat: registered as chatroom\n");
}

#[test]
fn the_server_says_why_it_refuses() {
    let server = server();
    let error = asks_with(&server, &["ban", "eve"], &[]).ill();
    assert!(error.contains("(unauthenticated, request "), "{error}");
    let error = asks(&server, &["ban", "eve", "--until", "2020-01-01T00:00:00Z"]).ill();
    assert!(error.starts_with("error: until must be in the future"), "{error}");
    // What it says is escaped.
    let error = asks(&server, &["ban", "eve", "--app", "a\u{1b}[2Jb"]).ill();
    assert!(!error.contains('\u{1b}'), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Ran::of(program(&["unban", "eve", "--server", &format!("http://{address}")]).output().unwrap()).ill();
    assert!(error.starts_with(&format!("error: http://{address} does not answer: ")), "{error}");
}

#[test]
fn who_answers_must_be_chat_signer() {
    let server = server();
    let url = format!("http://{}", server.admin);
    let ran = program(&["unban", "eve", "--server", &url]).output().unwrap();
    let error = Ran::of(ran).ill();
    assert!(error.contains("is not chat-signer"), "{error}");
}

/// Something that isn't chat-signer, and answers one request with this; what the program makes of it.
fn answered(body: &str, arguments: &[&str]) -> Ran {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 1 << 16];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let ran = Ran::of(program(&[arguments, &["--server", &url]].concat()).output().unwrap());
    answering.join().unwrap();
    ran
}

#[test]
fn only_who_is_told_of_counts_as_done() {
    let strange = [
        "{}",
        "[]",
        "null",
        r#"{"status":"ok"}"#,
        r#"{"succeeded":[],"failed":[]}"#,
        r#"{"succeeded":["other"],"failed":[]}"#,
        r#"{"succeeded":["eve","other"],"failed":[]}"#,
        r#"{"succeeded":["eve"]}"#,
        r#"{"succeeded":["eve"],"failed":[{"user":"eve","code":"denied","reason":"no"}]}"#,
        r#"{"succeeded":[],"failed":["eve"]}"#,
    ];
    let role = ["--role", "manager", "--conversation", "den"];
    let commands = [
        &["ban", "eve"][..],
        &["unban", "eve"],
        &["mute", "eve", "-o", "json"],
        &["unmute", "eve"],
        &[&["set-role", "eve"][..], &role].concat(),
        &[&["remove-role", "eve"][..], &role].concat(),
        &["block-conversation", "den", "--as", "eve"],
        &["unblock-conversation", "den", "--as", "eve"],
        &["manage-conversation", "eve", "--kind", "group"],
        &["manage-conversation", "eve", "--forget"],
    ];
    for command in commands {
        for body in strange {
            let error = answered(body, command).ill();
            assert!(error.contains("is not an answer of chat-signer's moderation"), "{command:?} {body}: {error}");
        }
        assert_eq!(answered(r#"{"succeeded":["eve"],"failed":[]}"#, command).code, 0, "{command:?}");
    }
    // Whose block it is, the server knows by the credential.
    let block = ["block-conversation", "den"];
    assert_eq!(answered(r#"{"succeeded":["tom"],"failed":[]}"#, &block).well(), "✓ tom: blocks den\n");
    assert!(answered(r#"{"succeeded":[],"failed":[]}"#, &block).ill().contains("is not an answer"));
}

#[test]
fn a_list_is_shown_only_if_it_is_one() {
    for body in ["{}", "[]", r#"{"entries":{}}"#, r#"{"entries":["eve"]}"#] {
        for what in [&["bans"][..], &["conversation", "den"], &["enforcements", "-o", "json"]] {
            let error = answered(body, &[&["list"][..], what].concat()).ill();
            assert!(error.contains("is not an answer of chat-signer's moderation"), "{what:?} {body}: {error}");
        }
    }
    assert_eq!(answered(r#"{"entries":[]}"#, &["list", "bans"]).well(), "none\n");
}

#[test]
fn names_are_told_so_that_they_can_not_look_like_others() {
    let server = server();
    let name = "eve\u{202e}moc";
    assert_eq!(
        asks(&server, &["ban", name]).well(),
        "✓ eve\\u{202e}moc: banned in all conversations, without an end\n"
    );
    let bans = asks(&server, &["list", "bans", "--user", name]).well();
    assert!(bans.starts_with("eve\\u{202e}moc, by orders"), "{bans}");
    let refused = asks_as(&server, "bob", &["ban", name, "tom", "--conversation", "den"]);
    assert!(refused.said.starts_with("✓ tom: banned in den, without an end\n✗ eve\\u{202e}moc: "), "{refused:?}");
}

#[test]
fn the_credential_comes_from_a_file() {
    let server = server();
    let url = format!("http://{}", server.main);
    let key = write(&server.directory, "a.key", &format!("{SERVICE_KEY}\n"));
    let bearer = write(&server.directory, "a.token", &token("bob"));
    // A variable is not looked at then.
    let ask = |arguments: &[&str]| {
        let mut command =
            program(&[&["mute", "tom", "--conversation", "den", "--server", &url][..], arguments].concat());
        Ran::of(command.env("CHAT_SIGNER_API_KEY", "wrong").env("CHAT_SIGNER_TOKEN", "wrong").output().unwrap())
    };
    assert_eq!(ask(&["--key-file", &key]).well().lines().count(), 1);
    assert_eq!(ask(&["--token-file", &bearer]).well().lines().count(), 1);
    assert!(ask(&["--key-file", &key, "--key-header", "x-other"]).ill().contains("(unauthenticated"), "another header");
    let none = write(&server.directory, "none.key", "\n");
    assert_eq!(ask(&["--key-file", &none]).ill(), "error: --key-file is empty\n");
    let both = ask(&[]);
    assert_eq!((both.code, both.complained.contains("both CHAT_SIGNER_API_KEY and CHAT_SIGNER_TOKEN")), (2, true));
}

#[test]
fn a_server_at_a_unix_socket_is_asked_there() {
    let peer = format!(
        "{MEMORY}\n[[authenticators]]\nname = \"local\"\ntype = \"unix-peer\"\ncaller = \"service\"\nsubject = \"operator\"\nuids = [{}]\n",
        rustix::process::getuid().as_raw()
    );
    let server = with(Setup::unix("", &peer));
    // By the configuration, and who asks is known by its user id.
    assert_eq!(run(&server.directory, &["ban", "eve"]).well(), "✓ eve: banned in all conversations, without an end\n");
    let socket = format!("unix:{}", server.socket().display());
    assert_eq!(
        Ran::of(program(&["unban", "eve", "--server", &socket]).output().unwrap()).well(),
        "✓ eve: the ban for all conversations is lifted\n"
    );
}

#[test]
fn a_server_is_asked_over_tls() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [("tls.crt", certified.cert.pem()), ("tls.key", certified.signing_key.serialize_pem())];
    let setup = Setup::server("tls = { cert = \"tls.crt\", key = \"tls.key\" }");
    let server = with(Setup { more: MEMORY.to_owned(), files: files.into(), log: Log::Read, ..setup });
    let url = format!("https://localhost:{}", server.main.port());
    let ca = server.directory.join("tls.crt").display().to_string();
    let ask = |arguments: &[&str]| {
        let mut command = program(&[&["ban", "eve", "--server", &url][..], arguments].concat());
        Ran::of(command.env("CHAT_SIGNER_API_KEY", SERVICE_KEY).output().unwrap())
    };
    assert_eq!(ask(&["--ca", &ca]).well(), "✓ eve: banned in all conversations, without an end\n");
    assert!(ask(&[]).ill().contains("UnknownIssuer"), "its certificate is nobody's");
}

#[test]
fn the_demonstration_is_asked_with_the_key_that_everyone_knows() {
    let server = Server::run(demonstration(&[]), Setup::default());
    until("it is ready", || server.is_ready());
    let path = server.directory.join("signer.toml");
    let configuration = fs::read_to_string(&path).unwrap();
    fs::write(path, configuration.replacen("127.0.0.1:0", &server.main.to_string(), 1)).unwrap();
    assert_eq!(run(&server.directory, &["ban", "eve"]).well(), "✓ eve: banned in all conversations, without an end\n");
}

#[test]
fn the_moderation_is_shown() {
    let server = server();
    asks(&server, &["ban", "eve", "--for", "7d", "--reason", "spam", "--conversation", "den"]).well();
    asks_as(&server, "alice", &["ban", "tom", "--conversation", "den"]).well();
    let shows = |arguments: &[&str]| asks(&server, &[&["list"][..], arguments].concat()).well();
    let bans = shows(&["bans"]);
    let lines: Vec<&str> = bans.lines().collect();
    assert_eq!(lines[0], format!("mallory, by the policy file, line {}", line_of("[[bans]]")));
    assert!(
        lines[1].starts_with("eve, conversation den, until 2")
            && lines[1].contains(", reason spam, by orders (service) at 2"),
        "{bans}"
    );
    assert!(lines[2].starts_with("tom, conversation den, by alice (owner) at 2"), "{bans}");
    assert!(shows(&["bans", "--user", "tom", "--conversation", "den"]).starts_with("tom, "));

    let page = shows(&["bans", "--limit", "1"]);
    let cursor = page.lines().last().unwrap().strip_prefix("there are more: --after ").unwrap().to_owned();
    assert!(shows(&["bans", "--after", &cursor]).starts_with("eve, "), "{page}");

    assert_eq!(shows(&["mutes"]), "none\n");
    assert_eq!(shows(&["enforcements", "--state", "pending"]), "none\n");
    assert!(shows(&["roles", "--user", "bob"]).starts_with("bob, conversation den, role manager, by the policy file"));
    assert!(
        shows(&["conversation", "den"]).starts_with("conversation den, kind group, owner alice, by the policy file")
    );
    assert!(asks(&server, &["list", "conversation", "nowhere"]).ill().contains("(not_found, "));
    let one_too_many = asks(&server, &["list", "bans", "den"]);
    assert_eq!((one_too_many.code, one_too_many.said.as_str()), (2, ""));
    let listed: Value = serde_json::from_str(&shows(&["bans", "-o", "json"])).unwrap();
    assert_eq!(listed["entries"][0]["source"], "file");
}

/// The line of the policy in which something first stands.
fn line_of(text: &str) -> usize {
    POLICY.lines().position(|line| line == text).unwrap() + 1
}
