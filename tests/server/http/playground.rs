//! The demonstration's playground: there for its own page and nobody else, and never without the demonstration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{self, Answer, Server, Setup, request};

const GROUP: &str = "5f3c2a1b9e8d7c6b5a493827";

/// The shipped demonstration, running, with these lines changed.
fn demonstration(changes: &[(&str, &str)]) -> Server {
    Server::run(common::demonstration(changes), Setup::default())
}

const JSON: &str = "content-type: application/json\r\n";

fn post(server: &Server, path: &str, headers: &str, body: &Value) -> Answer {
    server.ask(&request("POST", path, &format!("{JSON}{headers}"), &body.to_string()))
}

fn get(server: &Server, path: &str, headers: &str) -> Answer {
    server.ask(&request("GET", path, headers, ""))
}

/// The header of a caller that the playground makes.
fn caller(server: &Server, subject: &str, roles: &[&str]) -> String {
    let answer = post(server, "/playground/token", "", &json!({"subject": subject, "roles": roles}));
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("authorization: Bearer {}\r\n", answer.json()["token"].as_str().unwrap())
}

/// Asks the real route, and then why: the page's way.
fn follow(server: &Server, caller: &str, place: &str, body: &Value) -> (Answer, Value) {
    let answer = post(server, &format!("/v1/{place}"), caller, body);
    let signed = (answer.status == 200).then_some(&answer.body);
    let asked = json!({"request": body, "answer": signed});
    let explained = post(server, &format!("/playground/explain/{place}"), caller, &asked);
    assert_eq!(explained.status, 200, "{explained:?}");
    (answer, explained.json())
}

