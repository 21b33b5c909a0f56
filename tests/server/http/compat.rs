//! The routes of LeanCloud's demo servers.

use std::os::unix::net::UnixDatagram;

use chat_signer::crypto::hex;
use chat_signer::crypto::mac::HmacSha1;
use serde_json::{Value, json};

use crate::common::{Answer, SERVICE_KEY, Server, Setup, post, request, token};

const ROOM: &str = "5f3c2a1b9e8d7c6b5a493827";

/// What every SDK of LeanCloud sends along, whoever it calls. Here even with the master key.
const SDK: &str =
    "x-lc-id: fake-leancloud-app\r\nx-lc-key: fake-leancloud-master-key,master\r\nx-lc-prod: 1\r\nx-lc-ua: AV\r\n";

fn ask(server: &Server, path: &str, user: &str, body: &Value) -> Answer {
    let authorization = format!("authorization: Bearer {}\r\n", token(user));
    let headers = format!("{SDK}{authorization}content-type: application/json;charset=UTF-8\r\n");
    server.ask(&request("POST", path, &headers, &body.to_string()))
}

/// The text that was signed, with the time and the nonce taken out, of an answer that holds.
fn signed(answer: &Value) -> String {
    let (text, signature) = (answer["msg"].as_str().unwrap(), answer["signature"].as_str().unwrap());
    assert_eq!(signature, hex(&HmacSha1::new(b"fake-leancloud-master-key").mac(text.as_bytes())));
    assert_eq!(answer.as_object().unwrap().len(), 4);
    text.replace(&answer["timestamp"].as_u64().unwrap().to_string(), "T")
        .replace(answer["nonce"].as_str().unwrap(), "N")
}

#[test]
fn the_page_answers_as_the_demo_does() {
    let server = Server::start();
    for (body, text) in [
        (json!({"client_id": "tom"}), "fake-leancloud-app:tom::T:N".to_owned()),
        (json!({"client_id": "tom", "members": ["tom", "mary"]}), "fake-leancloud-app:tom:mary:tom:T:N".to_owned()),
        (
            json!({"client_id": "tom", "members": ["tom"], "conv_id": ROOM, "action": "add", "rnd": [1], "appId": null}),
            format!("fake-leancloud-app:tom:{ROOM}:tom:T:N:invite"),
        ),
    ] {
        let answer = ask(&server, "/sign2", "tom", &body);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(signed(&answer.json()), text);
    }
}

#[test]
fn functions_answer_with_a_result() {
    let server = Server::start();
    let join = json!({"clientId": "tom", "conversationId": ROOM, "members": ["tom"], "action": "invite"});
    for (function, body, text) in [
        ("sign2", json!({"client_id": "tom"}), "fake-leancloud-app:tom::T:N".to_owned()),
        (
            "signLogin",
            json!({"clientId": {"objectId": "tom", "username": "x"}}),
            "fake-leancloud-app:tom::T:N".to_owned(),
        ),
        (
            "signStartConversation",
            json!({"clientId": "tom", "members": ["bob"]}),
            "fake-leancloud-app:tom:bob:T:N".to_owned(),
        ),
        ("signOperateConversation", join, format!("fake-leancloud-app:tom:{ROOM}:tom:T:N:invite")),
    ] {
        let answer = ask(&server, &format!("/1.1/functions/{function}"), "tom", &body);
        assert_eq!(answer.status, 200, "{function}: {answer:?}");
        assert_eq!(signed(&answer.json()["result"]), text);
        assert_eq!(answer.json().as_object().unwrap().len(), 1);
    }
    let answer = server.ask(&request("POST", "/1.1/functions/nothing", "", ""));
    assert!(answer.json()["error"].as_str().unwrap().contains("oprateConversation"), "{answer:?}");
    let headers = format!("{SDK}x-api-key: {SERVICE_KEY}\r\n");
    let answer = server.ask(&request("POST", "/1.1/functions/signLogin", &headers, ""));
    assert_eq!(answer.json()["error"], "clientId must be given: a service must name the client");
}

#[test]
fn functions_of_the_older_demonstration_have_their_older_names() {
    let server = Server::start();
    for (function, body, text) in [
        ("connect", json!({"client_id": "tom"}), "fake-leancloud-app:tom::T:N".to_owned()),
        (
            "startConversation",
            json!({"client_id": "tom", "members": ["bob"]}),
            "fake-leancloud-app:tom:bob:T:N".to_owned(),
        ),
        (
            "oprateConversation",
            json!({"client_id": "tom", "conv_id": ROOM, "members": ["tom"], "action": "invite"}),
            format!("fake-leancloud-app:tom:{ROOM}:tom:T:N:invite"),
        ),
    ] {
        let answer = ask(&server, &format!("/1.1/functions/{function}"), "tom", &body);
        assert_eq!(answer.status, 200, "{function}: {answer:?}");
        assert_eq!(signed(&answer.json()["result"]), text);
    }
    let history = json!({"clientId": "tom", "conversationId": ROOM});
    let answer = ask(&server, "/1.1/functions/queryMessage", "tom", &history);
    shows(&answer, 403, 403, &format!("history is not allowed in {ROOM}"));
}

