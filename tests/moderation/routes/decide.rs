//! Decisions without a signature, for the gates and hooks of backends.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Answer, SERVICE_KEY, Server, Setup, request};
use crate::routes::world::{Caller, MEMORY, POLICY, Service, User, with};

const DECIDES: &str = r#"
[[rules]]
id = "gates"
effect = "allow"
actions = ["decide"]
callers = ["service"]
client = "any"
conversations = ["den", "chat:*"]

[[rules]]
id = "members-send"
effect = "allow"
actions = ["publish"]
conversations = ["den", "chat:*"]
"#;

fn server() -> Server {
    let policy = POLICY.replacen("[[conversations]]", &format!("{DECIDES}\n[[conversations]]"), 1);
    let more = format!("{MEMORY}[audit]\nto = \"audit.log\"\n");
    with(Setup { files: vec![("policy.toml", policy)], ..Setup::more(&more) })
}

fn asks(server: &Server, who: Caller, body: &Value) -> Answer {
    let headers = format!("{}content-type: application/json\r\n", who.header());
    server.ask(&request("POST", "/v1/decide", &headers, &body.to_string()))
}

fn decided(server: &Server, body: &Value) -> Value {
    let answer = asks(server, Service, body);
    assert_eq!(answer.status, 200, "{body}: {answer:?}");
    answer.json()
}

fn sends(user: &str) -> Value {
    json!({"app": "leancloud", "user": user, "action": "publish", "conversation": "den"})
}

/// The lines of the audit log with this action.
fn lines(server: &Server, action: &str) -> Vec<Value> {
    let text = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["action"] == action).collect()
}

#[test]
fn a_mute_stops_messages_at_a_vendor_whose_signatures_cannot() {
    let server = server();
    let before = decided(&server, &sends("tom"));
    assert_eq!((&before["allowed"], &before["code"], &before["words"]), (&json!(true), &Value::Null, &json!([])));
    assert!(before.get("message").is_none() && before.get("steps").is_none(), "{before}");
    Service.does(&server, "mutes", &json!({"users": ["tom"], "conversation": "den", "reason": "rude"}));
    let after = decided(&server, &sends("tom"));
    assert_eq!((&after["allowed"], &after["code"]), (&json!(false), &json!("denied")));
    let word = json!({"say": "muted", "action": "publish", "user": "tom", "conversation": "den", "by": "orders", "reason": "rude"});
    assert_eq!(after["words"], json!([word]));
    assert!(after["message"].as_str().unwrap().contains("muted"), "{after}");
    assert_eq!(decided(&server, &sends("carol"))["allowed"], json!(true));
}

#[test]
fn a_list_of_questions_has_an_answer_for_each_in_its_order() {
    let server = server();
    let batch = json!({"requests": [
        sends("tom"),
        sends("mallory"),
        {"app": "ably", "user": "tom", "action": "publish", "conversation": "chat:lobby"},
        {"app": "ably", "user": "loud", "action": "publish", "conversation": "chat:lobby"},
        {"app": "leancloud", "user": "tom", "action": "invite", "conversation": "den", "members": ["zoe"]},
        {"app": "leancloud", "service": "orders", "client": "tom", "action": "join", "conversation": "den"},
    ]});
    let answers = decided(&server, &batch)["decisions"].clone();
    let codes: Vec<_> =
        answers.as_array().unwrap().iter().map(|one| one["words"][0]["say"].as_str().unwrap_or("yes")).collect();
    assert_eq!(codes, ["yes", "banned", "yes", "muted", "no_rule", "no_rule"]);
    assert_eq!(
        answers[0],
        decided(&server, &sends("tom"))
            .as_object()
            .map(|one| {
                let mut one = one.clone();
                one["at"] = answers[0]["at"].clone();
                Value::Object(one)
            })
            .unwrap()
    );
}

#[test]
fn each_decision_has_one_line_and_is_counted() {
    let server = server();
    decided(&server, &json!({"requests": [sends("tom"), sends("mallory")]}));
    let lines = lines(&server, "decide");
    let parts = |line: &Value| {
        ["decision", "question", "client", "conversation"].map(|name| line[name].as_str().unwrap().to_owned())
    };
    assert_eq!(parts(&lines[0]), ["allow", "publish", "tom", "den"]);
    assert_eq!(parts(&lines[1]), ["deny", "publish", "mallory", "den"]);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["rules"], json!(["members-send"]));
    assert_eq!(lines[0]["caller"], json!({"kind": "service", "subject": "orders"}));
    assert_eq!(lines[0]["about"], json!({"kind": "user", "subject": "tom"}));
    assert_eq!(lines[1]["ban"], "*");
    let metrics = server.admin("/metrics").body;
    for (decision, rule) in [("allow", "members-send"), ("deny", "ban")] {
        let series = metrics.lines().find(|line| {
            let has = |label: &str| line.contains(label);
            has("chat_signer_decisions_total{")
                && has("action=\"decide\"")
                && has(&format!("outcome=\"{decision}\""))
                && has(&format!("rule=\"{rule}\""))
        });
        assert!(series.is_some_and(|series| series.ends_with(" 1")), "{decision} {rule}: {series:?}");
    }
    assert!(metrics.contains("path=\"/v1/decide\"") || metrics.contains("route=\"/v1/decide\""), "{metrics}");
}

