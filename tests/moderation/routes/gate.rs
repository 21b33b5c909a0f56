//! Centrifugo's proxy: Centrifugo asks before a user connects, subscribes or publishes.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Answer, SERVICE_KEY, Server, Setup, request, token};
use crate::routes::world::{MEMORY, POLICY, Service, with};

const KEY: &str = "obviously-fake-proxy-key-0123456789";
const RULES: &str = r#"
[[rules]]
id = "everyone-sends"
effect = "allow"
apps = ["centrifugo"]
actions = ["publish", "subscribe", "history"]
conversations = ["den", "chat:*"]
"#;

fn server_with(limits: &str) -> Server {
    let app = "[apps.centrifugo]\nvendor = \"centrifugo\"\nsecret = { file = \"app.secret\" }\ndefault_ttl = \"5m\"\n\
         proxy_key = { file = \"proxy.secret\" }\nproxy_token_member = \"token\"\ninfo_claims = [\"sub\"]\n\
         [apps.plain]\nvendor = \"centrifugo\"\nsecret = { file = \"plain.secret\" }\n";
    let policy = POLICY.replacen("[[conversations]]", &format!("{RULES}\n[[conversations]]"), 1);
    let files = vec![
        ("policy.toml", policy),
        ("app.secret", "obviously-fake-secret-for-tests-0123456789".to_owned()),
        ("plain.secret", "obviously-fake-secret-of-another-app-0123".to_owned()),
        ("proxy.secret", KEY.to_owned()),
    ];
    with(Setup { files, ..Setup::more(&format!("{MEMORY}[audit]\nto = \"audit.log\"\n{limits}{app}")) })
}

fn server() -> Server {
    server_with("")
}

/// Asks as Centrifugo does, with these further headers.
fn ask(server: &Server, call: &str, headers: &str, body: &Value) -> Answer {
    let headers = format!("x-centrifugo-proxy-key: {KEY}\r\ncontent-type: application/json\r\n{headers}");
    server.ask(&request("POST", &format!("/v1/centrifugo/proxy/{call}"), &headers, &body.to_string()))
}

#[track_caller]
fn answered(server: &Server, call: &str, headers: &str, body: &Value) -> Value {
    let answer = ask(server, call, headers, body);
    assert_eq!(answer.status, 200, "{call} {body}: {answer:?}");
    answer.json()
}

fn bearer(user: &str) -> String {
    format!("authorization: Bearer {}\r\n", token(user))
}

fn message(user: &str, channel: &str) -> Value {
    json!({"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json", "user": user,
        "channel": channel, "data": {"text": "hi"}})
}

#[test]
fn a_user_connects_with_the_forwarded_credential() {
    let server = server();
    let client = json!({"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"});
    let answer = answered(&server, "connect", &bearer("tom"), &client);
    assert_eq!(answer["result"]["user"], "tom");
    assert_eq!(answer["result"]["info"], json!({"sub": "tom"}));
    assert!(answer["result"]["expire_at"].as_u64().unwrap() > 0);
    let mut in_data = client.clone();
    in_data["data"] = json!({"token": token("carol")});
    assert_eq!(answered(&server, "connect", "", &in_data)["result"]["user"], "carol");
    // Two credentials are refused, and so are none, a wrong one, and the name in the body.
    for (headers, body) in [
        (bearer("tom"), &in_data),
        (String::new(), &client),
        ("authorization: Bearer nonsense\r\n".to_owned(), &client),
        (String::new(), &json!({"client": "c1", "user": "tom", "data": {"token": "non\nsense"}})),
    ] {
        let answer = answered(&server, "connect", &headers, body);
        assert_eq!(answer, json!({"disconnect": {"code": 4502, "reason": "not authenticated"}}), "{headers} {body}");
    }
    // A service is no user.
    let answer = answered(&server, "connect", &format!("x-api-key: {SERVICE_KEY}\r\n"), &client);
    assert_eq!(answer["disconnect"]["code"], 4503, "{answer}");
    let banned = answered(&server, "connect", &bearer("mallory"), &client);
    assert_eq!(banned["disconnect"]["code"], 4501, "{banned}");
}

#[test]
fn a_mute_or_ban_applies_to_the_next_message() {
    let server = server();
    let yes = json!({"result": {}});
    assert_eq!(answered(&server, "publish", "", &message("tom", "chat:lobby")), yes);
    Service.does(&server, "mutes", &json!({"users": ["tom"], "conversation": "chat:lobby"}));
    let answer = answered(&server, "publish", "", &message("tom", "chat:lobby"));
    assert_eq!(answer["error"]["code"], 403);
    assert!(answer["error"]["message"].as_str().unwrap().contains("muted"), "{answer}");
    assert!(answer["error"].get("temporary").is_none());
    assert_eq!(answered(&server, "publish", "", &message("tom", "chat:other")), yes);
    assert!(answered(&server, "subscribe", "", &message("tom", "chat:lobby"))["result"]["expire_at"].is_u64());
    Service.does(&server, "mutes/lift", &json!({"users": ["tom"], "conversation": "chat:lobby"}));
    assert_eq!(answered(&server, "publish", "", &message("tom", "chat:lobby")), yes);
    assert!(answered(&server, "refresh", "", &message("tom", ""))["result"]["expire_at"].is_u64());
    Service.does(&server, "bans", &json!({"users": ["tom"]}));
    for call in ["publish", "subscribe"] {
        assert_eq!(answered(&server, call, "", &message("tom", "chat:lobby"))["error"]["code"], 403, "{call}");
    }
    let answer = answered(&server, "refresh", "", &message("tom", ""));
    assert_eq!((&answer["disconnect"]["code"], &answer["result"]["expired"]), (&json!(4501), &json!(true)));
    let answer = answered(&server, "sub_refresh", "", &message("tom", "chat:lobby"));
    assert_eq!(answer, json!({"result": {"expired": true}}));
}

