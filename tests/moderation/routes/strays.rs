//! Entries for an app that was given another name, or is gone.

use std::fs;

use serde_json::{Value, json};

use crate::common::{Answer, Server, Setup, until};
use crate::routes::world::{Service, User, server, with};

/// What the admin listener says of the moderation entries.
fn said(server: &Server) -> String {
    let ready = server.admin("/readyz?verbose");
    assert_eq!(ready.status, 200, "{}", ready.body);
    ready.body.lines().find(|line| line.contains(" moderation: ")).unwrap().to_owned()
}

fn lift(server: &Server, path: &str, body: &Value) -> Answer {
    Service.posts(server, path, body)
}

fn entries(server: &Server, table: &str) -> Vec<Value> {
    let page = Service.gets(server, table).json();
    let entries = page["entries"].as_array().unwrap().iter();
    entries.filter(|entry| entry["source"] == "moderation").cloned().collect()
}

#[test]
fn what_is_left_behind_by_an_app_is_told_and_can_be_lifted() {
    let server = server("");
    Service.does(&server, "bans", &json!({"users": ["eve", "yves"], "app": "talkjs"}));
    Service.does(&server, "mutes", &json!({"users": ["eve"], "app": "talkjs", "conversation": "hall"}));
    Service.does(
        &server,
        "roles",
        &json!({"users": ["tom"], "app": "talkjs", "conversation": "hall", "role": "member"}),
    );
    Service.does(&server, "blocks", &json!({"client_id": "zoe", "app": "talkjs", "conversation": "hall"}));
    Service.does(&server, "bans", &json!({"users": ["eve"], "app": "ably"}));
    let put = Service.asks(&server, "PUT", "conversations/hall", &json!({"owner": "zoe", "app": "talkjs"}));
    assert_eq!((put.status, said(&server).as_str()), (200, "[+] moderation: ok"));

    server.change("[apps.talkjs]", "[apps.tj]");
    let told = said(&server);
    assert!(told.starts_with("[!] moderation: 6 entries are for apps that are not configured"), "{told}");
    assert!(told.contains(": talkjs (6). "), "{told}");
    until("it is logged", || server.said().contains("6 entries are for apps that are not configured"));

    let ban = json!({"users": ["eve"], "app": "talkjs"});
    assert_eq!(Service.posts(&server, "bans", &ban).status, 400, "nothing new is made for it");
    let by_user = User("erin").posts(&server, "bans/lift", &ban);
    assert_eq!(by_user.json()["failed"][0]["code"], "invalid", "{by_user:?}");
    assert_eq!(lift(&server, "bans/lift", &json!({"users": ["eve"], "app": "never"})).status, 400);
    assert_eq!(entries(&server, "bans").len(), 3);

    Service.does(&server, "bans/lift", &json!({"users": ["eve", "yves"], "app": "talkjs"}));
    assert_eq!(entries(&server, "bans").len(), 1, "that for another app stays");
    assert!(said(&server).contains("talkjs (4)"), "{}", said(&server));
    let hall = |more: Value| {
        let mut body = json!({"app": "talkjs", "conversation": "hall"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    Service.does(&server, "mutes/lift", &hall(json!({"users": ["eve"]})));
    Service.does(&server, "roles/remove", &hall(json!({"users": ["tom"], "role": "member"})));
    Service.does(&server, "blocks/lift", &hall(json!({"client_id": "zoe"})));
    assert!(said(&server).contains("moderation: 1 entry is for apps"), "{}", said(&server));
    let forget = Service.request("DELETE", "conversations/hall?app=talkjs", None);
    assert_eq!(server.ask(&forget).status, 200);
    assert_eq!(said(&server), "[+] moderation: ok");
    for table in ["mutes", "roles", "blocks"] {
        assert_eq!(entries(&server, table), Vec::<Value>::new(), "{table}");
    }
}

#[test]
fn what_is_left_behind_is_told_at_start() {
    let setup = || Setup::more("[store]\ntype = \"redb\"\npath = \"moderation.redb\"\n");
    let server = with(setup());
    Service.does(&server, "bans", &json!({"users": ["eve"], "app": "talkjs"}));
    server.signal("-KILL");
    let directory = server.killed();
    let path = directory.join("signer.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[apps.talkjs]", "[apps.tj]")).unwrap();
    let server = Server::run(directory, setup());
    until("it is logged", || server.said().contains("1 entry is for apps that are not configured"));
    assert!(said(&server).starts_with("[!] moderation: 1 entry is for apps"), "{}", said(&server));
}
