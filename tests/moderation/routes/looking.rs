//! What pages for moderators ask: what the caller may do, who has entries, what a command would do, and what happened.

use chat_signer::model::Millis;
use serde_json::{Value, json};

use crate::common::{Server, Setup};
use crate::routes::world::{Caller, Service, User, login, server, with};

/// The longest lifetime of the tokens of the app `ably`, in milliseconds.
const ABLY_TTL: u64 = 86_400_000;

fn get(server: &Server, caller: Caller, path: &str) -> Value {
    let answer = caller.gets(server, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn names(list: &Value, name: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()).collect()
}

fn ban(server: &Server, caller: Caller, user: &str, more: &Value) {
    let mut body = json!({"users": [user], "conversation": "den"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    caller.does(server, "bans", &body);
}

#[test]
fn abilities_are_those_of_the_policy() {
    let server = server("");
    let manager = get(&server, User("bob"), "abilities?conversation=den");
    assert_eq!((&manager["caller"]["subject"], &manager["acting_as"]), (&json!("bob"), &json!("bob")));
    assert_eq!((&manager["here"]["role"], &manager["here"]["conversation"]), (&json!("manager"), &json!("den")));
    assert_eq!(manager["here"]["kind"], "group");
    let longest = |app: &str| {
        manager["apps"].as_array().unwrap().iter().find(|one| one["name"] == app).unwrap()["longest_ms"].clone()
    };
    assert_eq!((longest("ably"), longest("leancloud")), (json!(ABLY_TTL), json!(6 * 3_600_000)));
    for action in ["ban", "unban", "mute", "unmute", "set-role", "read-moderation", "manage-conversation"] {
        assert_eq!(manager["here"]["may"][action], json!({"allowed": true}), "{action}");
        assert_eq!(manager["everywhere"][action]["allowed"], false, "{action}");
    }
    assert_eq!(manager["here"]["may"]["read-decisions"]["allowed"], false);
    let reason = manager["everywhere"]["ban"]["reason"].as_str().unwrap();
    assert!(reason.contains("Managers moderate those whom they outrank."), "{reason}");
    assert_eq!(names(&manager["places"], "conversation"), ["den"]);
    assert_eq!(manager["moderation"]["state"], "ok");
    assert_eq!(get(&server, User("erin"), "abilities")["everywhere"]["ban"], json!({"allowed": true}));
    let member = get(&server, User("tom"), "abilities?conversation=den");
    assert_eq!((&member["here"]["may"]["ban"]["allowed"], &member["places"]), (&json!(false), &json!([])));
    // Nothing about others is told to a caller who may not act for them.
    let other = get(&server, User("tom"), "abilities?conversation=den&client_id=bob");
    assert_eq!((other["here"].get("role"), other["here"].get("kind"), &other["places"]), (None, None, &json!([])));
    let banned = get(&server, User("mallory"), "abilities?conversation=den");
    assert_eq!(banned["here"]["may"]["ban"]["allowed"], false);
    assert_ne!(manager["session"], member["session"]);
    assert_eq!(User("bob").gets(&server, "abilities?unknown=1").code(), "invalid_field");
}

#[test]
fn abilities_have_the_settings_of_the_console_and_say_if_there_is_no_store() {
    let console = "[console]\nenabled = true\n[[console.reasons]]\nid = \"spam\"\nsay = \"Spam\"\n";
    let server = with(Setup::more(console));
    let abilities = get(&server, User("bob"), "abilities");
    assert_eq!(abilities["moderation"], json!({"state": "none"}));
    let expected =
        json!([{"id": "spam", "say": "Spam", "label": {"en": "Spam", "zh": "Spam"}, "for": ["ban", "mute"]}]);
    assert_eq!(abilities["console"]["reasons"], expected);
    assert_eq!(
        (&abilities["console"]["reason"], &abilities["console"]["default_duration"]),
        (&json!("required"), &json!("24h"))
    );
    assert_eq!(get(&server, User("bob"), "users?conversation=den&prefix=t")["users"][0]["user"], "tom");
    assert_eq!(Service.gets(&server, "changes").code(), "not_found");
    assert_eq!(Service.posts(&server, "preview", &json!({"do": "ban", "users": ["tom"]})).code(), "not_found");
}

#[test]
fn users_are_found_by_the_beginning_of_their_names() {
    let server = server("");
    for user in ["tim", "tom", "tomas", "Tom"] {
        ban(&server, Service, user, &json!({}));
    }
    let found = get(&server, Service, "users?prefix=to");
    let tom = json!({"user": "tom", "bans": 1, "mutes": 0, "roles": 1, "blocks": 0, "banned_everywhere": false});
    assert_eq!(
        (&found["users"][0], names(&found["users"], "user")),
        (&tom, vec!["tom".to_owned(), "tomas".to_owned()])
    );
    let mut all = Vec::new();
    let mut path = "users?limit=2".to_owned();
    loop {
        let page = get(&server, Service, &path);
        all.extend(names(&page["users"], "user"));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("users?limit=2&after={next}");
    }
    assert_eq!(all, ["Tom", "alice", "bob", "carol", "erin", "loud", "mallory", "tim", "tom", "tomas"]);
    assert_eq!(
        names(&get(&server, User("bob"), "users?conversation=den&prefix=m")["users"], "user"),
        Vec::<String>::new()
    );
    assert_eq!(get(&server, Service, "users?prefix=mall")["users"][0]["banned_everywhere"], true);
    assert_eq!(User("bob").gets(&server, "users?prefix=to").code(), "denied");
    assert_eq!(Service.gets(&server, "users?prefix=a%0a").code(), "invalid_field");
    assert_eq!(Service.gets(&server, "users?after=a").code(), "invalid_field");
}

#[test]
fn a_user_has_all_entries_and_what_may_be_lifted() {
    let server = server("");
    ban(&server, User("alice"), "tom", &json!({"reason": "spam"}));
    ban(&server, User("bob"), "tom", &json!({}));
    Service.does(&server, "mutes", &json!({"users": ["tom"]}));
    let seen = get(&server, User("bob"), "users/tom?conversation=den");
    let about =
        |entry: &Value| (entry["by"]["subject"].clone(), entry["own"].clone(), entry["may_lift"]["allowed"].clone());
    let bans: Vec<_> = seen["bans"].as_array().unwrap().iter().map(about).collect();
    assert_eq!(bans, [(json!("alice"), json!(false), json!(false)), (json!("bob"), json!(true), json!(true))]);
    assert_eq!(seen["bans"][0]["may_lift"]["code"], "not_outranked");
    assert_eq!(seen["roles"][0]["may_take"], json!({"allowed": false, "code": "file", "line": 36}));
    assert_eq!((&seen["mutes"], &seen["wider"]), (&json!([]), &json!({"banned": false, "muted": true})));
    let all = get(&server, Service, "users/tom");
    assert_eq!((all["mutes"].as_array().unwrap().len(), &all["version"], all.get("wider")), (1, &json!(3), None));
    assert!(all["bans"].as_array().unwrap().iter().all(|entry| entry["may_lift"]["allowed"] == true));
    assert_eq!(get(&server, Service, "users/nobody%2Fat%20all")["bans"], json!([]));
    assert_eq!(User("bob").gets(&server, "users/tom").code(), "denied");
    assert_eq!(Service.gets(&server, "users/*").code(), "invalid_field");
}

#[test]
fn a_preview_says_what_the_command_then_does() {
    let (server, lines) = crate::routes::changes::audited();
    ban(&server, User("alice"), "tom", &json!({}));
    lines(1);
    let users = json!(["tom", "alice", "zoe"]);
    for (caller, command, path) in [
        (User("bob"), "ban", "bans"),
        (User("bob"), "mute", "mutes"),
        (User("alice"), "unban", "bans/lift"),
        (User("tom"), "ban", "bans"),
    ] {
        let body = json!({"users": users, "conversation": "den"});
        let mut asked = body.clone();
        asked["do"] = json!(command);
        let preview = caller.posts(&server, "preview", &asked);
        assert_eq!(preview.status, 200, "{preview:?}");
        let preview = preview.json();
        let made = caller.posts(&server, path, &body);
        if made.status == 200 {
            let made = made.json();
            assert_eq!((&preview["succeeded"], &preview["failed"]), (&made["succeeded"], &made["failed"]), "{command}");
            let gone = made["gone"].as_array().map_or(0, Vec::len);
            assert_eq!(preview["takes"].as_array().unwrap().len(), gone, "{command}");
        } else {
            assert_eq!(preview["succeeded"], json!([]), "{command}");
        }
    }
    let previews = lines(4 * 6).iter().filter(|line| line["preview"] == true).count();
    assert_eq!(previews, 4 * 3);
}

#[test]
fn a_preview_changes_nothing_and_shows_what_stays() {
    let server = server("");
    ban(&server, User("alice"), "tom", &json!({"reason": "hers"}));
    Service.does(&server, "bans", &json!({"users": ["tom"]}));
    let asked = json!({"do": "unban", "users": ["tom"], "conversation": "den", "own": true});
    let preview = User("bob").posts(&server, "preview", &asked).json();
    assert_eq!((&preview["takes"], &preview["wider"]), (&json!([]), &json!(["tom"])));
    assert_eq!((&preview["stays"][0]["reason"], &preview["stays"][0]["own"]), (&json!("hers"), &json!(false)));
    let asked = json!({"do": "ban", "users": ["carol"], "conversation": "den", "reason": "spam"});
    let preview = User("bob").posts(&server, "preview", &asked).json();
    assert_eq!((&preview["sets"][0]["user"], &preview["version"]), (&json!("carol"), &json!(2)));
    assert_eq!((login(&server, "carol"), get(&server, Service, "users/carol")["bans"].clone()), (200, json!([])));
    for (body, field) in [
        (json!({"do": "kick", "users": ["tom"]}), "do"),
        (json!({"users": ["tom"]}), "do"),
        (json!({"do": "ban", "users": []}), "users"),
        (json!({"do": "ban", "users": ["tom"], "seen": 1}), "seen"),
        (json!({"do": "ban", "users": ["tom"], "role": "owner"}), "role"),
    ] {
        assert_eq!(Service.posts(&server, "preview", &body).json()["field"], field, "{body}");
    }
}

#[test]
fn a_preview_says_what_each_vendor_does() {
    let server = server("[apps.talkjs.enforcement]\nenabled = true\nurl = \"http://127.0.0.1:9\"\n");
    let effects = |body: &Value| {
        let preview = Service.posts(&server, "preview", body);
        assert_eq!(preview.status, 200, "{preview:?}");
        preview.json()["effects"].as_array().unwrap().clone()
    };
    let of = |body: &Value, app: &str| effects(body).into_iter().find(|effect| effect["app"] == app).unwrap();
    let talkjs = |more: &Value| {
        let mut effect = json!({"app": "talkjs", "vendor": "talkjs", "carried": true, "after": "restored"});
        effect.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        effect
    };
    let ban = json!({"do": "ban", "users": ["tom"], "conversation": "den"});
    assert_eq!(of(&ban, "talkjs"), talkjs(&json!({"does": ["removed"]})));
    let ban_everywhere = json!({"do": "ban", "users": ["tom"]});
    assert_eq!(of(&ban_everywhere, "talkjs"), talkjs(&json!({"does": ["removed-everywhere"]})));
    let mute = json!({"do": "mute", "users": ["tom"]});
    assert_eq!(of(&mute, "talkjs"), talkjs(&json!({"does": ["silenced-everywhere"]})));
    assert_eq!(of(&json!({"do": "unmute", "users": ["tom"]}), "talkjs"), talkjs(&json!({})));
    // Without enforcement, what was signed before is valid until its end.
    let before = chat_signer::clock::now().0;
    let mut ably = of(&ban, "ably");
    let end = ably.as_object_mut().unwrap().remove("good_until").unwrap();
    let end = Millis::parse(end.as_str().unwrap()).unwrap().0 - ABLY_TTL;
    assert!((before..=chat_signer::clock::now().0).contains(&end), "{end}");
    assert_eq!(ably, json!({"app": "ably", "vendor": "ably", "carried": false, "why": "off"}));
    // LeanCloud cannot mute everywhere.
    assert_eq!(
        (&of(&mute, "leancloud")["carried"], &of(&mute, "leancloud")["why"]),
        (&json!(false), &json!("not-offered"))
    );
    let role = json!({"do": "set-role", "users": ["tom"], "conversation": "den", "role": "moderator"});
    assert_eq!(effects(&role), [json!(null); 0]);
}

#[test]
fn the_history_is_newest_first_and_shows_only_what_may_be_read() {
    let server = server("");
    ban(&server, User("bob"), "tom", &json!({}));
    Service.does(&server, "mutes", &json!({"users": ["zoe", "kim"]}));
    Service.does(&server, "bans/lift", &json!({"users": ["tom"], "conversation": "den"}));
    let kinds = |page: &Value| {
        let events = page["events"].as_array().unwrap().iter();
        events.map(|event| format!("{} {}", event["type"], event["data"]["user"]).replace('"', "")).collect::<Vec<_>>()
    };
    let all = get(&server, Service, "changes");
    assert_eq!(kinds(&all), ["ban.lifted tom", "mute.created kim", "mute.created zoe", "ban.created tom"]);
    assert!(all.get("next").is_none() && all["oldest"].is_string(), "{all}");
    let lifted = &all["events"][0]["data"];
    assert_eq!((&lifted["change"], &lifted["author"]), (&json!(3), &json!({"kind": "user", "subject": "bob"})));
    assert!(lifted["at"].is_string() && lifted["by"]["subject"] != "bob", "{lifted}");
    let (mut pages, mut path) = (Vec::new(), "changes?limit=1".to_owned());
    loop {
        let page = get(&server, Service, &path);
        pages.extend(kinds(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("changes?limit=1&after={next}");
    }
    assert_eq!(pages, kinds(&all));
    for (query, found) in [
        ("user=tom&type=ban.created", 1),
        ("type=ban", 2),
        ("by=bob", 1),
        ("user=eve", 0),
        ("conversation=den", 2),
        ("from=2099-01-01T00:00:00Z", 0),
        ("to=2099-01-01T00:00:00Z", 4),
    ] {
        assert_eq!(kinds(&get(&server, Service, &format!("changes?{query}"))).len(), found, "{query}");
    }
    assert_eq!(kinds(&get(&server, User("bob"), "changes?conversation=den")), ["ban.lifted tom", "ban.created tom"]);
    assert_eq!(User("bob").gets(&server, "changes").code(), "denied");
    let change = get(&server, Service, "changes/2");
    assert_eq!(
        (&change["change"], kinds(&change)),
        (&json!(2), vec!["mute.created zoe".to_owned(), "mute.created kim".to_owned()])
    );
    assert_eq!((&change["jobs"], change["policy"].as_str().unwrap().len()), (&json!([]), 64));
    let asked = Service.request("POST", "bans", Some(&json!({"users": ["kim"]})));
    assert_eq!(server.ask(&asked.replace("\r\n\r\n", "\r\nx-request-id: one-of-ours\r\n\r\n")).status, 200);
    assert_eq!(get(&server, Service, "changes/4")["request_id"], "one-of-ours");
    for path in ["changes/5", "changes/2?conversation=den"] {
        assert_eq!(Service.gets(&server, path).code(), "not_found", "{path}");
    }
    for path in ["changes/0", "changes/x", "changes?from=x", "changes?after=x"] {
        assert_eq!(Service.gets(&server, path).code(), "invalid_field", "{path}");
    }
}

#[test]
fn a_conversation_has_its_people() {
    let server = server("");
    Service.does(&server, "roles", &json!({"users": ["zoe"], "conversation": "den", "role": "member"}));
    ban(&server, User("bob"), "tom", &json!({"until": "2099-01-01T00:00:00Z"}));
    Service.does(&server, "mutes", &json!({"users": ["carol"]}));
    let people = get(&server, User("bob"), "conversations/den/people");
    assert_eq!(names(&people["people"], "user"), ["alice", "bob", "carol", "tom", "zoe"]);
    assert_eq!(names(&people["people"], "role"), ["owner", "manager", "member", "member", "member"]);
    assert_eq!(people["people"][3]["banned"], json!({"until": "2099-01-01T00:00:00.000Z"}));
    assert_eq!(people["people"][2]["wider"], true);
    assert_eq!(get(&server, User("bob"), "conversations/den")["counts"], json!({"bans": 1, "mutes": 0, "roles": 5}));
    assert_eq!(names(&get(&server, User("bob"), "conversations/den/people?role=manager")["people"], "user"), ["bob"]);
    assert_eq!(User("carol").gets(&server, "conversations/den/people").code(), "denied");
    assert_eq!(Service.asks(&server, "PUT", "conversations/hall", &json!({"owner": "kim"})).status, 200);
    assert_eq!(names(&get(&server, Service, "conversations/hall/people")["people"], "role"), ["owner"]);
    assert_eq!(names(&get(&server, Service, "conversations")["conversations"], "conversation"), ["den", "hall"]);
    let page = get(&server, Service, "conversations?limit=1");
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        names(&get(&server, Service, &format!("conversations?limit=1&after={next}"))["conversations"], "conversation"),
        ["hall"]
    );
    assert_eq!(names(&get(&server, Service, "conversations?prefix=de")["conversations"], "conversation"), ["den"]);
    assert_eq!(User("bob").gets(&server, "conversations").code(), "denied");
}

#[test]
fn what_ends_next_comes_first() {
    let server = server("");
    ban(&server, Service, "tom", &json!({"until": "2099-01-02T00:00:00Z"}));
    ban(&server, Service, "carol", &json!({}));
    Service.does(&server, "mutes", &json!({"users": ["zoe"], "until": "2099-01-01T00:00:00Z"}));
    let soon = get(&server, Service, "endings");
    assert_eq!(
        (names(&soon["entries"], "user"), names(&soon["entries"], "kind")),
        (vec!["zoe".to_owned(), "tom".to_owned()], vec!["mute".to_owned(), "ban".to_owned()])
    );
    assert_eq!(names(&get(&server, Service, "endings?before=2099-01-01T12:00:00Z")["entries"], "user"), ["zoe"]);
    assert_eq!(names(&get(&server, User("bob"), "endings?conversation=den")["entries"], "user"), ["tom"]);
    assert_eq!(User("bob").gets(&server, "endings").code(), "denied");
}
