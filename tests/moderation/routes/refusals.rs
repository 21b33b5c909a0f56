//! What is not as it must be, and who may not ask.

use serde_json::{Value, json};

use crate::common::{Answer, SERVICE_KEY, Setup, post, request, token};
use crate::routes::world::{Service, User, server, with};

/// Bodies for a path, and the field that is wrong in each.
fn wrong() -> Vec<(&'static str, Value, &'static str)> {
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let with = |name: &str, value: Value| {
        let mut body = json!({"users": ["tom"]});
        body[name] = value;
        body
    };
    vec![
        ("bans", json!({}), "users"),
        ("bans", json!({"users": []}), "users"),
        ("bans", json!({"users": many}), "users"),
        ("bans", json!({"users": "tom"}), "users"),
        ("bans", json!({"users": ["tom", 1]}), "users[1]"),
        ("bans", json!({"users": ["tom", "zoe", "tom"]}), "users[2]"),
        ("bans", json!({"users": ["*"]}), "users[0]"),
        ("bans", json!({"users": [""]}), "users[0]"),
        ("bans", json!({"users": ["a\nb"]}), "users[0]"),
        ("bans", json!({"users": ["x".repeat(256)]}), "users[0]"),
        ("bans", with("user", json!("tom")), "user"),
        ("bans", with("role", json!("member")), "role"),
        ("bans", with("conversation", json!("")), "conversation"),
        ("bans", with("conversation", json!("a*")), "conversation"),
        ("bans", with("conversation", json!(null)), "conversation"),
        ("bans", with("app", json!("elsewhere")), "app"),
        ("bans", with("until", json!("2020-01-01T00:00:00Z")), "until"),
        ("bans", with("until", json!("2100-01-01T00:00:00")), "until"),
        ("bans", with("until", json!(4_102_444_800_u64)), "until"),
        ("bans", with("until", json!("9999-12-31T23:59:59Z")), "until"),
        ("bans", with("reason", json!("a\nb")), "reason"),
        ("mutes", with("reason", json!("a\u{2028}b")), "reason"),
        ("bans", with("reason", json!("a\u{202e}b")), "reason"),
        ("bans", with("reason", json!("é".repeat(256))), "reason"),
        ("bans", with("reason", json!(" ")), "reason"),
        ("bans", with("client_id", json!("*")), "client_id"),
        ("bans", with("client_id", json!("")), "client_id"),
        ("bans/lift", with("until", json!("2100-01-01T00:00:00Z")), "until"),
        ("mutes", json!({"users": ["tom"], "untill": "x"}), "untill"),
        ("roles", with("role", json!("member")), "conversation"),
        ("roles", with("conversation", json!("den")), "role"),
        ("roles", json!({"users": ["tom"], "conversation": "den", "role": "boss"}), "role"),
        ("roles/remove", json!({"users": ["tom"], "conversation": "den"}), "role"),
        ("blocks", json!({"client_id": "tom"}), "conversation"),
        ("blocks", json!({"users": ["tom"], "conversation": "den"}), "users"),
        ("blocks/lift", json!({"conversation": "den"}), "client_id"),
    ]
}

