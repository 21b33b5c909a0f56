//! Changes, by whoever may make them, and what comes of them.

use serde_json::{Value, json};

use crate::common::{Server, Setup};
use crate::routes::world::{Caller, Service, User, join, login, server, with};

#[test]
fn a_banned_user_gets_nothing_from_the_very_next_request_on() {
    let server = server("");
    assert_eq!(login(&server, "tom"), 200);
    let answer = Service.posts(&server, "bans", &json!({"users": ["tom", "zoe"], "reason": "spam"}));
    assert_eq!((answer.status, answer.json()), (200, json!({"succeeded": ["tom", "zoe"], "failed": [], "change": 1})));
    assert_eq!(login(&server, "tom"), 403);
    let refused = server.ask(&crate::common::post("/v1/leancloud/login", "zoe", "{}")).json();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!("banned"), &json!("spam")));
    Service.does(&server, "bans/lift", &json!({"users": ["tom"]}));
    assert_eq!((login(&server, "tom"), login(&server, "zoe")), (200, 403));
}

#[test]
fn a_ban_holds_where_it_says_and_until_it_says() {
    let server = server("");
    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "den"}));
    Service.does(&server, "bans", &json!({"users": ["zoe"], "app": "talkjs"}));
    assert_eq!((login(&server, "tom"), join(&server, "tom", "den"), join(&server, "tom", "pub")), (200, 403, 200));
    assert_eq!(login(&server, "zoe"), 200);
    assert_eq!(server.ask(&crate::common::post("/v1/talkjs/token", "zoe", "{}")).status, 403);
    Service.does(&server, "bans", &json!({"users": ["eve"], "until": crate::routes::world::soon()}));
    assert_eq!(login(&server, "eve"), 403);
    crate::common::until("the ban has ended", || login(&server, "eve") == 200);
}

#[test]
fn the_same_again_is_no_change() {
    let (server, lines) = audited();
    let ban = json!({"users": ["tom"], "reason": "spam"});
    for _ in 0..2 {
        Service.does(&server, "bans", &ban);
    }
    Service.does(&server, "bans/lift", &json!({"users": ["tom"]}));
    Service.does(&server, "bans/lift", &json!({"users": ["tom"]}));
    let changes: Vec<_> = lines(4).iter().map(|line| line["change"].clone()).collect();
    assert_eq!(changes, [json!(1), Value::Null, json!(2), Value::Null]);
}

#[test]
fn each_user_is_decided_for_itself() {
    let server = server("");
    let body = json!({"users": ["tom", "alice", "zoe", "mallory"], "conversation": "den"});
    let answer = User("bob").posts(&server, "mutes", &body);
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer["succeeded"], json!(["tom"]));
    let failed: Vec<_> = answer["failed"].as_array().unwrap().iter().map(|one| (&one["user"], &one["code"])).collect();
    let expected = [("alice", "denied"), ("zoe", "not_there"), ("mallory", "not_there")];
    let expected = expected.map(|(user, code)| (json!(user), json!(code)));
    assert_eq!(failed, expected.iter().map(|(user, code)| (user, code)).collect::<Vec<_>>());
}

#[test]
fn who_may_do_nothing_of_it_hears_it_once() {
    let server = server("");
    let ban = json!({"users": ["carol", "alice"], "conversation": "den"});
    let answer = User("tom").posts(&server, "bans", &ban);
    let problem = answer.json();
    assert_eq!(
        (answer.status, &problem["code"], &problem["rule"]),
        (403, &json!("denied"), &json!("managers-moderate"))
    );
    assert_eq!(problem["reason"], "Managers moderate those whom they outrank.");
    let answer = User("mallory").posts(&server, "bans", &ban);
    assert_eq!((answer.status, answer.code().as_str()), (403, "banned"));
    let answer =
        server.ask(&crate::common::request("POST", "/v1/moderation/bans", "content-type: application/json\r\n", "{}"));
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"));
}

#[test]
fn every_user_has_a_line_before_the_answer() {
    let (server, lines) = audited();
    let body = json!({"users": ["tom", "alice"], "conversation": "den", "app": "leancloud"});
    let answer = User("bob").posts(&server, "bans", &body);
    let lines = lines(2);
    let about = |line: &Value| {
        ["decision", "action", "client", "conversation", "app", "targets", "change"].map(|name| line[name].clone())
    };
    assert_eq!(
        about(&lines[0]),
        [json!("allow"), json!("ban"), json!("bob"), json!("den"), json!("leancloud"), json!(["tom"]), json!(1)]
    );
    assert_eq!(lines[0]["rules"], json!(["managers-moderate"]));
    assert_eq!(
        about(&lines[1]),
        [json!("deny"), json!("ban"), json!("bob"), json!("den"), json!("leancloud"), json!(["alice"]), Value::Null]
    );
    assert_eq!(lines[1]["rule"], "managers-moderate");
    assert!(lines.iter().all(|line| line["request_id"] == answer.header("x-request-id").unwrap()));
}

