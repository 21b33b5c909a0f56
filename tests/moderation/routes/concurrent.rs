//! Changes of several moderators: what a command removes, and what it does if another moderator was faster.

use serde_json::{Value, json};

use crate::common::Server;
use crate::routes::world::{Caller, Service, User, server};

fn ban(server: &Server, caller: Caller, user: &str) -> Value {
    let answer = caller.posts(server, "bans", &json!({"users": [user], "conversation": "den"}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["change"].clone()
}

fn lift(server: &Server, caller: Caller, more: &Value) -> Value {
    let mut body = json!({"users": ["tom"], "conversation": "den"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = caller.posts(server, "bans/lift", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn authors(server: &Server) -> Vec<Value> {
    let page = Service.gets(server, "bans?conversation=den&user=tom").json();
    page["entries"].as_array().unwrap().iter().map(|entry| entry["by"]["subject"].clone()).collect()
}

#[test]
fn lifting_ones_own_ban_leaves_those_of_others() {
    let server = server("");
    ban(&server, User("bob"), "tom");
    ban(&server, User("alice"), "tom");
    let lifted = lift(&server, User("alice"), &json!({"own": true}));
    assert_eq!((&lifted["succeeded"], &lifted["change"]), (&json!(["tom"]), &json!(3)));
    let gone = &lifted["gone"][0];
    assert_eq!(
        (&gone["user"], &gone["by"]["subject"], &gone["source"]),
        (&json!("tom"), &json!("alice"), &json!("moderation"))
    );
    assert_eq!(authors(&server), ["bob"]);
    let again = lift(&server, User("alice"), &json!({"own": true}));
    assert_eq!(again, json!({"succeeded": ["tom"], "failed": [], "unchanged": ["tom"]}));
    let all = lift(&server, User("alice"), &json!({"own": false}));
    assert_eq!(all["gone"][0]["by"], json!({"kind": "user", "role": "manager", "subject": "bob"}));
    assert_eq!(authors(&server), Vec::<Value>::new());
}

#[test]
fn a_role_that_another_author_gave_is_not_taken_as_ones_own() {
    let server = server("");
    let role = |more: Value| {
        let mut body = json!({"users": ["zoe"], "conversation": "pub", "role": "member"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    Service.does(&server, "roles", &role(json!({})));
    let removed = User("erin").posts(&server, "roles/remove", &role(json!({"own": true})));
    assert_eq!(removed.json()["unchanged"], json!(["zoe"]), "{removed:?}");
    assert_eq!(Service.gets(&server, "roles?user=zoe").json()["entries"][0]["role"], "member");
    let removed = Service.posts(&server, "roles/remove", &role(json!({"own": true}))).json();
    assert_eq!(removed["change"], 2, "{removed}");
}

#[test]
fn a_command_fails_if_another_author_was_faster() {
    let server = server("");
    let own = ban(&server, User("alice"), "tom");
    // Other users, other places and other kinds of entries do not count.
    ban(&server, User("bob"), "carol");
    Service.does(&server, "bans", &json!({"users": ["tom"]}));
    Service.does(&server, "bans/lift", &json!({"users": ["tom"]}));
    Service.does(&server, "mutes", &json!({"users": ["tom"], "conversation": "den"}));
    let lifted = lift(&server, User("alice"), &json!({"own": true, "seen": own}));
    assert_eq!((&lifted["succeeded"], lifted["gone"].as_array().unwrap().len()), (&json!(["tom"]), 1));

    let own = ban(&server, User("alice"), "tom");
    ban(&server, User("bob"), "tom");
    let late = lift(&server, User("alice"), &json!({"own": true, "seen": own}));
    assert_eq!((&late["succeeded"], &late["failed"][0]["code"]), (&json!([]), &json!("changed")), "{late}");
    assert_eq!(late.get("change"), None);
    assert_eq!(authors(&server).len(), 2);
    let body = json!({"users": ["tom"], "conversation": "den", "reason": "again", "seen": own});
    assert_eq!(User("alice").posts(&server, "bans", &body).json()["failed"][0]["code"], "changed");
    // With what is there now, it succeeds. Where nothing is left to do, that is said.
    let seen =
        Service.gets(&server, "bans").header("moderation-version").unwrap().rsplit_once('-').unwrap().1.to_owned();
    let seen: u64 = seen.parse().unwrap();
    assert_eq!(lift(&server, User("alice"), &json!({"seen": seen}))["gone"].as_array().unwrap().len(), 2);
    let nothing = lift(&server, User("bob"), &json!({"seen": seen}));
    assert_eq!(nothing["unchanged"], json!(["tom"]), "{nothing}");
}

#[test]
fn a_version_that_the_store_does_not_have_changes_nothing() {
    let server = server("");
    ban(&server, User("alice"), "tom");
    let early = lift(&server, User("alice"), &json!({"seen": 1_000_000}));
    assert_eq!(early["failed"][0]["code"], "changed");
    for (field, value) in [("seen", json!("1")), ("seen", json!(-1)), ("own", json!("yes"))] {
        let answer = Service.posts(&server, "bans/lift", &json!({"users": ["tom"], field: value}));
        assert_eq!((answer.code().as_str(), &answer.json()["field"]), ("invalid_field", &json!(field)));
    }
    let answer = Service.posts(&server, "bans", &json!({"users": ["tom"], "own": true}));
    assert_eq!(answer.json()["field"], "own");
}

#[test]
fn each_answer_names_the_version() {
    let server = server("");
    let version = |path: &str| {
        let answer = Service.gets(&server, path);
        answer.header("moderation-version").unwrap().rsplit_once('-').unwrap().1.to_owned()
    };
    assert_eq!(version("bans"), "0");
    let made = Service.posts(&server, "bans", &json!({"users": ["tom"]}));
    assert!(made.header("moderation-version").unwrap().ends_with("-1"), "{made:?}");
    for path in ["mutes", "conversations/den", "users", "users/tom", "abilities", "changes", "endings"] {
        assert_eq!(version(path), "1", "{path}");
    }
    assert_eq!(User("tom").gets(&server, "bans").header("moderation-version"), None);
}