#[test]
fn a_refusal_is_what_the_sdks_show() {
    let server = Server::start();
    let kick = json!({"clientId": "tom", "conversationId": ROOM, "members": ["bob"], "action": "remove"});
    let function = "/1.1/functions/signOperateConversation";
    for (user, path, body, status, code, says) in [
        ("tom", function, kick, 403, 403, "Only owners remove members."),
        ("mallory", "/sign2", json!({}), 403, 403, "spam"),
        ("ann", "/sign2", json!({"client_id": "a:b"}), 400, 1, "client_id must not hold `:`"),
        ("bob", function, json!({"conversationId": ROOM}), 400, 1, "action must be given: "),
        ("eve", "/1.1/functions/signLogin", json!([]), 400, 1, "JSON object"),
    ] {
        shows(&ask(&server, path, user, &body), status, code, says);
    }
}

fn shows(answer: &Answer, status: u16, code: u16, says: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/json")), "{answer:?}");
    let error = answer.json();
    assert!(error["code"] == code && error["error"].as_str().unwrap().contains(says), "{error}");
    assert_eq!(error.as_object().unwrap().len(), 2);
}

#[test]
fn what_may_be_tried_again_says_so() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"1/s\"\n"));
    let mut answers = std::iter::repeat_with(|| ask(&server, "/sign2", "bob", &json!({})));
    let answer = answers.find(|answer| answer.status != 200).unwrap();
    shows(&answer, 429, 429, "Too many requests");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let (reader, audit) = std::io::pipe().unwrap();
    let server = Server::with(Setup::audit(audit));
    drop(reader);
    let answer = ask(&server, "/1.1/functions/signLogin", "ann", &json!({}));
    shows(&answer, 503, 1, "could not be recorded");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn what_the_sdks_send_is_no_credential() {
    let server = Server::start();
    for path in ["/sign2", "/1.1/functions/signLogin"] {
        for more in
            ["", "x-lc-session: fake-session\r\n", "x-lc-sign: 0123,1700000000000,master\r\n", "x-lc-hook-key: x\r\n"]
        {
            let answer = server.ask(&request("POST", path, &format!("{SDK}{more}"), ""));
            assert_eq!((answer.status, &answer.json()["code"]), (401, &json!(401)), "{more}");
            assert!(answer.json()["error"].as_str().unwrap().contains("credential"));
            let twice = format!("{SDK}{more}authorization: Bearer x\r\nauthorization: Bearer {}\r\n", token("tom"));
            assert_eq!(server.ask(&request("POST", path, &twice, "")).status, 401);
        }
    }
}

#[test]
fn other_paths_and_methods_are_not_there() {
    let server = Server::start();
    for (method, path, status) in [
        ("POST", "/1.1/functions/disconnect", 404),
        ("POST", "/1.1/functions/", 404),
        ("POST", "/1.1/functions/signLogin/", 404),
        ("GET", "/1.1/functions/signLogin", 405),
        ("GET", "/sign2", 405),
    ] {
        let answer = server.ask(&request(method, path, SDK, ""));
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(1)), "{method} {path}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"));
    }
    for path in ["/sign2/", "/1.1/functions", "/1.1/call/signLogin", "/1.2/functions/signLogin"] {
        assert_eq!(server.ask(&post(path, "tom", "{}")).code(), "not_found", "{path}");
    }
    let form = format!("authorization: Bearer {}\r\ncontent-type: application/x-www-form-urlencoded\r\n", token("tom"));
    assert_eq!(server.ask(&request("POST", "/sign2", &form, "client_id=tom")).status, 415);
}

const SECOND: &str =
    "[apps.second]\nvendor = \"leancloud\"\napp_id = \"fake-second-app\"\nmaster_key = { file = \"talkjs.secret\" }\n";

#[test]
fn of_several_apps_one_must_be_named() {
    let server = Server::with(Setup::more(SECOND));
    for path in ["/sign2", "/1.1/functions/signLogin"] {
        let answer = ask(&server, path, "tom", &json!({}));
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!(1)));
        assert!(answer.json()["error"].as_str().unwrap().contains("`leancloud_compat`"));
    }
    let named = Setup { server: "leancloud_compat = \"second\"".to_owned(), ..Setup::more(SECOND) };
    let answer = ask(&Server::with(named), "/sign2", "tom", &json!({}));
    assert!(answer.json()["msg"].as_str().unwrap().starts_with("fake-second-app:tom::"), "{answer:?}");
}

#[test]
fn the_audit_log_has_the_action() {
    let (theirs, ours) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let server = Server::with(Setup::audit(std::os::fd::OwnedFd::from(theirs)));
    let line = || {
        let mut buffer = vec![0; 1 << 16];
        let length = ours.recv(&mut buffer).expect("the line is there before the answer");
        serde_json::from_slice::<Value>(&buffer[..length]).unwrap()
    };
    let answer = ask(&server, "/sign2", "tom", &json!({"conv_id": ROOM, "members": ["tom"], "action": "add"}));
    let written = line();
    assert_eq!(
        (&written["decision"], &written["action"], &written["app"]),
        (&json!("allow"), &json!("join"), &json!("leancloud"))
    );
    assert_eq!(written["nonce"], answer.json()["nonce"]);
    ask(&server, "/sign2", "tom", &json!({"conv_id": ROOM, "members": ["bob"], "action": "remove"}));
    let written = line();
    assert_eq!((&written["decision"], &written["action"]), (&json!("deny"), &json!("kick")));
    server.ask(&request("POST", "/sign2", SDK, ""));
    assert_eq!(line()["decision"], "refused");
}
