//! A service that knows conversations: the app's own backend.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::server::{Authority, Reply, Server};
use crate::signer::{Answer, Signer, all, alone, directory, until};

const PATH: &str = "/chat-facts";
const SECOND: Duration = Duration::from_secs(1);

const POLICY: &str = r#"
roles = ["guest", "member", "manager", "owner"]
default_role = "guest"

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave"]

[[rules]]
id = "members-read"
effect = "allow"
actions = ["history"]
roles = ["guest", "member", "manager", "owner"]

[[rules]]
id = "managers-kick"
effect = "allow"
actions = ["kick"]
roles = ["manager", "owner"]
targets = "outranked"

[[rules]]
id = "anyone-invites-to-groups"
effect = "allow"
actions = ["invite"]
kinds = ["group"]

[[rules]]
id = "managers-act-for-others"
effect = "allow"
actions = ["block-conversation"]
client = "any"
caller_roles = ["manager"]

[[rules]]
id = "nobody-unblocks-in-chatrooms"
effect = "deny"
actions = ["unblock-clients"]
kinds = ["chatroom"]

[[rules]]
id = "services"
effect = "allow"
actions = ["kick", "history", "decide"]
callers = ["service"]
client = "any"

[[rules]]
id = "everyone-chats"
effect = "allow"
actions = ["subscribe"]
conversations = ["chat:*"]

[[rules]]
id = "managers-delete"
effect = "allow"
actions = ["message-delete-any"]
roles = ["manager", "owner"]
conversations = ["chat:*"]

[[rules]]
id = "managers-moderate"
effect = "allow"
actions = ["ban", "unban"]
roles = ["manager", "owner"]
targets = "outranked"

[[conversations]]
id = "filed"
owner = "ann"
members = ["bob"]

[[bindings]]
user = "ann"
conversation = "team:*"
role = "manager"

[[bans]]
user = "mallory"
"#;

const CALLERS: &str = r#"
[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
UserClaims

[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-user"
roles_header = "x-roles"
trusted_proxies = ["127.0.0.1/32"]
max_role = "manager"

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
keys = [{ id = "orders", sha256 = "d1a92a86d85e7e50e73129b2542b609ad21bf4f7f24e8570df338ec0e41d0f75" }]
"#;

/// The program, with this backend to ask.
async fn signer(backend: &Server, more: &str) -> Signer {
    with(&format!("[facts]\nurl = \"{}\"\n{more}\n", backend.url(PATH)), "").await
}

async fn with(facts: &str, ably: &str) -> Signer {
    let directory = directory();
    fs::write(directory.join("ably.secret"), "fakeapp.fakekey:obviously-fake-secret").unwrap();
    fs::write(directory.join("facts.secret"), "obviously-fake-bearer\n").unwrap();
    Signer::start_with(directory, &format!("{}\n{facts}", CALLERS.replace("UserClaims", ably)), POLICY).await
}

fn told(facts: Value) -> Reply {
    Reply::json(facts)
}

/// Asks as a user for something of a LeanCloud conversation.
async fn ask(signer: &Signer, user: &str, action: &str, conversation: &str, members: &[&str]) -> Answer {
    let mut body = json!({"conv_id": conversation});
    if !members.is_empty() {
        body["members"] = json!(members);
    }
    signer.post(&format!("/v1/leancloud/{action}"), &headers(user), &body.to_string()).await
}

/// The header lines of a user, or of one with a role by token: `bob/manager`.
fn headers(user: &str) -> String {
    match user.split_once('/') {
        Some((user, role)) => format!("x-user: {user}\r\nx-roles: {role}\r\n"),
        None => format!("x-user: {user}\r\n"),
    }
}

async fn kick(signer: &Signer, user: &str, target: &str) -> u16 {
    ask(signer, user, "kick", "c1", &[target]).await.status
}

#[tokio::test]
async fn the_backend_is_asked_as_the_documentation_says() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"kind": "group", "owner": "ann", "roles": {"bob": "manager"}})));
    let signer = signer(&backend, "bearer = { file = \"facts.secret\" }").await;
    assert_eq!(ask(&signer, "bob", "kick", "c1", &["tom", "eve", "tom"]).await.status, 200);
    let seen = &backend.seen(PATH)[..];
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].header("authorization")),
        ("POST", Some("Bearer obviously-fake-bearer"))
    );
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("accept"), Some("application/json"));
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    let expected =
        json!({"app": "leancloud", "vendor": "leancloud", "conversation": "c1", "users": ["bob", "eve", "tom"]});
    assert_eq!(body, expected);
    assert!(!(signer.audit() + &signer.log()).contains("obviously-fake"));
}

