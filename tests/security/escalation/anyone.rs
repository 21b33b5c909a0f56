//! Clients by the name `*`, and services without a rule.

use serde_json::{Value, json};

use crate::escalation::story::{Who, service, user, user_saying, world};

const SERVICES_ACT: &str = r#"
[[rules]]
id = "services-act-for-anyone"
effect = "allow"
actions = ["*"]
callers = ["service"]
client = "any"

[[rules]]
id = "administrators-act-for-anyone"
effect = "allow"
actions = ["*"]
caller_roles = ["owner"]
client = "any"
"#;

/// Everything that can be asked for, with a client's name in it.
fn everything(client: &str) -> Vec<(&'static str, Value)> {
    let den = |members: Value| json!({"client_id": client, "conv_id": "den", "members": members});
    vec![
        ("leancloud/login", json!({ "client_id": client })),
        ("leancloud/create", json!({"client_id": client, "members": ["mary"]})),
        ("leancloud/join", json!({"client_id": client, "conv_id": "den"})),
        ("leancloud/leave", json!({"client_id": client, "conv_id": "den"})),
        ("leancloud/invite", den(json!(["mary"]))),
        ("leancloud/kick", den(json!(["mary"]))),
        ("leancloud/history", json!({"client_id": client, "conv_id": "den"})),
        ("leancloud/block-clients", den(json!(["mary"]))),
        ("leancloud/unblock-clients", den(json!(["mary"]))),
        ("leancloud/block-conversation", json!({"client_id": client, "conv_id": "den"})),
        ("leancloud/unblock-conversation", json!({"client_id": client, "conv_id": "den"})),
        ("talkjs/token", json!({ "user_id": client })),
        ("talkjs/signature", json!({ "user_id": client })),
        ("ably/token", json!({"client_id": client, "capability": {"chat:den": ["subscribe"]}})),
        ("ably/token-request", json!({"client_id": client, "capability": {"chat:den": ["subscribe"]}})),
    ]
}

#[test]
fn a_service_without_a_rule_gets_nothing() {
    let server = world("[[rules]]\nid = \"users\"\neffect = \"allow\"\nactions = [\"*\"]\n");
    for (path, body) in everything("tom") {
        user("tom").may(&server, path, &body);
        service().may_not(&server, path, &body, "is not allowed");
    }
    service().may_not(&server, "talkjs/app-token", &json!({}), "app-token is not allowed");
}

#[test]
fn a_rule_for_one_service_is_not_for_another() {
    let server = world(
        r#"
        [[rules]]
        id = "billing-acts"
        effect = "allow"
        actions = ["*"]
        services = ["billing"]
        client = "any"
        "#,
    );
    for (path, body) in everything("tom") {
        service().may_not(&server, path, &body, "is not allowed");
        user("billing").may_not(&server, path, &body, "is not allowed");
    }
}

#[test]
fn no_user_is_everyone() {
    let server = world(SERVICES_ACT);
    let administrator = user_saying("ada", &json!({"roles": ["owner"]}));
    for who in [user("tom"), administrator] {
        for (path, body) in everything("*") {
            is_refused(&who, &server, path, &body);
        }
    }
}

#[test]
fn a_service_is_everyone_at_ably_alone() {
    let server = world(SERVICES_ACT);
    for (path, body) in everything("*") {
        if path.starts_with("ably/") {
            service().may(&server, path, &body);
        } else {
            is_refused(&service(), &server, path, &body);
        }
    }
    service().can_not(
        &server,
        "leancloud/invite",
        &json!({"client_id": "tom", "conv_id": "den", "members": ["*"]}),
        "must name one client",
    );
    service().can_not(
        &server,
        "leancloud/create",
        &json!({"client_id": "tom", "members": ["mary", "*"]}),
        "must name one client",
    );
}

#[test]
fn a_service_that_may_act_for_some_is_not_everyone() {
    let server = world(
        "[[rules]]\nid = \"self\"\neffect = \"allow\"\nactions = [\"*\"]\ncallers = [\"service\"]\nclient = \"self\"\n",
    );
    for (path, body) in everything("*") {
        is_refused(&service(), &server, path, &body);
    }
}

/// Refused for the client's name, or by the policy; at Ably both are a 403.
fn is_refused(who: &Who, server: &crate::common::Server, path: &str, body: &Value) {
    let answer = who.asks(server, path, body);
    let says = ["must name one client", "must not be `*`", "is not allowed"];
    assert!(
        [400, 403].contains(&answer.status) && says.iter().any(|says| answer.body.contains(says)),
        "{path}: {answer:?}"
    );
}
