//! Why something is allowed or denied, asked of a running server.

use serde_json::{Value, json};

use crate::common::Setup;
use crate::routes::world::{Caller, MEMORY, POLICY, Service, User, join, with};

const READS_DECISIONS: &str = r#"
[[rules]]
id = "services-read-decisions"
effect = "allow"
actions = ["read-decisions"]
callers = ["service"]
client = "any"
"#;

/// A server whose services may read decisions.
fn server() -> crate::common::Server {
    let files = vec![(
        "policy.toml",
        POLICY.replacen("[[conversations]]", &format!("{READS_DECISIONS}\n[[conversations]]"), 1),
    )];
    with(Setup { files, ..Setup::more(&format!("{MEMORY}[audit]\nto = \"audit.log\"\n")) })
}

fn asks(server: &crate::common::Server, who: Caller, query: &str) -> Value {
    let answer = who.gets(server, &format!("explain?{query}"));
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    answer.json()
}

#[test]
fn a_decision_is_explained_with_the_entries_that_the_server_has() {
    let server = server();
    let query = "user=tom&app=leancloud&action=join&conversation=den";
    let before = asks(&server, Service, query);
    assert_eq!((&before["allowed"], &before["token_unknown"]), (&json!(true), &json!(true)));
    assert_eq!(join(&server, "tom", "den"), 200);

    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "den", "reason": "rude"}));
    assert_eq!(join(&server, "tom", "den"), 403);
    let after = asks(&server, Service, query);
    assert_eq!(
        (&after["allowed"], &after["code"], &after["reason"]),
        (&json!(false), &json!("banned"), &json!("rude"))
    );
    assert_eq!((&after["words"][0]["say"], &before["words"]), (&json!("banned"), &json!([])));
    let considered = after["steps"][0]["considered"][0]["sentence"].as_str().unwrap();
    assert!(considered.starts_with("tom is banned in den (rude), by orders (service) at "), "{considered}");
    let rules = after["steps"][0]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == "everyone" && rule["matches"] == true), "{after}");
}

#[test]
fn who_may_not_read_decisions_gets_the_reason_without_the_rules() {
    let server = server();
    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "den", "until": "2099-01-01T00:00:00Z"}));
    let told = asks(&server, User("bob"), "user=tom&app=leancloud&action=join&conversation=den");
    assert_eq!(told["code"], json!("banned"));
    let word = json!({
        "say": "banned", "action": "join", "user": "tom", "conversation": "den", "by": "orders",
        "until": "2099-01-01T00:00:00.000Z",
    });
    assert_eq!((&told["allowed"], &told["words"]), (&json!(false), &json!([word])));
    assert!(told.get("steps").is_none() && told.get("rule").is_none(), "{told}");
    let told = asks(&server, User("bob"), "user=carol&app=leancloud&action=kick&conversation=den&members=tom");
    assert_eq!(told["words"], json!([{"say": "no_rule", "action": "kick", "conversation": "den"}]));
    let told = asks(&server, User("bob"), "user=carol&app=leancloud&action=join&conversation=den");
    assert_eq!((&told["allowed"], &told["words"]), (&json!(true), &json!([])));
}

#[test]
fn the_moderator_of_a_conversation_learns_no_author_and_no_reason_of_a_wider_ban() {
    let server = server();
    Service.does(&server, "bans", &json!({"users": ["tom"], "reason": "a private matter"}));
    let told = asks(&server, User("bob"), "user=tom&app=leancloud&action=join&conversation=den");
    let word = json!({"say": "banned", "action": "join", "user": "tom", "conversation": "*"});
    assert_eq!((&told["allowed"], &told["words"]), (&json!(false), &json!([word])));
}

#[test]
fn a_question_that_is_wrong_is_explained_only_to_a_caller_who_may_ask() {
    let server = server();
    for query in ["roles=nope", "authenticator=nope"] {
        let path = format!("explain?user=tom&app=leancloud&action=join&conversation=den&{query}");
        let answer = User("tom").gets(&server, &path);
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{answer:?}");
        assert_eq!(User("bob").gets(&server, &path).status, 400);
    }
}

const OTHER_VENDORS: &str = r#"
[apps.live]
vendor = "livekit"
url = "wss://livekit.example.com"
api_key = "fake-key"
secret = { file = "app.secret" }

[apps.cent]
vendor = "centrifugo"
secret = { file = "app.secret" }

[apps.push]
vendor = "pusher"
app_id = "1"
key = "fake-key"
secret = { file = "app.secret" }

[apps.stream]
vendor = "stream"
api_key = "fake-key"
secret = { file = "app.secret" }
"#;