#[test]
fn only_services_that_the_policy_allows_get_decisions() {
    let server = server();
    // No rule gives the action to a user: not even to a manager of everything.
    for user in [User("tom"), User("erin")] {
        let answer = asks(&server, user, &sends("tom"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{answer:?}");
        // A mistake in the question is told only to a caller who may ask.
        let answer = asks(&server, user, &json!({"app": "nope"}));
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{answer:?}");
    }
    // The service may not ask about another conversation, and then gets no answer at all.
    let elsewhere = json!({"app": "leancloud", "user": "tom", "action": "join", "conversation": "cellar"});
    let answer = asks(&server, Service, &json!({"requests": [sends("tom"), elsewhere]}));
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{answer:?}");
    assert!(answer.json().get("decisions").is_none());
    let denied = lines(&server, "decide");
    assert!(denied.iter().all(|line| line["decision"] == "deny" && line["question"].is_null()), "{denied:?}");
    let nobody = server.ask(&request("POST", "/v1/decide", "content-type: application/json\r\n", "{}"));
    assert_eq!(nobody.status, 401);
}

/// A server whose services can ask about everything.
fn open_server() -> Server {
    let policy = POLICY.replacen(
        "[[conversations]]",
        &format!("{}\n[[conversations]]", DECIDES.replacen("conversations = [\"den\", \"chat:*\"]\n", "", 1)),
        1,
    );
    with(Setup { files: vec![("policy.toml", policy)], ..Setup::more(MEMORY) })
}

#[test]
fn mistakes_name_their_question() {
    let server = open_server();
    let field = |body: &Value| {
        let answer = asks(&server, Service, body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_field"), "{body}: {answer:?}");
        answer.json()["field"].as_str().unwrap().to_owned()
    };
    for (member, value, named) in [
        ("app", json!("nope"), "app"),
        ("app", Value::Null, "app"),
        ("action", json!("fly"), "action"),
        ("action", json!(1), "action"),
        ("user", json!("*"), "user"),
        ("user", Value::Null, "user"),
        ("service", json!("orders"), "service"),
        ("conversation", json!(""), "conversation"),
        ("members", json!("tom"), "members"),
        ("roles", json!(["nope"]), "user"),
        ("fields", json!("{}"), "fields"),
        ("fields", json!({"conv_id": "x"}), "fields"),
        ("at", json!("2027-01-01T00:00:00Z"), "at"),
        ("rules", json!(true), "rules"),
    ] {
        let mut question = sends("tom");
        question[member] = value.clone();
        assert_eq!(field(&question), named, "{member} {value}");
        assert_eq!(field(&json!({"requests": [sends("tom"), question]})), format!("requests[1].{named}"));
    }
    for batch in [json!([]), json!({}), json!("x"), json!(vec![sends("tom"); 101])] {
        assert_eq!(field(&json!({ "requests": batch })), "requests");
    }
    assert_eq!(field(&json!({"requests": [1]})), "requests[0]");
    assert_eq!(field(&json!({"requests": [sends("tom")], "app": "leancloud"})), "app");
    assert_eq!(
        decided(&server, &json!({"requests": vec![sends("tom"); 100]}))["decisions"].as_array().unwrap().len(),
        100
    );
}

#[test]
fn the_route_is_a_post_of_json_without_a_query() {
    let server = open_server();
    let key = format!("x-api-key: {SERVICE_KEY}\r\n");
    let json = format!("{key}content-type: application/json\r\n");
    assert_eq!(server.ask(&request("GET", "/v1/decide", &key, "")).status, 405);
    let form = format!("{key}content-type: application/x-www-form-urlencoded\r\n");
    assert_eq!(server.ask(&request("POST", "/v1/decide", &form, "app=leancloud")).status, 415);
    assert_eq!(server.ask(&request("POST", "/v1/decide?app=leancloud", &json, "{}")).status, 400);
    assert_eq!(server.ask(&request("POST", "/v1/decide", &json, "[]")).status, 400);
    let html = format!("{json}accept: text/html\r\n");
    assert_eq!(server.ask(&request("POST", "/v1/decide", &html, &sends("tom").to_string())).status, 406);
}