/// Who lifts a ban is held to what its author is by now, whom nobody names.
#[tokio::test]
async fn the_author_of_a_ban_that_is_lifted_is_asked_about() {
    let backend = Server::start().await;
    let signer = signer(&backend, "cache = \"0s\"\n[store]\ntype = \"memory\"").await;
    let asks = async |user: &str, change: &str, bob: &str| {
        backend.set(PATH, told(json!({"roles": {"ann": "owner", "bob": bob, "tom": "member"}})));
        let body = json!({"app": "leancloud", "conversation": "c1", "users": ["tom"]}).to_string();
        let answer = signer.post(&format!("/v1/moderation/{change}"), &headers(user), &body).await;
        let done: Value = serde_json::from_str(&answer.body).unwrap();
        done["failed"][0]["code"].as_str().unwrap_or("done").to_owned()
    };
    assert_eq!(asks("bob", "bans", "manager").await, "done");
    assert_eq!(asks("ann", "bans/lift", "owner").await, "not_outranked");
    let body: Value = serde_json::from_str(&backend.seen(PATH).last().unwrap().body).unwrap();
    assert_eq!(body["users"], json!(["ann", "bob", "tom"]));
    assert_eq!(asks("ann", "bans/lift", "manager").await, "done");
}

#[tokio::test]
async fn owners_and_roles_are_as_the_backend_says() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"owner": "ann", "roles": {"bob": "manager", "tom": "member", "sue": "manager"}})));
    let signer = signer(&backend, "").await;
    for (user, target, status) in [
        ("ann", "bob", 200),
        ("ann", "nobody", 200),
        ("bob", "tom", 200),
        ("bob", "nobody", 200),
        ("bob", "sue", 403),
        ("bob", "ann", 403),
        ("tom", "nobody", 403),
        ("nobody", "tom", 403),
    ] {
        assert_eq!(kick(&signer, user, target).await, status, "{user} {target}");
    }
    // Whom the facts leave out has no role there, not even the default one.
    assert_eq!(ask(&signer, "tom", "history", "c1", &[]).await.status, 200);
    assert_eq!(ask(&signer, "nobody", "history", "c1", &[]).await.status, 403);
    assert!(signer.audit().contains("nobody has no role by the facts"), "{}", signer.audit());
}

#[tokio::test]
async fn a_demoted_manager_whose_token_still_says_manager_is_refused() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "member", "tom": "guest"}})));
    let signer = signer(&backend, "").await;
    assert_eq!(kick(&signer, "bob/manager", "tom").await, 403);
    assert_eq!(kick(&signer, "eve/manager", "tom").await, 403);
    assert!(signer.audit().contains("bob is member by the facts"), "{}", signer.audit());
    let act = async |user: &str| {
        let body = json!({"client_id": "tom", "conv_id": "c1"}).to_string();
        signer.post("/v1/leancloud/block-conversation", &headers(user), &body).await.status
    };
    assert_eq!(act("bob/manager").await, 403);
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    signer.pass(6 * SECOND).await;
    assert_eq!((act("bob").await, kick(&signer, "bob", "tom").await), (200, 200));
}

#[tokio::test]
async fn the_policy_file_comes_first() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"kind": "chatroom", "owner": "bob", "roles": {"ann": "guest"}})));
    let signer = signer(&backend, "").await;
    // Each has a place in the file, so that nothing is left to ask.
    assert_eq!(ask(&signer, "ann", "kick", "filed", &["bob"]).await.status, 200);
    assert_eq!(ask(&signer, "bob", "kick", "filed", &["ann"]).await.status, 403);
    assert_eq!(ask(&signer, "bob", "invite", "filed", &["tom"]).await.status, 200);
    assert_eq!(backend.count(PATH), 0);
    // The file says what ann is, the facts what tom is.
    assert_eq!(ask(&signer, "ann", "kick", "filed", &["tom"]).await.status, 200);
    assert_eq!(backend.count(PATH), 1);
    assert_eq!(ask(&signer, "bob", "kick", "filed", &["tom"]).await.status, 403);
}