#[test]
fn each_vendor_names_the_conversation_by_its_own_field() {
    let policy = POLICY.replacen("[[conversations]]", &format!("{READS_DECISIONS}\n[[conversations]]"), 1);
    let secret = "obviously-fake-secret-for-tests-0123456789".to_owned();
    let files = vec![("policy.toml", policy), ("app.secret", secret)];
    let server = with(Setup { files, ..Setup::more(&format!("{MEMORY}{OTHER_VENDORS}")) });
    for (query, place) in [
        ("app=leancloud&action=join&conversation=den", "den"),
        ("app=live&action=token&conversation=den", "den"),
        ("app=live&action=token&fields=%7B%22room_name%22:%22den%22%7D", "den"),
        ("app=live&action=join&conversation=den", "den"),
        ("app=cent&action=subscription-token&conversation=den", "den"),
        ("app=push&action=channel-auth&conversation=private-den&fields=%7B%22socket_id%22:%221.1%22%7D", "den"),
        ("app=stream&action=token&fields=%7B%22call_cids%22:%5B%22default:a%22%5D%7D", "default:a"),
        ("app=ably&action=token&capability=%7B%22den%22:%5B%22subscribe%22%5D%7D", "den"),
    ] {
        let told = asks(&server, Service, &format!("user=tom&{query}"));
        let steps = told["steps"].as_array().unwrap();
        assert!(steps.iter().any(|step| step["conversation"] == place), "{query}: {told}");
    }
    for (query, field) in [
        ("app=live&action=token", "conversation"),
        ("app=live&action=token&conversation=den&client=*", "client"),
        ("app=talkjs&action=token&conversation=den", "conversation"),
        ("app=live&action=token&conversation=den&fields=%7B%22room_name%22:%22pub%22%7D", "fields"),
    ] {
        let answer = Service.gets(&server, &format!("explain?user=tom&{query}"));
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!(field)), "{query}: {answer:?}");
    }
}

#[test]
fn only_who_may_read_the_entries_of_the_conversation_asks() {
    let server = server();
    for (who, query) in [
        (User("tom"), "user=tom&app=leancloud&action=join&conversation=den"),
        (User("bob"), "user=tom&app=leancloud&action=join&conversation=pub"),
        (User("bob"), "user=tom&app=leancloud&action=login"),
    ] {
        let answer = who.gets(&server, &format!("explain?{query}"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{query}: {answer:?}");
    }
    assert_eq!(server.ask(&crate::common::request("GET", "/v1/moderation/explain?user=tom", "", "")).status, 401);
    let lines = std::fs::read_to_string(server.directory.join("audit.log")).unwrap();
    assert_eq!(lines.matches("\"action\":\"read-moderation\"").count(), 3, "{lines}");
    asks(&server, Service, "user=tom&app=leancloud&action=login");
    let lines = std::fs::read_to_string(server.directory.join("audit.log")).unwrap();
    assert_eq!(lines.matches("\"action\":\"read-decisions\"").count(), 1, "{lines}");
}

#[test]
fn a_question_that_makes_no_sense_is_refused_with_its_field() {
    let server = server();
    for (query, field) in [
        ("app=leancloud&action=join", "user"),
        ("user=tom&service=orders&app=leancloud&action=login", "service"),
        ("user=tom&action=join", "app"),
        ("user=tom&app=nothing&action=join", "app"),
        ("user=tom&app=leancloud", "action"),
        ("user=tom&app=leancloud&action=fly", "action"),
        ("user=tom&app=leancloud&action=join", "conversation"),
        ("user=tom&app=leancloud&action=ban", "members"),
        ("user=*&app=leancloud&action=login", "user"),
        ("user=tom&app=leancloud&action=login&at=soon", "at"),
        ("user=tom&app=leancloud&action=login&token=x", "token"),
        ("user=tom&app=leancloud&action=login&fields=x", "fields"),
    ] {
        let answer = Service.gets(&server, &format!("explain?{query}"));
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!(field)), "{query}: {answer:?}");
    }
}

#[test]
fn a_member_with_a_comma_is_one_member() {
    let server = server();
    Service.does(&server, "bans", &json!({"users": ["c,d"], "conversation": "den"}));
    let query = "service=orders&app=leancloud&action=invite&client=x&conversation=den&members=";
    let told = asks(&server, Service, &format!("{query}%5B%22c,d%22%5D"));
    assert_eq!((&told["allowed"], &told["words"][0]["say"]), (&json!(false), &json!("target_banned")), "{told}");
    let answer = Service.gets(&server, &format!("explain?{query}%5B1%5D"));
    assert_eq!((answer.status, answer.json()["field"].clone()), (400, json!("members")), "{answer:?}");
}