#[test]
fn what_is_not_as_it_must_be_is_named() {
    let server = server("");
    for (path, body, field) in wrong() {
        let answer = Service.posts(&server, path, &body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_field"), "{path} {body}");
        assert_eq!(answer.json()["field"], field, "{path} {body}");
    }
    for (path, field) in [
        ("bans?limit=0", "limit"),
        ("bans?limit=1001", "limit"),
        ("bans?limit=%2B1", "limit"),
        ("bans?after=x", "after"),
        ("bans?after=eDp5", "after"),
        ("bans?user=*", "user"),
        ("bans?user=tom&user=zoe", "user"),
        ("roles?conversation=a*", "conversation"),
        ("mutes?app=elsewhere", "app"),
        ("enforcements?state=lost", "state"),
        ("enforcements?after=x", "after"),
        ("enforcements?kind=group", "kind"),
        ("enforcements?cause=bad", "cause"),
        ("enforcements?order=size", "order"),
        ("enforcements?order=time&after=x", "after"),
        ("enforcements?app=elsewhere", "app"),
    ] {
        let answer = Service.gets(&server, path);
        assert_eq!((answer.status, answer.json()["field"].clone()), (400, json!(field)), "{path}");
    }
    for kind in [json!({"kind": "party"}), json!({"kind": 1}), json!({"owner": "*"}), json!({"name": "x"})] {
        assert_eq!(Service.asks(&server, "PUT", "conversations/hall", &kind).status, 400, "{kind}");
    }
    // Nothing of it was done.
    assert_eq!(Service.gets(&server, "bans?user=tom").json()["entries"], json!([]));
    Service.does(&server, "bans", &json!({"users": (0..100).map(|number| number.to_string()).collect::<Vec<_>>()}));
    Service.does(&server, "bans", &json!({"users": ["汤".repeat(255)], "reason": "é".repeat(255)}));
}

/// The field that an answer names, and what it says.
fn flaw(answer: &Answer) -> (String, String) {
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_field"), "{answer:?}");
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("field"), text("detail"))
}

#[test]
fn nothing_that_is_not_taken_is_passed_over() {
    let server = server("");
    for (path, field, says) in [
        (
            "bans?conversatoin=den",
            "conversatoin",
            "is unknown; known are: user, conversation, app, limit, after, client_id",
        ),
        ("bans?state=pending", "state", "is unknown; known are: "),
        ("enforcements?sort=time", "sort", "is unknown; known are: state, kind, app, webhook, user, "),
        ("enforcements/groups?app=ably", "app", "is unknown; known are: client_id"),
        ("events?user=tom", "user", "is unknown; known are: "),
        ("conversations/den?user=tom", "user", "is unknown; known are: "),
        ("conversations/den?a%20b=1", "query", "has an unknown parameter; known are: app, client_id"),
    ] {
        let (named, detail) = flaw(&Service.gets(&server, path));
        assert!(named == field && detail.contains(says), "{path}: {named}: {detail}");
    }
    let hall = json!({"kind": "chatroom"});
    for (method, path) in [("PUT", "conversations/hall?app=ably"), ("POST", "bans?app=ably&users=tom")] {
        let (field, detail) = flaw(&Service.asks(&server, method, path, &hall));
        assert_eq!((field.as_str(), detail.as_str()), ("app", "app must be in the body, not in the query"), "{path}");
    }
    for (method, path) in [("DELETE", "conversations/hall"), ("GET", "bans")] {
        let (field, detail) = flaw(&Service.asks(&server, method, path, &json!({"app": "ably"})));
        assert_eq!((field.as_str(), detail.contains("into the query")), ("body", true), "{path}: {detail}");
    }
    let chunked = "transfer-encoding: chunked\r\n";
    for (body, status) in [("0\r\n\r\n", 200), ("2\r\n{}\r\n0\r\n\r\n", 400)] {
        let head =
            Service.request("DELETE", "conversations/hall", None).replace("\r\n\r\n", &format!("\r\n{chunked}\r\n"));
        assert_eq!(server.ask(&format!("{head}{body}")).status, status, "{body}");
    }
}

#[test]
fn why_a_time_or_a_text_is_not_taken_is_said() {
    let server = server("");
    let with = |name: &str, value: &str| {
        let answer = Service.posts(&server, "bans", &json!({"users": ["tom"], name: value}));
        flaw(&answer).1
    };
    let beyond = "until must not be after 9999-12-30T22:00:00.000Z: leave it out if there is no end";
    for late in ["9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "99999-01-01T00:00:00+08:00"] {
        assert_eq!(with("until", late), beyond, "{late}");
    }
    assert_eq!(with("until", "1969-12-31T23:59:59Z"), "until must be in the future");
    assert!(with("until", "10000-13-01T00:00:00Z").starts_with("until must be a date and time with an offset"));
    for (text, code) in
        [("a\u{2028}b", "U+2028"), ("a\u{202e}b", "U+202E"), ("a\u{7}b", "U+0007"), ("a\u{200f}b", "U+200F")]
    {
        let says = with("reason", text);
        assert_eq!(
            says,
            format!(
                "reason must not hold characters that break a line or change the writing direction (found {code} at character 2)"
            )
        );
    }
    Service.does(&server, "bans", &json!({"users": ["tom"], "until": "9999-12-30T22:00:00Z", "reason": "سبام 汤 é"}));
}