#[tokio::test]
async fn kinds_are_as_the_backend_says() {
    let backend = Server::start().await;
    let signer = signer(&backend, "cache = \"0s\"").await;
    let temporary = json!({"kind": "group", "roles": {}});
    for (conversation, facts, status) in [
        ("c1", json!({"kind": "group", "roles": {}}), 200),
        ("c1", json!({"kind": null, "owner": null, "roles": {}}), 200),
        ("c1", json!({"roles": {}}), 200),
        ("c1", json!({"kind": "chatroom", "roles": {}}), 403),
        ("c1", json!({"kind": "system", "roles": {}}), 403),
        ("_tmp:1", temporary, 403),
    ] {
        backend.set(PATH, told(facts.clone()));
        assert_eq!(ask(&signer, "bob", "invite", conversation, &["tom"]).await.status, status, "{facts}");
    }
    // What its id tells of a temporary one is not asked about.
    assert_eq!(backend.count(PATH), 5);
}

#[tokio::test]
async fn an_unknown_conversation_is_refused_with_its_reason() {
    let backend = Server::start().await;
    let signer = signer(&backend, "").await;
    let answer = ask(&signer, "bob/manager", "kick", "gone", &["tom"]).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"));
    assert_eq!(answer.json()["detail"], "kick is not allowed in gone: there is no such conversation");
    assert!(signer.audit().contains("there is no such conversation"), "{}", signer.audit());
    assert_eq!(signer.log(), "");
}

#[test]
fn what_nobody_asked_about_has_no_effect() {
    for answer in [
        json!({"roles": {"bob": "manager"}, "blocked": [], "updated_at": 1}),
        json!({"roles": {"bob": "manager", "zoe": "boss", "ann": null}}),
        json!({"roles": {"bob": "manager"}, "owner": "zoe"}),
        json!({"roles": {"bob": "manager"}, "owner": null, "kind": null}),
    ] {
        alone(async {
            let backend = Server::start().await;
            backend.set(PATH, Reply::json(&answer));
            let signer = signer(&backend, "").await;
            assert_eq!(ask(&signer, "bob/manager", "kick", "c1", &["tom"]).await.status, 200, "{answer}");
            // The role of another user gives nothing.
            backend.set(PATH, Reply::json(json!({"roles": {"zoe": "manager"}})));
            assert_eq!(ask(&signer, "bob/manager", "kick", "c2", &["tom"]).await.status, 403);
        });
    }
    alone(async {
        let backend = Server::start().await;
        backend.set(
            PATH,
            Reply::Text(
                "200 OK",
                "content-type: application/json\r\n".to_owned(),
                "\u{feff}{\"roles\": {\"bob\": \"manager\"}}".to_owned(),
            ),
        );
        let signer = signer(&backend, "").await;
        assert_eq!(ask(&signer, "bob/manager", "kick", "c1", &["tom"]).await.status, 200, "with a byte order mark");
    });
}

