//! The demonstration's playground: there for its own page and nobody else, and never without the demonstration.

use std::fs;
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
    let wrong = post(&server, "/playground", "", &json!({}));
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(get(&server, "/playground/", "").status, 404);
    assert_eq!(get(&server, "/playgrounds", "").status, 404);
}

#[test]
fn there_is_none_unless_the_demonstration_asks_for_it() {
    let servers = [Server::start(), demonstration(&[("playground = true", "playground = false")])];
    for server in servers {
        for path in ["/playground", "/playground/main.js", "/playground/world"] {
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
    for secret in ["leancloud", "talkjs", "ably", "stream", "centrifugo", "livekit", "pusher", "caller"] {
        let secret = fs::read_to_string(server.directory.join(format!("deploy/demo/{secret}.secret"))).unwrap();
        let secret = secret.trim().rsplit(':').next().unwrap().to_owned();
        assert!(secret.len() > 20);
        assert!(texts.iter().all(|text| !text.contains(&secret)));
    }
}
