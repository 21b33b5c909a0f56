//! What is listed, to whom, and in pages.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::Server;
use crate::routes::world::{Caller, POLICY, Service, User, server, with};

/// The entries of one page.
#[track_caller]
fn entries(server: &Server, caller: Caller, path: &str) -> Vec<Value> {
    let answer = caller.gets(server, path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["entries"].as_array().unwrap().clone()
}

fn users(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["user"].as_str().unwrap()).collect()
}

/// The line at which an entry about this user begins.
fn line(table: &str, user: &str) -> usize {
    let at = POLICY.find(&format!("[[{table}]]\nuser = \"{user}\"")).unwrap();
    POLICY[..at].lines().count() + 1
}

#[test]
fn the_files_entries_come_first_and_say_so() {
    let server = server("");
    Service.does(
        &server,
        "bans",
        &json!({"users": ["tom"], "conversation": "den", "reason": "spam", "until": "2100-01-01T00:00:00Z"}),
    );
    User("bob").does(&server, "bans", &json!({"users": ["carol"], "conversation": "den", "app": "ably"}));
    let mut listed = entries(&server, Service, "bans");
    for entry in listed.iter_mut().skip(1) {
        assert!(entry["at"].as_str().unwrap().starts_with("20"), "{entry}");
        entry["at"] = json!("then");
    }
    // That on `late` has ended.
    assert_eq!(
        listed,
        [
            json!({"user": "mallory", "reason": "spam", "source": "file", "line": line("bans", "mallory")}),
            json!({"user": "carol", "conversation": "den", "app": "ably", "source": "moderation", "at": "then",
                "by": {"kind": "user", "subject": "bob", "role": "manager"}}),
            json!({"user": "tom", "conversation": "den", "until": "2100-01-01T00:00:00.000Z", "reason": "spam",
                "source": "moderation", "at": "then", "by": {"kind": "service", "subject": "orders"}}),
        ]
    );
}

#[test]
fn a_rooms_channels_are_the_room() {
    let server = server("");
    Service.does(&server, "bans", &json!({"users": ["zoe"], "conversation": "pub"}));
    Service.does(&server, "bans", &json!({"users": ["yan"], "conversation": "pub::$chat::$typing"}));
    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "pub:x"}));
    for place in ["pub", "pub::$chat", "pub::$chat::$typing", "pub::$chat:*"] {
        assert_eq!(users(&entries(&server, Service, &format!("bans?conversation={place}"))), ["yan", "zoe"], "{place}");
    }
}

#[test]
fn each_table_has_its_own() {
    let server = server("");
    Service.does(&server, "mutes", &json!({"users": ["zoe"], "conversation": "pub"}));
    Service.does(&server, "roles", &json!({"users": ["zoe"], "conversation": "pub", "role": "member"}));
    Service.does(&server, "roles", &json!({"users": ["yan"], "conversation": "pub", "role": "member"}));
    Service.does(&server, "roles/remove", &json!({"users": ["yan"], "conversation": "pub", "role": "member"}));
    User("zoe").does(&server, "blocks", &json!({"conversation": "pub"}));
    let mutes = entries(&server, Service, "mutes");
    assert_eq!(users(&mutes), ["loud", "zoe"]);
    assert_eq!((&mutes[0]["app"], &mutes[0]["conversation"]), (&json!("ably"), &json!("chat:*")));
    assert_eq!(users(&entries(&server, Service, "blocks")), ["carol", "zoe"]);
    let roles = entries(&server, Service, "roles");
    assert_eq!(users(&roles), ["erin", "alice", "bob", "tom", "carol", "yan", "zoe"]);
    assert_eq!(roles.iter().map(|role| &role["role"]).collect::<Vec<_>>()[..3], ["manager", "owner", "manager"]);
    // That a role was taken away is an entry, too, so that no token gives it again.
    assert_eq!((&roles[5]["role"], &roles[6]["role"]), (&Value::Null, &json!("member")));
}

#[test]
fn what_is_asked_for_is_what_comes() {
    let server = server("");
    for (user, place, app) in
        [("ann", "den", None), ("ann", "chat:a", None), ("ben", "chat:b", Some("ably")), ("ben", "*", None)]
    {
        Service.does(&server, "bans", &json!({"users": [user], "conversation": place}).merge(app));
    }
    let listed = |query: &str| {
        let entries = entries(&server, Service, &format!("bans?{query}"));
        let name = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("*").to_owned();
        entries
            .iter()
            .map(|entry| format!("{} {}", name(entry, "user"), name(entry, "conversation")))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("user=ann"), ["ann chat:a", "ann den"]);
    assert_eq!(listed("user=mallory"), ["mallory *"]);
    assert_eq!(listed("user=nobody"), [""; 0]);
    assert_eq!(listed("conversation=den"), ["ann den"]);
    assert_eq!(listed("conversation=chat:*"), ["ann chat:a", "ben chat:b"]);
    assert_eq!(listed("conversation=chat:*&app=talkjs"), ["ann chat:a"]);
    assert_eq!(listed("conversation=chat:*&app=ably&user=ben"), ["ben chat:b"]);
    assert_eq!(listed("conversation=*"), ["mallory *", "ann chat:a", "ann den", "ben chat:b", "ben *"]);
}

