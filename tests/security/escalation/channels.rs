//! Ably's channels: patterns that cover too much, names that are filled in, and what others are told of the client.

use serde_json::{Value, json};

use crate::escalation::story::{USERS, service, user, user_saying, world, world_of};

fn capability(channel: &str) -> Value {
    json!({"capability": {channel: ["subscribe"]}})
}

const LOGIN: &str = r#"
[[rules]]
id = "everyone-logs-in"
effect = "allow"
actions = ["login"]
client = "self"
"#;

#[test]
fn a_claim_fills_in_one_segment_and_no_more() {
    let server = world(&format!(
        "{LOGIN}\n[[rules]]\nid = \"tenants\"\neffect = \"allow\"\nactions = [\"subscribe\"]\nauthenticators = [\"app-users\"]\nconversations = [\"{{claim:tenant}}:*\"]\n"
    ));
    let of = |tenant: Value| user_saying("tom", &json!({ "tenant": tenant }));
    of(json!("acme")).may(&server, "ably/token", &capability("acme:lobby"));
    for (tenant, channel) in [
        (json!("acme"), "other:lobby"),
        (json!("acme"), "acme"),
        (json!("acme"), "acmeother:lobby"),
        (json!("other:private"), "other:private:lobby"),
        (json!("other:"), "other::lobby"),
        (json!("*"), "other:lobby"),
        (json!("[meta]"), "[meta]:lobby"),
        (json!(""), "a:lobby"),
        (json!(["acme"]), "acme:lobby"),
        (json!(null), "acme:lobby"),
    ] {
        of(tenant).may_not(&server, "ably/token", &capability(channel), "subscribe is not allowed in");
    }
    let everything = of(json!("acme")).is_granted(&server, &json!({"*": ["subscribe"]}));
    assert_eq!(everything, json!({"acme:*": ["subscribe"]}), "a wide pattern is narrowed to the own tenant");
}

#[test]
fn a_users_own_channel_is_theirs_alone() {
    let server = world(&format!(
        "{LOGIN}\n[[rules]]\nid = \"own\"\neffect = \"allow\"\nactions = [\"subscribe\"]\nconversations = [\"user:{{client}}\"]\n"
    ));
    user("tom").may(&server, "ably/token", &capability("user:tom"));
    for (name, channel) in [
        ("tom", "user:alice"),
        ("tom", "user:Tom"),
        ("alice:private", "user:alice:private"),
        ("a*", "user:alice"),
        ("[meta]", "[meta]"),
    ] {
        user(name).may_not(&server, "ably/token", &capability(channel), "subscribe is not allowed in");
    }
    // The channels of the room `user:tom` belong to it, and nothing else inside `user:tom:*` is granted.
    let inside = json!({"user:tom::$chat": ["subscribe"], "user:tom::$chat:*": ["subscribe"]});
    assert_eq!(user("tom").is_granted(&server, &capability("user:tom:*")["capability"]), inside);
    let own = json!({"user:tom": ["subscribe"], "user:tom::$chat": ["subscribe"], "user:tom::$chat:*": ["subscribe"]});
    for wide in ["user:*", "*"] {
        assert_eq!(user("tom").is_granted(&server, &json!({wide: ["subscribe"]})), own, "{wide}");
    }
    let as_alice = json!({"client_id": "alice", "capability": {"user:alice": ["subscribe"]}});
    user("tom").may_not(&server, "ably/token", &as_alice, "login is not allowed");
}

#[test]
fn everything_is_not_what_must_be_named() {
    let server = world(
        r#"
        [[rules]]
        id = "everything"
        effect = "allow"
        actions = ["*"]
        conversations = ["*"]

        [[rules]]
        id = "everyone-logs-in"
        effect = "allow"
        actions = ["login"]
        "#,
    );
    let tom = user("tom");
    let granted = tom.is_granted(&server, &json!({"*": ["*"]}));
    let operations = granted["*"].as_array().unwrap();
    assert_eq!(operations.len(), 15);
    assert!(!operations.iter().any(|word| ["*", "push-admin", "privileged-headers"].contains(&word.as_str().unwrap())));
    for operation in ["push-admin", "privileged-headers"] {
        let body = json!({"capability": {"*": [operation]}});
        tom.may_not(&server, "ably/token", &body, "is not allowed in *");
    }
    for channel in ["[meta]log", "[queue]jobs", "[?rewind=1]chat:lobby"] {
        tom.may_not(&server, "ably/token", &capability(channel), "subscribe is not allowed in [");
    }
    tom.may_not(&server, "ably/token", &capability("[meta]log:*"), "must be asked for by its name");
    tom.may_not(&server, "talkjs/app-token", &json!({}), "app-token is not allowed");
}

#[test]
fn nor_is_it_where_a_rule_names_no_conversations() {
    let rules = r#"
        [[rules]]
        id = "wherever"
        effect = "allow"
        actions = ["login", "subscribe"]

        [[rules]]
        id = "the-log"
        effect = "allow"
        actions = ["history"]
        conversations = ["[meta]log"]
        "#;
    let (server, tom) = (world(rules), user("tom"));
    assert_eq!(tom.is_granted(&server, &json!({"*": ["subscribe"]})), json!({"*": ["subscribe"]}));
    for channel in ["[meta]log", "[queue]jobs", "[?rewind=1]chat:lobby"] {
        tom.may_not(&server, "ably/token", &capability(channel), "subscribe is not allowed in [");
    }
    let both = json!({"[meta]log": ["history", "subscribe"]});
    assert_eq!(tom.is_granted(&server, &both), json!({"[meta]log": ["history"]}));
}