#[test]
fn what_can_not_be_relied_on_is_never_an_allow() {
    let good = json!({"roles": {"bob": "manager"}});
    for (reply, reason) in [
        (Reply::status("500 Internal Server Error"), "it answers 500"),
        (Reply::status("401 Unauthorized"), "it answers 401"),
        (Reply::status("204 No Content"), "it answers 204"),
        (Reply::status("302 Found").with("location: /elsewhere"), "it redirects (302 Found), which is not followed"),
        (
            Reply::Text("200 OK", "content-type: text/html\r\n".to_owned(), good.to_string()),
            "its content type is not app",
        ),
        (Reply::Text("200 OK", String::new(), good.to_string()), "its content type is not application/json"),
        (Reply::json("null"), "not a JSON object"),
        (Reply::json("[]"), "not a JSON object"),
        (Reply::json(""), "not a JSON object"),
        (Reply::json("{\"roles\": {\"bob\": \"manager\"}"), "not a JSON object"),
        (Reply::json("{\"roles\": {\"bob\": \"member\", \"bob\": \"manager\"}}"), "not a JSON object"),
        (Reply::json("{}"), "its `roles` must be an object"),
        (Reply::json(json!({"roles": null})), "its `roles` must be an object"),
        (Reply::json(json!({"roles": ["bob"]})), "its `roles` must be an object"),
        (Reply::json(json!({"roles": {"bob": ["manager"]}})), "the values of its `roles` must be strings"),
        (Reply::json(json!({"roles": {"bob": null}})), "the values of its `roles` must be strings"),
        (
            Reply::json(json!({"roles": {"bob": "manager", "tom": "boss"}})),
            "the role `boss`, which the policy does not",
        ),
        (Reply::json(json!({"roles": {"bob": "Manager"}})), "the role `Manager`"),
        (Reply::json(json!({"roles": {"bob": "manager"}, "owner": 1})), "its `owner` must be a user"),
        (Reply::json(json!({"roles": {"bob": "manager"}, "owner": ""})), "its `owner` must be a user"),
        (Reply::json(json!({"roles": {"bob": "manager"}, "kind": "room"})), "its `kind` must be"),
        (Reply::Cut, "content-type"),
        (Reply::Flood, "longer than 262144 bytes"),
        (Reply::Silence, "no answer within 5 s"),
    ] {
        // A body that is cut off breaks the connection in one way or another.
        let reason = if matches!(reply, Reply::Cut) { "are not available" } else { reason };
        alone(fails(reply, reason));
    }
}

async fn fails(reply: Reply, reason: &str) {
    let backend = Server::start().await;
    backend.set(PATH, reply.clone());
    let signer = signer(&backend, "").await;
    let time = async {
        if matches!(reply, Reply::Silence) {
            until("the question", async || backend.count(PATH) == 1).await;
            signer.pass(6 * SECOND).await;
        }
    };
    let (answer, ()) = tokio::join!(ask(&signer, "bob/manager", "kick", "c1", &["tom"]), time);
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{reply:?}");
    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
    let line: Value = serde_json::from_str(signer.audit().lines().last().unwrap()).unwrap();
    assert_eq!(
        (&line["decision"], &line["action"], &line["conversation"]),
        (&"unavailable".into(), &"kick".into(), &"c1".into())
    );
    assert!(line["reason"].as_str().unwrap().contains(reason), "{reason}: {line}");
    let log = signer.log();
    assert!(log.contains("WARN chat_signer::upstream::facts: ") && log.contains(reason), "{log}");
    assert_eq!(signer.ready().await.status, 200);

    // For a moment nobody is asked again, then a good answer counts.
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    assert_eq!((kick(&signer, "bob", "tom").await, backend.count(PATH)), (503, 1), "{reply:?}");
    signer.pass(SECOND).await;
    assert_eq!(kick(&signer, "bob", "tom").await, 200, "{reply:?}");
}

#[tokio::test]
async fn nothing_is_allowed_while_the_backend_is_down_that_depends_on_it() {
    let mut backend = Server::start().await;
    let signer = signer(&backend, "").await;
    backend.down().await;
    for (user, status) in [("bob/manager", 503), ("eve/manager", 503)] {
        assert_eq!(kick(&signer, user, "tom").await, status, "{user}");
    }
    // The log hears of it once, the audit log each time.
    let lines = |text: &str, what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines(&signer.log(), "WARN"), 1);
    assert_eq!(lines(&signer.audit(), "\"unavailable\""), 2);
    assert_eq!(ask(&signer, "bob", "join", "c1", &[]).await.status, 200);
    backend.up().await;
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    signer.pass(SECOND).await;
    assert_eq!(kick(&signer, "bob", "tom").await, 200);
    backend.down().await;
    signer.pass(10 * SECOND).await;
    assert_eq!(kick(&signer, "bob", "tom").await, 503);
    assert_eq!(lines(&signer.log(), "WARN"), 1);
}