trait Merge {
    fn merge(self, app: Option<&str>) -> Value;
}

impl Merge for Value {
    fn merge(mut self, app: Option<&str>) -> Value {
        if let Some(app) = app {
            self["app"] = json!(app);
        }
        self
    }
}

#[test]
fn pages_hold_everything_once() {
    let server = server("");
    let names: Vec<String> = (0..250).map(|number| format!("user-{number:03}")).collect();
    for some in names.chunks(100) {
        Service.does(&server, "bans", &json!({"users": some}));
        Service.does(&server, "bans", &json!({"users": some, "conversation": "den"}));
    }
    for limit in [1, 7, 100, 501, 1000] {
        let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = Service.gets(&server, &format!("bans?limit={limit}{after}")).json();
            let entries = page["entries"].as_array().unwrap();
            assert!(entries.len() <= limit, "{limit}");
            seen.extend(entries.iter().map(|entry| format!("{} {}", entry["user"], entry["conversation"])));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (501, 501), "{limit}");
        assert!(pages >= 501usize.div_ceil(limit), "{limit}");
    }
}

#[test]
fn a_moderator_sees_the_own_conversation_and_no_other() {
    let server = server("");
    Service.does(&server, "bans", &json!({"users": ["tom"], "conversation": "den", "reason": "rude"}));
    Service.does(&server, "bans", &json!({"users": ["tom"], "reason": "a secret of the house"}));
    assert_eq!(users(&entries(&server, User("bob"), "bans?conversation=den")), ["tom"]);
    for path in ["bans", "bans?conversation=pub", "bans?user=bob", "conversations/pub", "events", "enforcements"] {
        let answer = User("bob").gets(&server, path);
        assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "{path}");
        assert!(!answer.body.contains("secret"));
    }
    assert_eq!(users(&entries(&server, User("erin"), "bans?conversation=pub")), [""; 0]);
    assert_eq!(entries(&server, User("erin"), "bans").len(), 3);
    assert_eq!(User("tom").gets(&server, "bans?conversation=den").status, 403);
}

#[test]
fn without_a_store_the_files_entries_are_there() {
    let server = with(crate::common::Setup::default());
    assert_eq!(users(&entries(&server, Service, "bans")), ["mallory"]);
    assert_eq!(users(&entries(&server, Service, "roles?user=bob")), ["bob"]);
    assert_eq!(entries(&server, Service, "conversations/den")[0]["owner"], "alice");
    for path in ["events", "enforcements"] {
        let answer = Service.gets(&server, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("There is no [store]"));
    }
}

#[test]
fn what_is_to_be_carried_out_can_be_seen() {
    // Whoever listens there never answers: what is sent there stays under way.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let more =
        format!("[[webhooks]]\nurl = \"{url}/hooks/canary?key=canary\"\nsecret = {{ file = \"webhook.secret\" }}\n");
    let secret = "whsec_b2J2aW91c2x5LWZha2Utd2ViaG9vay1zZWNyZXQ=";
    let files = vec![("webhook.secret", secret.to_owned())];
    let setup = crate::common::Setup {
        files,
        ..crate::common::Setup::more(&format!("{}{more}", crate::routes::world::MEMORY))
    };
    let server = with(setup);
    Service.does(&server, "bans", &json!({"users": ["tom", "zoe", "yan"]}));
    let all = entries(&server, Service, "enforcements");
    assert_eq!(all.len(), 3);
    assert_eq!((&all[0]["kind"], &all[0]["url"]), (&json!("webhook"), &json!(url)));
    assert!(all.iter().all(|one| one["state"] == "pending" && one["change"] == 1 && one["event"].is_string()));
    let first = Service.gets(&server, "enforcements?limit=2&state=pending").json();
    let cursor = chat_signer::crypto::base64url_decode(first["next"].as_str().unwrap()).unwrap();
    for shown in [json!(all).to_string(), String::from_utf8(cursor).unwrap()] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    let rest = entries(&server, Service, &format!("enforcements?after={}", first["next"].as_str().unwrap()));
    assert_eq!([first["entries"].as_array().unwrap().clone(), rest].concat(), all);
    assert_eq!(entries(&server, Service, "enforcements?state=done"), [json!(null); 0]);
    Service.does(&server, "bans", &json!({"users": ["late"]}));
    let (mut newest, mut path) = (Vec::new(), "enforcements?order=time&limit=2".to_owned());
    loop {
        let page = Service.gets(&server, &path).json();
        newest.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("enforcements?order=time&limit=2&after={next}");
    }
    assert_eq!((newest.len(), &newest[0]["user"], &newest[0]["change"]), (4, &json!("late"), &json!(2)));
    assert!(newest.windows(2).all(|pair| pair[0]["asked"].as_str() >= pair[1]["asked"].as_str()), "{newest:?}");
}