#[test]
fn a_method_is_an_action_of_the_policy() {
    let server = server();
    let call = |method: &str, channel: &str| {
        let body = json!({"client": "c1", "user": "tom", "method": method, "data": {"channel": channel}});
        answered(&server, "rpc", "", &body)
    };
    assert_eq!(call("history", "chat:lobby"), json!({"result": {"data": {"allowed": true}}}));
    assert_eq!(call("history", "secret")["error"]["code"], 403);
    assert_eq!(call("fly", "chat:lobby")["error"]["code"], 400);
}

#[test]
fn only_a_centrifugo_with_the_key_is_answered() {
    let server = server();
    let body = message("tom", "chat:lobby").to_string();
    let json = "content-type: application/json\r\n";
    let key = |key: &str| format!("{json}x-centrifugo-proxy-key: {key}\r\n");
    for headers in [
        json.to_owned(),
        key(""),
        key("another-key"),
        key(&KEY[..KEY.len() - 1]),
        format!("{}x-centrifugo-proxy-key: {KEY}\r\n", key(KEY)),
        format!("{json}x-api-key: {KEY}\r\n"),
        format!("{json}authorization: Bearer {KEY}\r\n"),
    ] {
        let answer = server.ask(&request("POST", "/v1/centrifugo/proxy/publish", &headers, &body));
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{headers}: {answer:?}");
    }
    // The key is for one app only, and an app without one has no proxy.
    assert_eq!(server.ask(&request("POST", "/v1/plain/proxy/publish", &key(KEY), &body)).status, 404);
    assert_eq!(server.ask(&request("GET", "/v1/centrifugo/proxy/publish", &key(KEY), "")).status, 405);
    assert_eq!(server.ask(&request("POST", "/v1/centrifugo/proxy/other", &key(KEY), &body)).status, 404);
    // The key is no credential of a caller.
    let tokens = server.ask(&request("POST", "/v1/centrifugo/connection-token", &key(KEY), r#"{"user": "tom"}"#));
    assert_eq!(tokens.status, 401);
}

#[test]
fn with_the_key_the_status_is_always_200() {
    let server = server_with("[limits]\nper_address = \"1/s\"\n");
    for (body, code) in [
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        (r#"{"user": ""}"#, 400),
        (r#"{"user": "tom"}"#, 400),
        (r#"{"user": "tom", "channel": ""}"#, 400),
        (r#"{"user": "tom", "channel": "a#b"}"#, 400),
        (r#"{"user": "tom", "channel": "chat:*"}"#, 400),
        (r#"{"user": "*", "channel": "chat:a"}"#, 400),
        (r#"{"user": "tom", "channel": "secret"}"#, 403),
        (r#"{"user": "tom", "user": "eve", "channel": "chat:a"}"#, 400),
    ] {
        let headers = format!("x-centrifugo-proxy-key: {KEY}\r\ncontent-type: application/json\r\n");
        let answer = server.ask(&request("POST", "/v1/centrifugo/proxy/publish", &headers, body));
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        assert_eq!(answer.json()["error"]["code"], code, "{body}: {answer:?}");
    }
    for call in ["connect", "refresh", "subscribe", "sub_refresh", "rpc"] {
        let answer = ask(&server, call, "", &json!([]));
        assert_eq!(answer.status, 200, "{call}: {answer:?}");
    }
}

#[test]
fn each_question_has_its_line() {
    let server = server();
    answered(&server, "connect", &bearer("tom"), &json!({"client": "c1"}));
    answered(&server, "publish", "", &message("mallory", "chat:lobby"));
    let text = fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["action"] == "decide").collect();
    let parts = |line: &Value| {
        let texts = ["decision", "question", "client"].map(|name| line[name].as_str().unwrap().to_owned());
        (texts, line["caller"].clone(), line["about"].clone())
    };
    let vendor = json!({"kind": "vendor", "subject": "centrifugo"});
    let about = |user: &str| json!({"kind": "user", "subject": user});
    let expected = |parts: [&str; 3], user: &str| (parts.map(str::to_owned), vendor.clone(), about(user));
    assert_eq!(parts(lines[0]), expected(["allow", "login", "tom"], "tom"));
    assert_eq!(parts(lines[1]), expected(["deny", "publish", "mallory"], "mallory"));
    assert!(!text.contains(KEY));
}

#[test]
fn the_description_has_the_routes_of_apps_with_a_key() {
    let server = server();
    let document = server.ask(&request("GET", "/v1/openapi.json", "", "")).json();
    let paths = document["paths"].as_object().unwrap();
    for call in ["connect", "refresh", "subscribe", "publish", "sub_refresh", "rpc"] {
        assert!(paths.contains_key(&format!("/v1/centrifugo/proxy/{call}")), "{call}");
        assert!(!paths.contains_key(&format!("/v1/plain/proxy/{call}")), "{call}");
    }
}
