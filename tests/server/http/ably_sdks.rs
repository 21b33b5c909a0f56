//! Requests for Ably tokens, byte for byte as Ably's SDKs send them, and what each gets.

use chat_signer::crypto::base64url_decode;
use serde_json::Value;

use crate::common::{Answer, Server, Setup, request, token};

/// An SDK's request: its name, its method, the query, headers, the body, and how long the token lives, in seconds.
type Sent = (&'static str, &'static str, &'static str, &'static str, &'static str, u64);

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "content-type: application/json\r\n";
const JAVA: &str = "accept: application/json\r\n";
const JS: &str = "accept: application/json, text/plain\r\n";
const COCOA: &str = "accept: application/x-msgpack,application/json\r\n";
const ALL: &str = "accept: */*\r\n";

/// ably-java adds `authParams` to the query or the form, ably-cocoa sends its format beside them, and ably-ruby posts JSON. Older versions of
/// ably-java send `capability` and `ttl` without a value. ably-cocoa and ably-ruby send seconds.
const SENT: [Sent; 16] = [
    (
        "ably-js",
        "GET",
        "clientId=tom&ttl=1800000&capability=%7B%22chat:1%22:%5B%22subscribe%22%5D%7D&rnd=1",
        JS,
        "",
        1800,
    ),
    ("ably-js by POST", "POST", "", JS, "clientId=tom&timestamp=1790000000000&rnd=1", 3600),
    ("ably-java", "GET", "clientId=tom&timestamp=1790000000000&device=a", JAVA, "", 3600),
    ("an older ably-java", "GET", "ttl=&capability=&client_id=tom&timestamp=1790000000000", JAVA, "", 3600),
    ("an older ably-java without a client", "GET", "capability=&client_id=&ttl=", JAVA, "", 3600),
    ("an older ably-java by POST", "POST", "", JAVA, "capability=&ttl=&client_id=tom", 3600),
    ("ably-cocoa", "GET", "clientId=tom&ttl=3600&timestamp=1790000000000&format=msgpack", COCOA, "", 60),
    (
        "an older ably-cocoa",
        "GET",
        "clientId=tom&ttl=3600.000000&timestamp=1790000000.044694&format=msgpack",
        COCOA,
        "",
        60,
    ),
    ("ably-cocoa by POST", "POST", "format=msgpack", COCOA, "clientId=tom&ttl=3600.5", 60),
    ("ably-dotnet", "GET", "ttl=3600000&capability=%7B%22*%22%3A%5B%22*%22%5D%7D&clientId=tom", JAVA, "", 3600),
    (
        "ably-dotnet by POST",
        "POST",
        "",
        JAVA,
        "ttl=3600000&capability=%7B%22*%22%3A%5B%22*%22%5D%7D&clientId=tom&timestamp=1790000000000",
        3600,
    ),
    ("ably_flutter on Android", "GET", "clientId=tom&timestamp=1790000000000", JAVA, "", 3600),
    ("ably_flutter on iOS", "GET", "clientId=tom&timestamp=1790000000000&format=msgpack", COCOA, "", 3600),
    ("ably-ruby", "GET", "client_id=tom&ttl=3600", ALL, "", 60),
    ("ably-ruby by POST", "POST", "", ALL, r#"{"client_id":"tom","ttl":3600}"#, 60),
    ("ably-ruby without a client by POST", "POST", "", ALL, r#"{"client_id":null,"capability":"","ttl":7200.5}"#, 60),
];

fn ask(server: &Server, operation: &str, (_, method, query, headers, body, _): Sent) -> Answer {
    let encoding = match body.bytes().next() {
        None => "",
        Some(b'{') => JSON,
        Some(_) => FORM,
    };
    let headers = format!("authorization: Bearer {}\r\n{headers}{encoding}", token("tom"));
    server.ask(&request(method, &format!("/v1/ably/{operation}?{query}"), &headers, body))
}

/// What a token says, and for how many seconds.
fn read(token: &str) -> (Value, u64) {
    let payload = base64url_decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let seconds = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    (claims, seconds)
}

#[test]
fn every_sdk_gets_a_token_that_lives_long_enough() {
    let server = Server::start();
    for sent in SENT {
        let answer = ask(&server, "token", sent);
        assert_eq!(answer.status, 200, "{}: {}", sent.0, answer.body);
        let (claims, seconds) = read(&answer.body);
        assert_eq!((&claims["x-ably-clientId"], seconds), (&Value::from("tom"), sent.5), "{}", sent.0);
        let answer = ask(&server, "token-request", sent);
        assert_eq!(answer.status, 200, "{}: {}", sent.0, answer.body);
        assert_eq!(
            (&answer.json()["clientId"], &answer.json()["ttl"]),
            (&"tom".into(), &(sent.5 * 1000).into()),
            "{}",
            sent.0
        );
    }
}

/// Without `application/jwt` in `Accept`, older versions of the SDKs do not know that type. All know `text/plain`.
#[test]
fn a_token_has_a_type_that_the_sdk_knows() {
    let server = Server::start();
    for sent in SENT {
        let answer = ask(&server, "token", sent);
        let expected = if sent.3 == ALL { "application/jwt" } else { "text/plain; charset=utf-8" };
        assert_eq!(answer.header("content-type"), Some(expected), "{}", sent.0);
    }
}

#[test]
fn values_that_an_app_did_not_set_are_absent() {
    let server = Server::start();
    for value in ["", "null", "undefined"] {
        let query = format!("clientId={value}&capability={value}&ttl={value}");
        let headers = format!("authorization: Bearer {}\r\n", token("tom"));
        let answer = server.ask(&request("GET", &format!("/v1/ably/token?{query}"), &headers, ""));
        assert_eq!(answer.status, 200, "{value}: {}", answer.body);
        assert_eq!(read(&answer.body).0["x-ably-clientId"], "tom", "{value}");
        let answer = server.ask(&request("POST", "/v1/ably/token", &format!("{headers}{FORM}"), &query));
        assert_eq!(answer.status, 200, "{value}: {}", answer.body);
    }
}

#[test]
fn an_accept_header_for_messagepack_alone_or_for_nothing_gets_the_token() {
    let server = Server::start();
    for accept in ["application/x-msgpack", "application/x-msgpack;q=0.9", "", " "] {
        let headers = format!("authorization: Bearer {}\r\naccept: {accept}\r\n", token("tom"));
        let answer = server.ask(&request("GET", "/v1/ably/token", &headers, ""));
        assert_eq!((answer.status, answer.body.matches('.').count()), (200, 2), "{accept}: {answer:?}");
        let answer = server.ask(&request("GET", "/v1/ably/token-request", &headers, ""));
        assert_eq!((answer.status, &answer.json()["clientId"]), (200, &"tom".into()), "{accept}");
    }
}

#[test]
fn a_refusal_because_of_another_client_says_so() {
    let server = Server::start();
    let headers = format!("authorization: Bearer {}\r\n", token("tom"));
    let answer = server.ask(&request("GET", "/v1/ably/token?clientId=mary", &headers, ""));
    assert_eq!(answer.status, 403);
    let expected = "login is not allowed for another client: the client is mary, the caller is tom";
    assert_eq!(answer.json()["error"]["message"], expected);
}

#[test]
fn a_part_of_a_capability_that_is_not_granted_is_named_in_the_audit_line() {
    let server = Server::with(Setup::more("[audit]\nto = \"audit.log\""));
    let ask = |capability: &str| {
        let headers = format!("authorization: Bearer {}\r\n{JSON}", token("tom"));
        let body = serde_json::json!({ "capability": capability }).to_string();
        let answer = server.ask(&request("POST", "/v1/ably/token", &headers, &body));
        let lines = std::fs::read_to_string(server.directory.join("audit.log")).unwrap();
        let line: Value = lines.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default();
        (answer, line)
    };
    let wide =
        r#"{"chat:1": ["subscribe", "future-op"], "foo*": ["*"], "chat:*:x": ["publish"], "chat:2": ["publish"]}"#;
    let (answer, line) = ask(wide);
    assert_eq!(read(&answer.body).0["x-ably-capability"], r#"{"chat:1":["subscribe"]}"#);
    let left_out = serde_json::json!(["`chat:*:x`", "`future-op` in `chat:1`", "`foo*`", "`publish` in `chat:2`"]);
    assert_eq!((&line["left_out"], &line["granted"]), (&left_out, &serde_json::json!({"chat:1": ["subscribe"]})));
    let (answer, line) = ask(r#"{"chat:1": ["subscribe"]}"#);
    assert_eq!((answer.status, line.get("left_out")), (200, None));
    let (answer, _) = ask(r#"{"foo*": ["*"], "chat:1": ["future-op"]}"#);
    assert_eq!(answer.status, 403, "nothing is left: {answer:?}");
    assert!(answer.body.contains("future-op"), "{answer:?}");
}

#[test]
fn an_empty_capability_is_the_apps_own() {
    let server = Server::start();
    let capability =
        |query| read(&ask(&server, "token", ("", "GET", query, "", "", 0)).body).0["x-ably-capability"].clone();
    assert_eq!(capability("capability="), capability(""));
    assert_ne!(capability("capability=%7B%22chat:1%22:%5B%22subscribe%22%5D%7D"), capability(""));
}

#[test]
fn min_ttl_says_how_long_a_token_lives_at_least() {
    let more = "[apps.other]\nvendor = \"ably\"\nkey = { file = \"other.secret\" }\nmin_ttl = \"30m\"\ndefault_ttl = \"45m\"\nmax_ttl = \"1h\"\n\
                capability = { \"chat:*\" = [\"subscribe\"] }\n";
    let files = vec![("other.secret", "otherapp.otherkey:another-fake-ably-secret-0123456789".to_owned())];
    let server = Server::with(Setup { files, ..Setup::more(more) });
    for (ttl, seconds) in [("", 2700), ("3600", 1800), ("3600.000000", 1800), ("1900000", 1900), ("999999999", 3600)] {
        let headers = format!("authorization: Bearer {}\r\n", token("tom"));
        let answer = server.ask(&request("GET", &format!("/v1/other/token?ttl={ttl}"), &headers, ""));
        assert_eq!(answer.status, 200, "{ttl}: {}", answer.body);
        assert_eq!(read(&answer.body).1, seconds, "{ttl}");
    }
}