/// What was lost with a store can be done again by the audit log alone.
#[test]
fn a_line_tells_what_the_change_was() {
    let (server, lines) = audited();
    let said = |line: &Value| {
        const NAMES: [&str; 9] =
            ["action", "targets", "role", "removed", "kind", "owner", "forgotten", "until", "reason"];
        let told = NAMES.iter().filter(|name| !line[**name].is_null());
        told.map(|name| ((*name).to_owned(), line[*name].clone())).collect::<Value>()
    };
    let until = "2099-01-01T00:00:00+08:00";
    let ban = json!({"users": ["tom"], "conversation": "den", "until": until, "reason": "spam"});
    Service.does(&server, "bans", &ban);
    Service.does(&server, "bans", &json!({"users": ["tom"]}));
    Service.does(&server, "mutes", &json!({"users": ["tom"], "until": until}));
    let role = json!({"users": ["zoe"], "conversation": "pub", "role": "manager"});
    Service.does(&server, "roles", &role);
    Service.does(&server, "roles/remove", &role);
    let owned = json!({"kind": "chatroom", "owner": "zoe"});
    assert_eq!(Service.asks(&server, "PUT", "conversations/hall", &owned).status, 200);
    assert_eq!(server.ask(&Service.request("DELETE", "conversations/hall", None)).status, 200);
    // What is denied was asked for all the same.
    User("bob").posts(&server, "roles", &json!({"users": ["tom"], "conversation": "den", "role": "manager"}));
    let denied = json!({"users": ["alice"], "conversation": "den", "until": until, "reason": "spam"});
    User("bob").posts(&server, "bans", &denied);
    let until = "2098-12-31T16:00:00.000Z";
    let mut lines = lines(9);
    let why: Vec<_> =
        lines[7..].iter_mut().map(|line| line.as_object_mut().unwrap().remove("reason").unwrap()).collect();
    assert!(why.iter().all(|why| why.as_str().unwrap() != "spam"), "{why:?}");
    assert_eq!(
        lines.iter().map(said).collect::<Vec<_>>(),
        [
            json!({"action": "ban", "targets": ["tom"], "until": until, "reason": "spam"}),
            json!({"action": "ban", "targets": ["tom"]}),
            json!({"action": "mute", "targets": ["tom"], "until": until}),
            json!({"action": "set-role", "targets": ["zoe"], "role": "manager"}),
            json!({"action": "set-role", "targets": ["zoe"], "role": "manager", "removed": true}),
            json!({"action": "manage-conversation", "kind": "chatroom", "owner": "zoe"}),
            json!({"action": "manage-conversation", "forgotten": true}),
            json!({"action": "set-role", "targets": ["tom"], "role": "manager"}),
            json!({"action": "ban", "targets": ["alice"], "until": until}),
        ]
    );
}

/// It may have been made all the same, or be wanted still.
#[test]
fn a_change_that_could_not_be_made_is_told_in_full() {
    let (server, lines) = audited_with("[store]\ntype = \"redb\"\npath = \"moderation.redb\"\n");
    server.limit_files(Some(0));
    let until = "2099-01-01T00:00:00.000Z";
    let answer = Service.posts(&server, "bans", &json!({"users": ["tom"], "until": until, "reason": "spam"}));
    server.limit_files(None);
    assert_eq!(answer.status, 503);
    let line = &lines(1)[0];
    let told = ["decision", "action", "targets", "until"].map(|name| line[name].clone());
    assert_eq!(told, [json!("unavailable"), json!("ban"), json!(["tom"]), json!(until)]);
    assert!(line["reason"].as_str().unwrap().contains("moderation.redb"), "{line}");
}

#[test]
fn a_service_acts_as_itself_or_as_a_user() {
    let (server, lines) = audited();
    let mute = |user: &str, client: &str| json!({"users": [user], "conversation": "den", "client_id": client});
    Service.does(&server, "mutes", &mute("tom", "bob"));
    // As a moderator of the conversation it is held to what those are.
    assert_eq!(Service.posts(&server, "mutes", &mute("ann", "bob")).json()["failed"][0]["code"], "not_there");
    Service.does(&server, "mutes", &json!({"users": ["ann"], "conversation": "den"}));
    let clients: Vec<_> = lines(3).iter().map(|line| line["client"].clone()).collect();
    assert_eq!(clients, [json!("bob"), json!("bob"), Value::Null]);
    // No rule lets a user act as another.
    assert_eq!(User("tom").posts(&server, "mutes", &mute("carol", "bob")).status, 403);
}

