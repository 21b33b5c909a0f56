//! Bans, mutes and blocks, and the ways around them.

use serde_json::{Value, json};

use crate::escalation::story::{service, user, user_saying, world};

/// Everyone may do everything that `*` stands for, in every channel of the chat.
const CHAT: &str = r#"
[[rules]]
id = "everyone-chats"
effect = "allow"
actions = ["*"]
conversations = ["chat:*", "room", "room:*", "[?rewind=1]chat:lobby"]

[[rules]]
id = "everyone-logs-in"
effect = "allow"
actions = ["login", "create", "invite", "unblock-clients", "join"]

[[rules]]
id = "services-act-for-anyone"
effect = "allow"
actions = ["*"]
callers = ["service"]
client = "any"
"#;

fn on(channel: &str, operations: &[&str]) -> Value {
    json!({channel: operations})
}

#[test]
fn a_ban_in_one_channel_spoils_its_pattern() {
    let server = world(&format!("{CHAT}\n[[bans]]\nuser = \"mallory\"\nconversation = \"chat:lobby\"\n"));
    let mallory = user("mallory");
    for asked in ["chat:lobby", "chat:*"] {
        for operations in [&["subscribe"][..], &["*"], &["history", "publish"]] {
            let body = json!({"capability": on(asked, operations)});
            mallory.may_not(&server, "ably/token", &body, "mallory is banned in chat:lobby");
        }
    }
    // What the ban does not touch is granted, and nothing besides.
    let mixed = json!({"chat:lobby": ["subscribe"], "chat:*": ["subscribe"], "chat:den": ["subscribe"]});
    assert_eq!(mallory.is_granted(&server, &mixed), json!({"chat:den": ["subscribe"]}));
    assert_eq!(user("tom").is_granted(&server, &mixed), mixed);
}

#[test]
fn another_spelling_of_a_channel_is_the_channel() {
    let server = world(&format!("{CHAT}\n[[bans]]\nuser = \"mallory\"\nconversation = \"chat:lobby\"\n"));
    let (mallory, tom) = (user("mallory"), user("tom"));
    for spelling in
        ["chat:lobby::$chat", "chat:lobby::$chat::$chatMessages", "chat:lobby::$chat:*", "[?rewind=1]chat:lobby"]
    {
        let asked = on(spelling, &["subscribe"]);
        mallory.may_not(&server, "ably/token", &json!({ "capability": asked }), "mallory is banned in chat:lobby");
        assert_eq!(tom.is_granted(&server, &asked), asked);
    }
}

#[test]
fn a_ban_in_a_rooms_channel_is_one_in_the_room() {
    let server = world(&format!("{CHAT}\n[[bans]]\nuser = \"mallory\"\nconversation = \"room::$chat\"\n"));
    let (mallory, tom) = (user("mallory"), user("tom"));
    for spelling in ["room", "room::$chat", "room::$chat::$typingIndicators", "room::*", "room:*"] {
        let asked = on(spelling, &["subscribe"]);
        mallory.may_not(&server, "ably/token", &json!({ "capability": asked }), "mallory is banned");
        assert_eq!(tom.is_granted(&server, &asked), asked);
    }
}

#[test]
fn a_ban_follows_into_other_vendors_and_other_clients() {
    let server = world(&format!("{CHAT}\n[[bans]]\nuser = \"mallory\"\n"));
    let mallory = user("mallory");
    for path in ["leancloud/login", "demo/login", "talkjs/token", "talkjs/signature"] {
        mallory.may_not(&server, path, &json!({}), "mallory is banned");
    }
    mallory.may_not(&server, "ably/token", &json!({"capability": on("chat:den", &["*"])}), "mallory is banned");
    mallory.may_not(&server, "leancloud/login", &json!({"client_id": "tom"}), "mallory is banned");
    service().may_not(&server, "leancloud/login", &json!({"client_id": "mallory"}), "mallory is banned");
    service().may(&server, "leancloud/login", &json!({"client_id": "tom"}));
    let boaster = user_saying("mallory", &json!({"roles": ["owner"], "bindings": {"*": "owner"}}));
    boaster.may_not(&server, "leancloud/login", &json!({}), "mallory is banned");
}