#[test]
fn the_page_comes_with_all_that_keeps_it_to_itself() {
    let server = demonstration(&[]);
    for (path, media) in [
        ("/playground", "text/html; charset=utf-8"),
        ("/playground/main.js", "text/javascript; charset=utf-8"),
        ("/playground/policy.md", "text/plain; charset=utf-8"),
        ("/playground/style.css", "text/css; charset=utf-8"),
        ("/playground/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(&server, path, "");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let home = get(&server, "/", "");
    assert_eq!((home.status, home.header("location")), (303, Some("/playground")));
    let wrong = post(&server, "/playground", "", &json!({}));
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(get(&server, "/playground/", "").status, 404);
    assert_eq!(get(&server, "/playgrounds", "").status, 404);
}

#[test]
fn there_is_none_unless_the_demonstration_asks_for_it() {
    let servers = [Server::start(), demonstration(&[("playground = true", "playground = false")])];
    for server in servers {
        for path in ["/", "/playground", "/playground/main.js", "/playground/world"] {
            assert_eq!(get(&server, path, "").code(), "not_found", "{path}");
        }
        for path in ["/playground/token", "/playground/explain/leancloud/login"] {
            assert_eq!(post(&server, path, "", &json!({})).code(), "not_found", "{path}");
        }
    }
}

#[test]
fn only_its_own_page_may_use_it() {
    let listed = "[server.cors]\norigins = [\"https://app.example.com\"]\ncredentials = true\n\n[admin]";
    let server = demonstration(&[("[admin]", listed)]);
    for foreign in ["origin: https://app.example.com\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        for path in ["/playground/token", "/playground/explain/leancloud/login"] {
            assert_eq!(post(&server, path, foreign, &json!({"subject": "tom"})).code(), "denied", "{path} {foreign}");
        }
        assert_eq!(get(&server, "/playground/world", foreign).code(), "denied", "{foreign}");
    }
    for own in ["", "origin: http://localhost\r\nsec-fetch-site: same-origin\r\n"] {
        assert_eq!(post(&server, "/playground/token", own, &json!({"subject": "tom"})).status, 200, "{own}");
    }
    for path in ["/playground", "/playground/world"] {
        let elsewhere = format!("GET {path} HTTP/1.1\r\nhost: rebound.example.com\r\n\r\n");
        assert_eq!(server.ask(&elsewhere).code(), "denied");
    }
}

#[test]
fn nobody_is_asked_for_who_could_be_no_caller() {
    let server = demonstration(&[]);
    for (body, flaw) in [
        (json!({}), "missing field `subject`"),
        (json!({"subject": "tom", "sub": "alice"}), "unknown field `sub`"),
        (json!({"subject": ""}), "subject must not be empty"),
        (json!({"subject": "a".repeat(256)}), "subject must have at most 255 characters"),
    ] {
        let answer = post(&server, "/playground/token", "", &body);
        assert_eq!(answer.code(), "invalid_field", "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(flaw), "{answer:?}");
    }
    assert_eq!(get(&server, "/playground/token", "").code(), "method_not_allowed");
    let asked = json!({"request": {}, "answer": null});
    assert_eq!(post(&server, "/playground/explain/leancloud/login", "", &asked).code(), "unauthenticated");
    let tom = caller(&server, "tom", &[]);
    assert_eq!(post(&server, "/playground/explain/leancloud/sing", &tom, &asked).code(), "not_found");
    assert_eq!(post(&server, "/playground/explain/nothing/login", &tom, &asked).code(), "not_found");
    let wrong = json!({"request": {"conv_id": 1}, "answer": null});
    assert_eq!(post(&server, "/playground/explain/leancloud/join", &tom, &wrong).code(), "invalid_field");
}

#[test]
fn a_decision_is_explained_in_the_words_of_the_command_line() {
    let server = demonstration(&[]);
    let tom = caller(&server, "tom", &["moderator"]);
    let (answer, reasons) = follow(&server, &tom, "leancloud/kick", &json!({"conv_id": GROUP, "members": ["bob"]}));
    assert_eq!((answer.status, &reasons["signed"]), (403, &Value::Null));
    let mut decided = reasons["decided"].clone();
    let told = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
        .args(["explain", "leancloud", "kick", "--conv-id", GROUP, "--members", "bob"])
        .args(["--as", "tom", "--roles", "moderator", "-o", "json", "--at", decided["at"].as_str().unwrap()])
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(decided.take(), told);
}

/// A rule with every condition.
const RULE: &str = r#"
[[rules]]
id = "every-condition"
effect = "allow"
actions = ["*", "app-token"]
callers = ["user", "service"]
services = ["orders"]
authenticators = ["backend"]
apps = ["leancloud"]
roles = ["member"]
caller_roles = ["owner"]
client = "any"
targets = "others"
kinds = ["group"]
conversations = ["room:{client}"]
max_members = 3
claims = { tenant = "a \"quoted\" name", "/level" = 2 }
reason = "Because of a \\ and a \"."

[[rules]]
id = "self"
effect = "deny"
actions = ["leave"]
client = "self"
"#;

#[test]
fn the_texts_of_the_rules_are_the_rules() {
    let directory = common::demonstration(&[]);
    let path = directory.join("policy.toml");
    let (head, tail) = ("default_role = \"guest\"\n", "\n# --- People and conversations");
    let policy = fs::read_to_string(&path).unwrap();
    let (before, rest) = policy.split_once(head).unwrap();
    let (rules, entries) = rest.split_once(tail).unwrap();
    fs::write(&path, format!("{before}{head}{rules}{RULE}{tail}{entries}")).unwrap();
    let told = |directory: &Path| {
        let server = Server::run(directory.to_owned(), Setup::default());
        let tom = caller(&server, "tom", &[]);
        let (_, mut reasons) = follow(&server, &tom, "leancloud/kick", &json!({"conv_id": GROUP, "members": ["bob"]}));
        reasons["decided"]["at"] = Value::Null;
        (reasons["rules"].clone(), reasons["decided"].clone())
    };
    let original = told(&directory);
    let texts = original.0.as_object().unwrap();
    assert_eq!(texts.len(), policy.matches("\n[[rules]]").count() + RULE.matches("[[rules]]").count());
    let texts: String = texts.values().map(|rule| rule["text"].as_str().unwrap()).collect();
    for key in RULE.lines().filter_map(|line| line.split_once(" = ")) {
        assert!(texts.contains(&format!("\n{} = ", key.0)), "{key:?}");
    }
    assert!(texts.contains("actions = [\"*\", \"app-token\"]"), "{texts}");

    let again = common::demonstration(&[]);
    fs::write(again.join("policy.toml"), format!("{before}{head}{texts}{tail}{entries}")).unwrap();
    let copied = told(&again);
    assert_eq!(copied.0, original.0);
    let results = |decided: &Value| -> BTreeMap<String, Value> {
        let rules = decided["steps"][0]["rules"].as_array().unwrap();
        rules.iter().map(|rule| (rule["id"].to_string(), rule.clone())).collect()
    };
    assert_eq!(results(&copied.1), results(&original.1));
}

#[test]
fn the_string_to_sign_is_the_one_of_the_answer() {
    let server = demonstration(&[("legacy_signatures = false", "legacy_signatures = true")]);
    let tom = caller(&server, "tom", &[]);
    let capability = json!({"capability": {"chat:lobby": ["subscribe", "message-delete-any"]}});
    for (place, body, start) in [
        ("leancloud/join", json!({"conv_id": GROUP}), format!("demonstration-leancloud-app:tom:{GROUP}:tom:")),
        ("talkjs/token", json!({}), "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.".to_owned()),
        ("talkjs/signature", json!({}), "tom".to_owned()),
        ("ably/token", capability.clone(), "eyJ".to_owned()),
        (
            "ably/token-request",
            capability,
            "demoapp.demokey\n3600000\n{\"chat:lobby\":[\"subscribe\"]}\ntom\n".to_owned(),
        ),
    ] {
        let (answer, reasons) = follow(&server, &tom, place, &body);
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        let signed = &reasons["signed"];
        assert_eq!(signed["matches"], true, "{place}: {signed}");
        assert!(signed["text"].as_str().unwrap().starts_with(&start), "{place}: {signed}");
        assert_eq!(signed["token"].is_array(), place.ends_with("/token"), "{place}: {signed}");
    }
}

#[test]
fn an_answer_that_was_tampered_with_is_told() {
    let server = demonstration(&[]);
    let tom = caller(&server, "tom", &[]);
    let explain = |answer: Value| {
        let asked = json!({"request": {}, "answer": answer});
        post(&server, "/playground/explain/leancloud/login", &tom, &asked).json()["signed"].clone()
    };
    let forged = json!({"signature": "00".repeat(20), "timestamp": 1, "nonce": "n1"}).to_string();
    assert_eq!(explain(json!(forged))["matches"], false);
    for no_answer in ["", "{}", "null", "x.y.z", r#"{"signature": "zz", "timestamp": 1, "nonce": "n1"}"#] {
        assert_eq!(explain(json!(no_answer)), Value::Null, "{no_answer}");
    }
}

#[test]
fn a_service_comes_with_the_demonstrations_key() {
    let server = demonstration(&[]);
    let world = get(&server, "/playground/world", "").json();
    let service = world["callers"].as_array().unwrap().iter().find(|caller| caller["kind"] == "service").unwrap();
    let header = format!("{}: {}\r\n", service["header"].as_str().unwrap(), service["key"].as_str().unwrap());
    let (answer, reasons) = follow(&server, &header, "leancloud/login", &json!({"client_id": "tom"}));
    assert_eq!(answer.status, 200);
    assert_eq!(
        reasons["decided"]["caller"],
        json!({"kind": "service", "subject": "orders", "authenticator": "backend"})
    );
}

#[test]
fn no_secret_that_signs_is_told() {
    let server = demonstration(&[]);
    let tom = caller(&server, "tom", &[]);
    let (answer, reasons) = follow(&server, &tom, "leancloud/login", &json!({}));
    let world = get(&server, "/playground/world", "");
    let texts = [answer.body, reasons.to_string(), world.body];
    for secret in [
        "leancloud",
        "talkjs",
        "ably",
        "stream",
        "centrifugo",
        "livekit",
        "pusher",
        "tencent",
        "agora",
        "jwt",
        "caller",
    ] {
        let secret = fs::read_to_string(server.directory.join(format!("deploy/demo/{secret}.secret"))).unwrap();
        let secret = secret.trim().rsplit(':').next().unwrap().to_owned();
        assert!(secret.len() > 20);
        assert!(texts.iter().all(|text| !text.contains(&secret)));
    }
}