#[test]
fn each_path_has_its_methods_and_there_are_no_others() {
    let server = server("");
    for (path, allow) in [
        ("bans", "GET, POST"),
        ("mutes", "GET, POST"),
        ("roles", "GET, POST"),
        ("blocks", "GET, POST"),
        ("bans/lift", "POST"),
        ("roles/remove", "POST"),
        ("conversations/den", "GET, PUT, DELETE"),
        ("events", "GET"),
        ("enforcements", "GET"),
        ("explain", "GET"),
        ("users/tom", "GET"),
        ("changes/1", "GET"),
        ("conversations/den/people", "GET"),
        ("preview", "POST"),
    ] {
        let answer = server.ask(&Service.request("PATCH", path, None));
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
    }
    for path in ["", "ban", "bans/", "bans/remove", "roles/lift", "conversations/", "users/", "users/a/b"] {
        let answer = Service.gets(&server, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[test]
fn requests_are_held_to_what_all_are_held_to() {
    let server = server("");
    let with = |header: &str, body: &str| {
        let headers = format!("x-api-key: {SERVICE_KEY}\r\n{header}");
        server.ask(&request("POST", "/v1/moderation/bans", &headers, body))
    };
    let json = "content-type: application/json\r\n";
    for (header, body, status, code) in [
        (format!("{json}accept: image/png\r\n"), "{}", 406, "not_acceptable"),
        ("content-type: text/plain\r\n".to_owned(), "{}", 415, "unsupported_media_type"),
        (json.to_owned(), "{", 400, "malformed"),
        (json.to_owned(), r#"{"users": ["a"], "users": ["b"]}"#, 400, "malformed"),
        (json.to_owned(), &format!("{{\"reason\": \"{}\"}}", "x".repeat(70_000)), 413, "too_large"),
        (format!("{json}host: elsewhere\r\n"), "{}", 400, "malformed"),
    ] {
        let answer = with(&header, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{header} {}", &body[..20.min(body.len())]);
    }
    let answer =
        server.ask(&Service.request("GET", "events", None).replace("\r\n\r\n", "\r\naccept: application/json\r\n\r\n"));
    assert_eq!(answer.status, 406);
    let answer =
        server.ask(&Service.request("GET", "bans", None).replace("\r\n\r\n", "\r\nx-request-id: mine\r\n\r\n"));
    assert_eq!((answer.header("x-request-id"), answer.header("cache-control")), (Some("mine"), Some("no-store")));
}

#[test]
fn what_is_about_all_apps_needs_a_caller_of_all_apps() {
    let one = "[[authenticators]]\nname = \"partner\"\ntype = \"api-key\"\ncaller = \"service\"\nheader = \"x-partner-key\"\napps = [\"ably\"]\n";
    let keys = format!(
        "{one}keys = [{{ id = \"partner\", sha256 = \"{}\" }}]\n",
        crate::common::hash("obviously-fake-partner-key")
    );
    let server = server(&keys);
    let header = "x-partner-key: obviously-fake-partner-key\r\ncontent-type: application/json\r\n";
    let ban = |app: &str| {
        let body = format!(r#"{{"users": ["tom"]{app}}}"#);
        server.ask(&request("POST", "/v1/moderation/bans", header, &body)).status
    };
    assert_eq!((ban(""), ban(r#", "app": "talkjs""#), ban(r#", "app": "ably""#)), (401, 401, 200));
    let get = |path: &str| server.ask(&request("GET", &format!("/v1/moderation/{path}"), header, "")).status;
    assert_eq!((get("bans"), get("bans?app=ably"), get("bans?app=talkjs")), (401, 200, 401));
    // What tells of all apps isn't seen by asking about one.
    assert_eq!((get("events"), get("enforcements")), (401, 401));
}

#[test]
fn a_page_of_another_site_changes_nothing_with_what_the_browser_adds() {
    let sections = "[[authenticators]]\nname = \"ingress\"\ntype = \"forwarded\"\ncaller = \"user\"\nheader = \"x-forwarded-user\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n";
    let cors = "[server.cors]\norigins = [\"https://app.example.com\"]\n";
    let server = with(Setup { more: format!("{}{sections}", crate::routes::world::MEMORY), ..Setup::server(cors) });
    let ask = |method: &str, path: &str, origin: &str, body: &str| {
        let headers = format!("x-forwarded-user: erin\r\norigin: {origin}\r\ncontent-type: application/json\r\n");
        server.ask(&request(method, &format!("/v1/moderation/{path}"), &headers, body))
    };
    let block = r#"{"conversation": "hall"}"#;
    assert_eq!(ask("POST", "blocks", "https://evil.example", block).status, 403);
    assert_eq!(ask("PUT", "conversations/hall", "https://evil.example", "{}").status, 403);
    assert_eq!(ask("GET", "bans", "https://evil.example", "").status, 403);
    let answer = ask("POST", "blocks", "https://app.example.com", block);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example.com")));
    let preflight = |path: &str| {
        let headers = "origin: https://app.example.com\r\naccess-control-request-method: PUT\r\n";
        let answer = server.ask(&request("OPTIONS", path, headers, ""));
        answer.header("access-control-allow-methods").unwrap_or_default().to_owned()
    };
    assert_eq!(preflight("/v1/moderation/conversations/hall"), "GET,PUT,DELETE");
    assert_eq!(preflight("/v1/moderation/bans"), "GET,POST");
    assert_eq!(preflight("/v1/leancloud/login"), "GET,POST");
}

#[test]
fn rates_count_here_too() {
    let server = server("[limits]\nper_caller = \"1/s\"\n");
    let statuses: Vec<_> = (0..20).map(|_| Service.gets(&server, "bans").status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let server = with(Setup { more: crate::routes::world::MEMORY.to_owned(), ..Setup::audit(full) });
    // The first line finds out that the log is dead.
    assert_eq!(server.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 503);
    let answer = Service.posts(&server, "bans", &json!({"users": ["tom"]}));
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert!(server.admin("/metrics").body.contains("chat_signer_moderation_version 0\n"));
}

#[test]
fn a_token_of_a_banned_user_is_no_way_round() {
    let server = server("");
    Service.does(&server, "bans", &json!({"users": ["bob"]}));
    let answer = User("bob").posts(&server, "bans", &json!({"users": ["tom"], "conversation": "den"}));
    assert_eq!((answer.status, answer.code().as_str()), (403, "banned"));
    let lift = json!({"users": ["bob"]});
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token("bob"));
    assert_eq!(server.ask(&request("POST", "/v1/moderation/bans/lift", &headers, &lift.to_string())).status, 403);
}

#[test]
fn who_has_not_heard_of_the_store_decides_nothing() {
    // Nobody listens there.
    let url = ("redis.secret", "redis://127.0.0.1:1/".to_owned());
    let store = "[store]\ntype = \"redis\"\nurl = { file = \"redis.secret\" }\n";
    let policy = ("policy.toml", crate::routes::world::POLICY.to_owned());
    let server = crate::common::Server::with(Setup { files: vec![url, policy], ..Setup::more(store) });
    assert!(!server.is_ready());
    let answers = [
        server.ask(&post("/v1/leancloud/login", "tom", "{}")),
        Service.posts(&server, "bans", &json!({"users": ["tom"]})),
        Service.gets(&server, "bans"),
        Service.gets(&server, "conversations/den"),
        Service.gets(&server, "events"),
    ];
    for answer in answers {
        assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}