#[test]
fn who_is_banned_is_not_brought_in_by_others() {
    let server = world(&format!("{CHAT}\n[[bans]]\nuser = \"mallory\"\nconversation = \"den\"\nreason = \"canary\"\n"));
    let tom = user("tom");
    for action in ["invite", "unblock-clients"] {
        for members in [&["mallory"][..], &["ann", "mallory"]] {
            let (path, body) = (format!("leancloud/{action}"), json!({"conv_id": "den", "members": members}));
            tom.may_not(&server, &path, &body, "a target can't be added");
            // Who is banned, and why, is not tom's to know.
            let answer = tom.asks(&server, &path, &body).body;
            assert!(!answer.contains("canary") && !answer.contains("banned"), "{answer}");
        }
    }
    tom.may(&server, "leancloud/invite", &json!({"conv_id": "lobby", "members": ["mallory"]}));
}

#[test]
fn who_blocks_a_conversation_is_not_invited_there() {
    let server = world(&format!("{CHAT}\n[[blocks]]\nuser = \"carol\"\nconversation = \"den\"\n"));
    let invite = |members: &[&str]| json!({"conv_id": "den", "members": members});
    user("tom").may(&server, "leancloud/invite", &invite(&["ann"]));
    user("tom").may_not(&server, "leancloud/invite", &invite(&["ann", "carol"]), "a target can't be added");
    user("carol").may(&server, "leancloud/join", &json!({"conv_id": "den"}));
}

#[test]
fn a_mute_takes_sending_out_of_all_operations() {
    let server = world(&format!("{CHAT}\n[[mutes]]\nuser = \"loud\"\nconversation = \"chat:lobby\"\n"));
    let loud = user("loud");
    let sending = [
        "publish",
        "presence",
        "object-publish",
        "annotation-publish",
        "message-update-own",
        "message-update-any",
        "message-delete-own",
        "message-delete-any",
        "push-admin",
    ];
    for asked in ["chat:lobby", "chat:*", "chat:lobby::$chat"] {
        let granted = loud.is_granted(&server, &on(asked, &["*"]));
        let operations: Vec<&str> =
            granted[asked].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert!(operations.contains(&"subscribe") && operations.contains(&"history"), "{asked}: {operations:?}");
        assert!(operations.iter().all(|word| *word != "*" && !sending.contains(word)), "{asked}: {operations:?}");
        let body = json!({"capability": on(asked, &["publish"])});
        loud.may_not(&server, "ably/token", &body, "loud is muted in chat:lobby");
    }
    assert_eq!(loud.is_granted(&server, &on("chat:den", &["publish"])), on("chat:den", &["publish"]));
}

#[test]
fn a_denial_in_one_channel_spoils_its_pattern() {
    let server = world(&format!(
        "{CHAT}\n[[rules]]\nid = \"closed\"\neffect = \"deny\"\nactions = [\"publish\"]\nconversations = [\"chat:news\"]\n"
    ));
    let tom = user("tom");
    let wide = tom.is_granted(&server, &on("chat:*", &["publish", "subscribe"]));
    assert_eq!(wide["chat:*"], json!(["subscribe"]));
    assert!(wide.as_object().unwrap().keys().all(|channel| !channel.starts_with("chat:news")), "{wide}");
    for asked in ["chat:news", "chat:news::$chat"] {
        tom.may_not(&server, "ably/token", &json!({"capability": on(asked, &["publish"])}), "publish is not allowed");
        let granted = tom.is_granted(&server, &on(asked, &["publish", "subscribe"]));
        assert_eq!(granted, on(asked, &["subscribe"]));
    }
}