#[tokio::test]
async fn an_answer_is_kept_for_the_configured_time_and_for_that_question_alone() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    let signer = signer(&backend, "cache = \"10s\"").await;
    for _ in 0..3 {
        assert_eq!(kick(&signer, "bob", "tom").await, 200);
    }
    assert_eq!(backend.count(PATH), 1);
    backend.set(PATH, told(json!({"roles": {}})));
    assert_eq!(ask(&signer, "bob", "kick", "c2", &["tom"]).await.status, 403);
    assert_eq!(ask(&signer, "bob", "kick", "c1", &["eve"]).await.status, 403);
    assert_eq!(backend.count(PATH), 3);
    signer.pass(9 * SECOND).await;
    assert_eq!((kick(&signer, "bob", "tom").await, backend.count(PATH)), (200, 3));
    signer.pass(SECOND).await;
    assert_eq!((kick(&signer, "bob", "tom").await, backend.count(PATH)), (403, 4));
}

#[tokio::test]
async fn an_answer_is_kept_for_five_seconds_where_nothing_else_is_said() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    let signer = signer(&backend, "").await;
    for (seconds, count) in [(0, 1), (4, 1), (1, 2)] {
        signer.pass(seconds * SECOND).await;
        assert_eq!((kick(&signer, "bob", "tom").await, backend.count(PATH)), (200, count));
    }
}

#[tokio::test]
async fn requests_at_once_with_one_question_ask_once() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    let good = told(json!({"roles": {"bob": "manager"}}));
    backend.set(PATH, Reply::Held(Arc::clone(&go), Box::new(good)));
    let signer = signer(&backend, "").await;
    let release = async {
        until("the question", async || backend.count(PATH) > 0).await;
        // Time enough for the others to ask, too, if they did.
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        go.add_permits(100);
    };
    let (statuses, ()) = tokio::join!(all((0..50).map(|_| kick(&signer, "bob", "tom"))), release);
    assert!(statuses.len() == 50 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(backend.count(PATH), 1);
}

#[tokio::test]
async fn a_list_of_decisions_has_one_time_limit() {
    let backend = Server::start().await;
    let close_gate = || {
        let go = Arc::new(Semaphore::new(0));
        backend.set(PATH, Reply::Held(Arc::clone(&go), Box::new(told(json!({"roles": {}})))));
        go
    };
    let mut gate = close_gate();
    let signer = signer(&backend, "").await;
    let question = |number| json!({"app": "leancloud", "user": "bob", "action": "kick", "conversation": format!("c{number}"), "members": ["tom"]});
    let body = json!({"requests": (0..10).map(question).collect::<Vec<_>>()}).to_string();
    let slow_answers = async {
        for count in 1..=4 {
            until("the query", async || backend.count(PATH) == count).await;
            signer.pass(4 * SECOND).await;
            std::mem::replace(&mut gate, close_gate()).add_permits(1);
        }
        backend.set(PATH, told(json!({"roles": {}})));
        gate.add_permits(1);
    };
    let asked = signer.post("/v1/decide", "x-api-key: obviously-fake-api-key\r\n", &body);
    let (answer, ()) = tokio::join!(asked, slow_answers);
    assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"));
    assert_eq!(backend.count(PATH), 4);
}

#[tokio::test]
async fn those_who_wait_for_an_answer_do_not_take_every_place() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    backend.set(PATH, Reply::Held(Arc::clone(&go), Box::new(told(json!({"roles": {"bob": "manager"}})))));
    let signer = signer(&backend, "").await;
    let refused = Cell::new(0);
    let flood = all((0..300).map(async |_| match kick(&signer, "bob", "tom").await {
        503 => refused.set(refused.get() + 1),
        status => assert_eq!(status, 200),
    }));
    let release = async {
        until("the refusals", async || refused.get() == 300 - 256).await;
        go.add_permits(300);
    };
    tokio::join!(flood, release);
    assert_eq!((refused.get(), backend.count(PATH)), (300 - 256, 1));
    assert_eq!(kick(&signer, "bob", "tom").await, 200);
}