#[test]
fn a_role_in_one_channel_is_none_in_the_pattern() {
    let server = world(&format!(
        "{LOGIN}{}",
        r#"
        [[rules]]
        id = "managers-listen"
        effect = "allow"
        actions = ["subscribe"]
        roles = ["manager", "owner"]
        conversations = ["chat:*"]

        [[bindings]]
        user = "max"
        conversation = "chat:*"
        role = "manager"

        [[bindings]]
        user = "max"
        conversation = "chat:board"
        role = "guest"

        [[bindings]]
        user = "tom"
        conversation = "chat:den"
        role = "manager"
        "#
    ));
    user("tom").may(&server, "ably/token", &capability("chat:den"));
    let den = json!({"chat:den": ["subscribe"], "chat:den::$chat": ["subscribe"], "chat:den::$chat:*": ["subscribe"]});
    assert_eq!(user("tom").is_granted(&server, &json!({"chat:*": ["subscribe"]})), den);
    user("max").may(&server, "ably/token", &capability("chat:lobby"));
    user("max").may_not(&server, "ably/token", &capability("chat:board"), "not allowed in chat:board");
    user("max").may_not(
        &server,
        "ably/token",
        &capability("chat:*"),
        "because of chat:board; ask for conversations by name",
    );
}

#[test]
fn others_are_told_no_role_that_the_file_takes_back() {
    let server = world(&format!(
        "{LOGIN}{}",
        r#"
        [[rules]]
        id = "everyone-chats"
        effect = "allow"
        actions = ["publish"]

        [[bindings]]
        user = "tom"
        conversation = "chat:*"
        role = "member"
        "#
    ));
    let body = json!({"capability": {"chat:den": ["publish"], "chat:lobby": ["publish"]}});
    let tom =
        user_saying("tom", &json!({"bindings": {"chat:den": "owner", "chat:lobby": "owner", "other:x": "owner"}}));
    let claims = tom.claims(&server, &body);
    let said: Vec<_> = claims.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("ably.")).collect();
    assert_eq!(said, [(&"ably.channel.chat:*".to_owned(), &json!("member"))]);
}

#[test]
fn a_token_says_nothing_of_ably_but_what_we_decide() {
    let server =
        world(&format!("{LOGIN}\n[[rules]]\nid = \"everyone-chats\"\neffect = \"allow\"\nactions = [\"publish\"]\n"));
    let tom = user_saying(
        "tom",
        &json!({
            "name": "Tom",
            "x-ably-clientId": "alice",
            "x-ably-capability": "{\"*\":[\"*\"]}",
            "ably.channel.*": "owner",
            "ably.limits.publish.perAttachment.maxRate.*": 1000,
            "roles": [],
        }),
    );
    let claims = tom.claims(&server, &json!({"capability": {"chat:den": ["publish"]}}));
    assert_eq!(claims["x-ably-clientId"], "tom");
    assert_eq!(claims["x-ably-capability"], r#"{"chat:den":["publish"]}"#);
    assert_eq!(claims["name"], "Tom");
    assert!(claims.as_object().unwrap().keys().all(|name| !name.starts_with("ably.")), "{claims}");
}

#[test]
fn what_a_token_says_is_not_said_of_another_client() {
    let server = world_of(
        &[&USERS.replace("caller = \"user\"", "caller = \"service\"")],
        r#"
        [[rules]]
        id = "services-act-for-anyone"
        effect = "allow"
        actions = ["*"]
        callers = ["service"]
        client = "any"
        "#,
    );
    let service = user_saying("tom", &json!({"name": "Backend", "roles": ["owner"], "bindings": {"chat:*": "owner"}}));
    for client in ["tom", "mary", "*"] {
        let claims = service.claims(&server, &json!({"client_id": client, "capability": {"chat:den": ["publish"]}}));
        assert_eq!(claims["x-ably-clientId"], client);
        let keys: Vec<_> = claims.as_object().unwrap().keys().collect();
        assert!(keys.iter().all(|name| *name != "name" && !name.starts_with("ably.")), "{claims}");
    }
}

#[test]
fn a_capability_in_the_request_for_a_token_is_the_most_that_is_granted() {
    let server = world(&format!(
        "{LOGIN}\n[[rules]]\nid = \"services\"\neffect = \"allow\"\nactions = [\"*\"]\ncallers = [\"service\"]\nclient = \"any\"\n"
    ));
    let asked = json!({"client_id": "tom", "capability": {"chat:den": ["subscribe"]}, "nonce": "x", "timestamp": 1});
    let answer = service().may(&server, "ably/token-request", &asked).json();
    assert_eq!(answer["capability"], r#"{"chat:den":["subscribe"]}"#);
    assert!(answer["timestamp"].as_u64().unwrap() > 1 && answer["nonce"].as_str().unwrap().len() >= 16);
    user("tom").may_not(&server, "ably/token", &capability("chat:den"), "subscribe is not allowed");
}