#[test]
fn blocks_are_everyones_own() {
    let server = server("");
    let invite = r#"{"conv_id": "den", "members": ["zoe"]}"#;
    let invited = || server.ask(&crate::common::post("/v1/leancloud/invite", "bob", invite)).status;
    assert_eq!(invited(), 200);
    let answer = User("zoe").posts(&server, "blocks", &json!({"conversation": "den"}));
    assert_eq!((answer.status, answer.json()["succeeded"].clone()), (200, json!(["zoe"])));
    assert_eq!(invited(), 403);
    assert_eq!(Service.posts(&server, "blocks", &json!({"conversation": "den"})).json()["field"], "client_id");
    Service.does(&server, "blocks/lift", &json!({"conversation": "den", "client_id": "zoe"}));
    assert_eq!(invited(), 200);
    // What the policy file says is not undone here.
    let answer = User("carol").posts(&server, "blocks/lift", &json!({"conversation": "den"}));
    let line = crate::routes::world::POLICY.lines().position(|line| line == "[[blocks]]").unwrap() + 1;
    assert_eq!((answer.status, answer.code().as_str()), (409, "conflict"));
    assert_eq!(answer.json()["line"], json!(line));
}

#[test]
fn what_the_file_says_is_not_lifted() {
    let server = server("");
    let answer = Service.posts(&server, "bans/lift", &json!({"users": ["mallory", "tom"]})).json();
    assert_eq!(answer["succeeded"], json!(["tom"]));
    assert_eq!(answer["failed"][0]["code"], "file");
    assert!(answer["failed"][0]["reason"].as_str().unwrap().contains("line "), "{answer}");
}

#[test]
fn roles_are_given_and_taken() {
    let server = server("");
    let role = |role: &str| json!({"users": ["zoe"], "conversation": "pub", "role": role});
    let ban = json!({"users": ["tom"], "conversation": "pub"});
    Service.does(&server, "roles", &json!({"users": ["tom"], "conversation": "pub", "role": "member"}));
    assert_eq!(User("zoe").posts(&server, "bans", &ban).status, 403);
    Service.does(&server, "roles", &role("manager"));
    User("zoe").does(&server, "bans", &ban);
    Service.does(&server, "roles/remove", &role("manager"));
    assert_eq!(User("zoe").posts(&server, "bans/lift", &ban).status, 403);
    let answer = Service.posts(&server, "roles", &role("owner"));
    assert_eq!((answer.status, answer.json()["failed"][0]["code"].clone()), (200, json!("conflict")));
    assert_eq!(Service.posts(&server, "roles", &role("boss")).json()["field"], "role");
}

/// A server, and its next lines of the audit log.
pub(crate) fn audited() -> (Server, impl Fn(usize) -> Vec<Value>) {
    audited_with(crate::routes::world::MEMORY)
}

fn audited_with(store: &str) -> (Server, impl Fn(usize) -> Vec<Value>) {
    let (theirs, ours) = std::os::unix::net::UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let setup = Setup { more: store.to_owned(), ..Setup::audit(std::os::fd::OwnedFd::from(theirs)) };
    let lines = move |count: usize| {
        let mut text = String::new();
        while text.lines().count() < count {
            let mut buffer = vec![0; 1 << 20];
            let length = ours.recv(&mut buffer).expect("the lines are there before the answer");
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    (with(setup), lines)
}

#[test]
fn fifty_moderators_at_once_lose_nothing() {
    let server = server("");
    std::thread::scope(|scope| {
        for client in 0..50 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..4 {
                    let users = json!([format!("user-{client}-{round}")]);
                    Service.does(server, "bans", &json!({"users": users}));
                }
            });
        }
    });
    for client in 0..50 {
        assert_eq!(login(&server, &format!("user-{client}-3")), 403);
    }
}

#[test]
fn without_a_store_nothing_is_changed() {
    let server = with(Setup::default());
    for (caller, path, body) in
        [(Service, "bans", json!({"users": ["tom"]})), (User("tom"), "blocks", json!({"conversation": "den"}))]
    {
        let answer = Caller::posts(caller, &server, path, &body);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("There is no [store]"));
    }
}