#[tokio::test]
async fn it_is_asked_only_where_its_answer_matters() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"kind": "chatroom", "roles": {"bob": "manager"}})));
    let signer = signer(&backend, "cache = \"0s\"").await;
    for (user, action, members, status, asked) in [
        ("bob", "login", &[][..], 200, 0),
        ("bob", "create", &["tom"], 200, 0),
        ("bob", "join", &[], 200, 0),
        ("bob", "leave", &[], 200, 0),
        ("bob", "kick", &["tom"], 200, 1),
        ("bob", "history", &[], 200, 1),
        ("bob", "invite", &["tom"], 403, 1),
        // No rule allows it, whatever the kind is.
        ("bob", "unblock-clients", &["tom"], 403, 0),
        ("bob", "block-clients", &["tom"], 403, 0),
        // Both are needed, and the one that nobody has settles it.
        ("mallory", "kick", &["tom"], 403, 0),
        ("mallory", "history", &[], 403, 0),
    ] {
        let before = backend.count(PATH);
        let answer = match action {
            "login" | "create" => {
                let body = json!({"members": members}).to_string();
                signer.post(&format!("/v1/leancloud/{action}"), &headers(user), &body).await
            }
            _ => ask(&signer, user, action, "c1", members).await,
        };
        assert_eq!((answer.status, backend.count(PATH) - before), (status, asked), "{user} {action}: {answer:?}");
    }
    // Bad requests and callers cost the backend nothing.
    let before = backend.count(PATH);
    assert_eq!(signer.post("/v1/leancloud/kick", "", r#"{"conv_id": "c1", "members": ["tom"]}"#).await.status, 401);
    assert_eq!(ask(&signer, "bob", "kick", "c:1", &["tom"]).await.status, 400);
    assert_eq!(signer.login(&headers("bob")).await.status, 200);
    assert_eq!(backend.count(PATH), before);
}

/// The capability of an Ably token, or the status of the refusal.
async fn capability(signer: &Signer, user: &str, asked: Value) -> Result<Value, u16> {
    claims(signer, user, asked)
        .await
        .map(|claims| serde_json::from_str(claims["x-ably-capability"].as_str().unwrap()).unwrap())
}

async fn claims(signer: &Signer, user: &str, asked: Value) -> Result<Value, u16> {
    let answer = signer.post("/v1/ably/token", &headers(user), &json!({"capability": asked}).to_string()).await;
    if answer.status != 200 {
        return Err(answer.status);
    }
    let payload = chat_signer::crypto::base64url_decode(answer.body.split('.').nth(1).unwrap()).unwrap();
    Ok(serde_json::from_slice(&payload).unwrap())
}

fn conversations(backend: &Server) -> Vec<String> {
    let bodies = backend.seen(PATH).into_iter().map(|seen| serde_json::from_str::<Value>(&seen.body).unwrap());
    let mut names: Vec<String> = bodies.map(|body| body["conversation"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_channel_of_a_capability_is_asked_about_and_patterns_are_not() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
    let signer = signer(&backend, "").await;
    let delete = ["message-delete-any", "subscribe"];
    let asked = json!({
        "chat:a": delete, "chat:b": delete, "chat:b::$chat": delete, "chat:b::$chat::$typing": delete,
        "chat:c": ["subscribe"], "chat:*": delete, "other": delete,
    });
    let granted = capability(&signer, "bob", asked.clone()).await.unwrap();
    assert_eq!(conversations(&backend), ["chat:a", "chat:b"]);
    assert_eq!(granted["chat:a"], json!(delete));
    assert_eq!(granted["chat:b::$chat::$typing"], json!(delete));
    assert_eq!((&granted["chat:*"], &granted["other"]), (&json!(["subscribe"]), &Value::Null));

    // One that can't be found out about is no reason to give the others.
    backend.set(PATH, Reply::status("500 Internal Server Error"));
    signer.pass(6 * SECOND).await;
    assert_eq!(capability(&signer, "bob", asked).await, Err(503));
}

#[tokio::test]
async fn what_is_told_of_a_channel_counts_in_the_pattern_around_it() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "member"}})));
    let signer = signer(&backend, "").await;
    let delete = ["message-delete-any"];
    // Nothing is asked about a pattern alone: the token's word stands.
    let granted = capability(&signer, "bob/manager", json!({"chat:*": delete})).await.unwrap();
    assert_eq!((granted, backend.count(PATH)), (json!({"chat:*": delete}), 0));
    let asked = json!({"chat:*": delete, "chat:a": delete, "chat:b": ["subscribe"]});
    assert_eq!(capability(&signer, "bob/manager", asked).await.unwrap(), json!({"chat:b": ["subscribe"]}));
}

