//! Conversations that are registered at run time.

use serde_json::{Value, json};

use crate::common::{Server, post};
use crate::routes::world::{POLICY, Service, User, server};

fn put(server: &Server, id: &str, body: &Value) -> u16 {
    Service.asks(server, "PUT", &format!("conversations/{id}"), body).status
}

#[track_caller]
fn known(server: &Server, id: &str) -> Vec<Value> {
    let answer = Service.gets(server, &format!("conversations/{id}"));
    if answer.status == 404 {
        assert_eq!(answer.code(), "not_found");
        return Vec::new();
    }
    let mut entries = answer.json()["entries"].as_array().unwrap().clone();
    for entry in &mut entries {
        entry.as_object_mut().unwrap().retain(|name, _| !["at", "by"].contains(&name.as_str()));
    }
    entries
}

#[test]
fn a_conversation_is_registered_and_its_owner_moderates() {
    let server = server("");
    assert_eq!(known(&server, "hall"), [json!(null); 0]);
    let ban = json!({"users": ["tom"], "conversation": "hall"});
    Service.does(&server, "roles", &json!({"users": ["tom"], "conversation": "hall", "role": "member"}));
    assert_eq!(User("zoe").posts(&server, "bans", &ban).status, 403);
    let answer = Service.asks(&server, "PUT", "conversations/hall", &json!({"kind": "chatroom", "owner": "zoe"}));
    assert_eq!((answer.status, answer.json()), (200, json!({"succeeded": ["hall"], "failed": [], "change": 2})));
    assert_eq!(
        known(&server, "hall"),
        [json!({"conversation": "hall", "kind": "chatroom", "owner": "zoe", "source": "moderation"})]
    );
    User("zoe").does(&server, "bans", &ban);
    // The owner may see and change it, but names no owner.
    assert_eq!(User("zoe").gets(&server, "conversations/hall").status, 200);
    assert_eq!(User("zoe").asks(&server, "PUT", "conversations/hall", &json!({"kind": "group"})).status, 200);
    assert_eq!(known(&server, "hall")[0]["owner"], "zoe");
    assert_eq!(User("zoe").asks(&server, "PUT", "conversations/hall", &json!({"owner": "zoe"})).status, 403);
}

#[test]
fn an_owner_is_set_once_and_for_all() {
    let server = server("");
    assert_eq!(put(&server, "hall", &json!({"owner": "zoe"})), 200);
    assert_eq!(put(&server, "hall", &json!({"owner": "zoe"})), 200);
    assert_eq!(put(&server, "hall", &json!({"owner": "tom"})), 409);
    let answer = server.ask(&Service.request("DELETE", "conversations/hall", None));
    assert_eq!((answer.status, answer.json()["succeeded"].clone()), (200, json!(["hall"])));
    assert_eq!(
        known(&server, "hall"),
        [json!({"conversation": "hall", "owner": "zoe", "source": "moderation", "forgotten": true})]
    );
    let ban = json!({"users": ["tom"], "conversation": "hall"});
    assert_eq!(User("zoe").posts(&server, "bans", &ban).status, 403);
    assert_eq!(put(&server, "hall", &json!({"owner": "tom"})), 409);
    assert_eq!(put(&server, "hall", &json!({"owner": "zoe"})), 200);
    assert_eq!(server.ask(&Service.request("DELETE", "conversations/nothing", None)).status, 200);
}

#[test]
fn what_the_file_tells_of_is_changed_there() {
    let server = server("");
    let line = POLICY.lines().position(|line| line == "[[conversations]]").unwrap() + 1;
    assert_eq!(
        known(&server, "den"),
        [json!({"conversation": "den", "kind": "group", "owner": "alice", "source": "file", "line": line})]
    );
    for request in [
        Service.request("PUT", "conversations/den", Some(&json!({"kind": "chatroom"}))),
        Service.request("DELETE", "conversations/den", None),
    ] {
        let answer = server.ask(&request);
        assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"));
        assert_eq!(answer.json()["line"], json!(line));
    }
}

#[test]
fn entries_for_one_app_and_for_all_do_not_mix() {
    let server = server("");
    assert_eq!(put(&server, "hall", &json!({"kind": "chatroom", "app": "leancloud"})), 200);
    assert_eq!(put(&server, "hall", &json!({"kind": "group", "app": "talkjs"})), 200);
    assert_eq!(put(&server, "hall", &json!({"kind": "group"})), 409);
    assert_eq!(known(&server, "hall").len(), 2);
    assert_eq!(known(&server, "hall?app=talkjs")[0]["kind"], "group");
    assert_eq!(server.ask(&Service.request("DELETE", "conversations/hall?app=talkjs", None)).status, 200);
    assert_eq!(known(&server, "hall").len(), 1);
}

#[test]
fn ids_are_those_of_one_conversation() {
    let server = server("");
    for id in ["a%2Fb", "caf%C3%A9", "a%20b", "%2e%2e", "chat:lobby", "_tmp:x"] {
        assert_eq!(put(&server, id, &json!({})), 200, "{id}");
        assert_eq!(known(&server, id).len(), 1, "{id}");
    }
    assert_eq!(known(&server, "a%2fb")[0]["conversation"], "a/b");
    assert_eq!(known(&server, "_tmp:x")[0]["kind"], "temporary");
    assert_eq!(put(&server, "_tmp:x", &json!({"kind": "group"})), 400);
    for id in ["*", "chat:*", "room::$chat:*", "a%00b", "%20a", &"x".repeat(256)] {
        let answer = Service.asks(&server, "PUT", &format!("conversations/{id}"), &json!({}));
        assert_eq!((answer.status, answer.json()["field"].clone()), (400, json!("id")), "{id}");
    }
    for (id, status) in [("a%2", 400), ("%ff", 400), ("a/b", 404), ("", 404)] {
        assert_eq!(put(&server, id, &json!({})), status, "{id}");
    }
}

#[test]
fn a_rooms_channels_are_the_room() {
    let server = server("");
    let answer = Service.asks(&server, "PUT", "conversations/pub%3A%3A%24chat", &json!({"owner": "zoe"}));
    assert_eq!((answer.status, answer.json()["succeeded"].clone()), (200, json!(["pub"])));
    for id in ["pub", "pub::$chat", "pub::$chat::$typing"] {
        let expected = json!({"conversation": "pub", "kind": "group", "owner": "zoe", "source": "moderation"});
        assert_eq!(known(&server, id), [expected], "{id}");
    }
    let answer = server.ask(&Service.request("DELETE", "conversations/pub::$chat::$typing", None));
    assert_eq!((answer.status, answer.json()["succeeded"].clone()), (200, json!(["pub"])));
    assert_eq!(known(&server, "pub")[0]["forgotten"], true);
}

#[test]
fn a_kind_counts_in_the_very_next_request() {
    let server = server("");
    let kinds = "[[rules]]\nid = \"no-rooms\"\neffect = \"deny\"\nactions = [\"join\"]\nkinds = [\"chatroom\"]\n";
    let path = server.directory.join("policy.toml");
    let before = server.said().matches("is in force").count();
    std::fs::write(&path, format!("{POLICY}{kinds}")).unwrap();
    crate::common::until("it is taken over", || server.said().matches("is in force").count() > before);
    let join = || server.ask(&post("/v1/leancloud/join", "tom", r#"{"conv_id": "hall"}"#)).status;
    assert_eq!(join(), 200);
    assert_eq!(put(&server, "hall", &json!({"kind": "chatroom"})), 200);
    assert_eq!(join(), 403);
}