#[tokio::test]
async fn a_hundred_channels_are_a_hundred_questions_a_few_at_a_time() {
    let (backend, go) = (Server::start().await, Arc::new(Semaphore::new(0)));
    backend.set(PATH, Reply::Held(Arc::clone(&go), Box::new(told(json!({"roles": {"bob": "manager"}})))));
    let signer = signer(&backend, "").await;
    let channels = (0..100).map(|number| (format!("chat:{number:02}"), json!(["message-delete-any"])));
    let asked = Value::Object(channels.collect());
    let release = async {
        until("the first questions", async || backend.count(PATH) == 8).await;
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(backend.count(PATH), 8);
        go.add_permits(1000);
    };
    let (granted, ()) = tokio::join!(capability(&signer, "bob", asked.clone()), release);
    assert_eq!((granted.unwrap(), backend.count(PATH)), (asked, 100));
}

#[tokio::test]
async fn roles_that_are_told_to_others_are_asked_about() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "member"}})));
    let facts = format!("[facts]\nurl = \"{}\"\n", backend.url(PATH));
    let signer = with(&facts, "user_claims = [\"channel\"]").await;
    let found = claims(&signer, "bob/manager", json!({"chat:a": ["subscribe"]})).await.unwrap();
    assert_eq!((&found["ably.channel.chat:a"], &found["ably.channel.*"]), (&json!("member"), &json!("manager")));
    assert_eq!(backend.count(PATH), 1);
    // Left out, and so nothing, whatever the token says of all channels.
    backend.set(PATH, told(json!({"roles": {}})));
    let found = claims(&signer, "eve/manager", json!({"chat:a": ["subscribe"]})).await.unwrap();
    assert_eq!(found["ably.channel.chat:a"], json!(""));
    let found = claims(&signer, "eve", json!({"chat:a": ["subscribe"]})).await.unwrap();
    assert_eq!(found.get("ably.channel.chat:a"), None);
}

#[tokio::test]
async fn other_apps_are_not_asked_about() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"roles": {"bob": "member"}})));
    let signer = signer(&backend, "apps = [\"ably\"]").await;
    assert_eq!(ask(&signer, "bob", "history", "c1", &[]).await.status, 200);
    assert_eq!(backend.count(PATH), 0);
    let asked = json!({"chat:a": ["message-delete-any"]});
    assert_eq!(capability(&signer, "bob/manager", asked).await, Err(403));
    assert_eq!(backend.count(PATH), 1);
}

#[test]
fn a_backend_with_a_certificate_of_its_own_authority_is_asked() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (authority, status) in [(&ours, 200), (&theirs, 503)] {
        alone(async {
            let backend = Server::with(Some(ours.acceptor())).await;
            backend.set(PATH, told(json!({"roles": {"bob": "manager"}})));
            let directory = directory();
            fs::write(directory.join("ably.secret"), "fakeapp.fakekey:obviously-fake-secret").unwrap();
            fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
            let facts = format!("[facts]\nurl = \"{}\"\nca = \"ca.pem\"\n", backend.url(PATH));
            let callers = CALLERS.replace("UserClaims", "");
            let signer = Signer::start_with(directory, &format!("{callers}\n{facts}"), POLICY).await;
            assert_eq!(kick(&signer, "bob", "tom").await, status);
        });
    }
}

#[tokio::test]
async fn services_are_what_their_own_credential_says() {
    let backend = Server::start().await;
    backend.set(PATH, told(json!({"kind": "chatroom", "roles": {"tom": "manager"}})));
    let signer = signer(&backend, "").await;
    let act = async |action: &str, body: Value| {
        let key = "x-api-key: obviously-fake-api-key\r\n";
        signer.post(&format!("/v1/leancloud/{action}"), key, &body.to_string()).await.status
    };
    // A rule for services lets it, whoever is what there.
    let kick = json!({"client_id": "bob", "conv_id": "c1", "members": ["tom"]});
    assert_eq!((act("kick", kick).await, backend.count(PATH)), (200, 0));
    // One that depends on its role does not: it has none. That is known without asking.
    let block = json!({"client_id": "bob", "conv_id": "c1"});
    assert_eq!((act("block-conversation", block).await, backend.count(PATH)), (403, 0));
}
