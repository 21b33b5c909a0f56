//! LeanCloud's conversations, as its REST interface tells of them.

use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::signer::{Answer, Signer, alone, directory};

const ID: &str = "5f3c2a1b9e8d7c6b5a493827";

const POLICY: &str = r#"
roles = ["member", "manager", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["join", "leave"]

[[rules]]
id = "members-read"
effect = "allow"
actions = ["history"]
roles = ["member", "manager", "owner"]

[[rules]]
id = "managers"
effect = "allow"
actions = ["kick", "block-clients", "unblock-clients"]
roles = ["manager", "owner"]
targets = "outranked"

[[rules]]
id = "managers-invite"
effect = "allow"
actions = ["invite"]
roles = ["manager", "owner"]
kinds = ["group"]
"#;

/// An app at LeanCloud, which knows one conversation.
struct Cloud {
    server: Server,
    folder: &'static str,
}

impl Cloud {
    /// With a conversation of these fields, in which nobody is anything.
    async fn with(folder: &'static str, fields: Value) -> Cloud {
        let cloud = Cloud { server: Server::start().await, folder };
        let mut conversation =
            json!({"objectId": ID, "name": "a chat", "m": ["ann"], "createdAt": "2026-01-01T00:00:00Z"});
        conversation.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        cloud.server.set(&query(ID), Reply::json(json!({"results": [conversation]})));
        cloud.members(&[]);
        cloud.infos(&[&[]]);
        cloud.blacklist(&[&[]]);
        cloud
    }

    /// A group that ann has made, with bob as manager; tom and sue are members, eve is shut out.
    async fn group() -> Cloud {
        let cloud = Cloud::with("conversations", json!({"c": "ann"})).await;
        cloud.members(&["ann", "bob", "tom", "sue"]);
        cloud.infos(&[&[("bob", "Manager"), ("gone", "Manager"), ("tom", "Member")]]);
        cloud.blacklist(&[&["eve"]]);
        cloud
    }

    fn path(&self, tail: &str) -> String {
        format!("/1.2/rtm/{}/{ID}/{tail}", self.folder)
    }

    fn members(&self, members: &[&str]) {
        self.server.set(&self.path("members"), Reply::json(json!({"result": members})));
    }

    /// Page after page, and an empty one.
    fn infos(&self, pages: &[&[(&str, &str)]]) {
        let mut skip = 0;
        for page in pages.iter().chain([&&[][..]]) {
            let infos = page.iter().map(|(user, role)| json!({"clientId": user, "role": role, "objectId": "1"}));
            let path = self.path(&format!("member-infos?limit=100&skip={skip}"));
            self.server.set(&path, Reply::json(json!({"results": infos.collect::<Value>()})));
            skip += page.len();
        }
    }

    /// Page after page, each with the way to the next.
    fn blacklist(&self, pages: &[&[&str]]) {
        for (number, page) in pages.iter().enumerate() {
            let mut answer = json!({"client_ids": page});
            if number + 1 < pages.len() {
                answer["next"] = json!(format!("page {}&", number + 1));
            }
            let next = if number == 0 { String::new() } else { format!("&next=page%20{number}%26") };
            self.server.set(&self.path(&format!("blacklists?limit=100{next}")), Reply::json(answer));
        }
    }

    async fn signer(&self) -> Signer {
        start(&self.server).await
    }
}

/// How a conversation is asked for.
fn query(id: &str) -> String {
    format!("/1.2/rtm/all-conversations?limit=2&where=%7B%22objectId%22%3A%22{id}%22%7D")
}

async fn start(server: &Server) -> Signer {
    let sections = format!(
        "[facts]\ntype = \"leancloud\"\napp = \"leancloud\"\nurl = \"{}/\"\ncache = \"0s\"\n\
         [[authenticators]]\nname = \"ingress\"\ntype = \"forwarded\"\ncaller = \"user\"\nheader = \"x-user\"\n\
         roles_header = \"x-roles\"\nmax_role = \"owner\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n",
        server.url("")
    );
    Signer::start_with(directory(), &sections, POLICY).await
}

async fn ask(signer: &Signer, user: &str, action: &str, conversation: &str, target: &str) -> Answer {
    let mut body = json!({"conv_id": conversation});
    if !target.is_empty() {
        body["members"] = json!([target]);
    }
    // A token's word is never needed here, and never enough.
    let headers = format!("x-user: {user}\r\nx-roles: owner\r\n");
    signer.post(&format!("/v1/leancloud/{action}"), &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_group_is_read_with_the_master_key() {
    let cloud = Cloud::group().await;
    let signer = cloud.signer().await;
    for (user, action, target, status) in [
        ("ann", "kick", "bob", 200),
        ("bob", "kick", "tom", 200),
        ("bob", "kick", "ann", 403),
        ("tom", "kick", "sue", 403),
        ("bob", "invite", "zoe", 200),
        ("sue", "history", "", 200),
        ("zoe", "history", "", 403),
        // Once a manager, but a member no longer.
        ("gone", "kick", "tom", 403),
    ] {
        assert_eq!(ask(&signer, user, action, ID, target).await.status, status, "{user} {action} {target}");
    }
    let server = &cloud.server;
    let paths = ["members", "member-infos?limit=100&skip=0", "member-infos?limit=100&skip=3", "blacklists?limit=100"];
    let paths: Vec<_> = std::iter::once(query(ID)).chain(paths.map(|tail| cloud.path(tail))).collect();
    for path in &paths {
        for seen in server.seen(path) {
            assert_eq!((seen.method.as_str(), seen.body.as_str()), ("GET", ""));
            assert_eq!(seen.header("x-lc-id"), Some("fake-leancloud-app"));
            assert_eq!(seen.header("x-lc-key"), Some("obviously-fake-key,master"));
            assert_eq!(seen.header("authorization"), None);
        }
        assert_eq!(server.count(path), 8, "{path}");
    }
    assert!(!(signer.audit() + &signer.log()).contains("obviously-fake-key"));
}

#[tokio::test]
async fn whom_a_conversation_shuts_out_neither_joins_nor_is_invited() {
    let cloud = Cloud::group().await;
    let signer = cloud.signer().await;
    assert_eq!(ask(&signer, "zoe", "join", ID, "").await.status, 200);
    let refused = ask(&signer, "eve", "join", ID, "").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "denied"));
    assert_eq!(refused.json()["detail"], format!("join is not allowed in {ID}: eve is blocked there"));
    let refused = ask(&signer, "bob", "invite", ID, "eve").await;
    assert_eq!(refused.json()["detail"], format!("invite is not allowed in {ID}: a target can't be added"));
    assert!(signer.audit().contains("the target eve is blocked there"), "{}", signer.audit());
    // Who could not invite anyone hears nothing of it.
    let refused = ask(&signer, "tom", "invite", ID, "eve").await;
    assert_eq!(refused.json()["detail"], format!("invite is not allowed in {ID}"));
    assert_eq!(ask(&signer, "eve", "leave", ID, "").await.status, 200);
    assert_eq!(ask(&signer, "bob", "unblock-clients", ID, "eve").await.status, 200);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let cloud = Cloud::group().await;
    cloud.infos(&[&[("x1", "Manager"), ("x2", "Member")], &[("x3", "Owner")], &[("sue", "Manager")]]);
    cloud.blacklist(&[&["x1", "x2"], &["x3"], &["eve", "bob"]]);
    let signer = cloud.signer().await;
    assert_eq!(ask(&signer, "sue", "kick", ID, "tom").await.status, 200);
    assert_eq!(ask(&signer, "bob", "kick", ID, "tom").await.status, 403);
    for user in ["x1", "x3", "eve"] {
        assert_eq!(ask(&signer, user, "join", ID, "").await.status, 403, "{user}");
    }
}

#[tokio::test]
async fn a_chat_room_has_managers_and_no_members() {
    let cloud = Cloud::with("chatrooms", json!({"c": "ann", "tr": true})).await;
    cloud.infos(&[&[("bob", "Manager")]]);
    cloud.blacklist(&[&["eve"]]);
    let signer = cloud.signer().await;
    for (user, action, target, status) in [
        ("bob", "block-clients", "tom", 200),
        ("ann", "block-clients", "bob", 200),
        ("tom", "block-clients", "zoe", 403),
        ("bob", "invite", "tom", 403),
        ("tom", "join", "", 200),
        ("eve", "join", "", 403),
    ] {
        assert_eq!(ask(&signer, user, action, ID, target).await.status, status, "{user} {action} {target}");
    }
    assert_eq!(cloud.server.count(&cloud.path("members")), 0);
}

#[tokio::test]
async fn a_system_conversation_has_nobody() {
    let cloud = Cloud::with("service-conversations", json!({"sys": true})).await;
    cloud.blacklist(&[&["eve"]]);
    let signer = cloud.signer().await;
    for (user, action, status) in [("tom", "join", 200), ("eve", "join", 403), ("tom", "history", 403)] {
        assert_eq!(ask(&signer, user, action, ID, "").await.status, status, "{user} {action}");
    }
    for tail in ["members", "member-infos?limit=100&skip=0"] {
        assert_eq!(cloud.server.count(&cloud.path(tail)), 0, "{tail}");
    }
}

#[tokio::test]
async fn ids_stay_in_their_place() {
    let server = Server::start().await;
    let signer = start(&server).await;
    for (id, encoded) in [("a/b", "a%2Fb"), ("a%2fb?c#d", "a%252fb%3Fc%23d"), ("é \"", "%C3%A9%20%5C%22")] {
        let conversation = json!({"objectId": id, "c": "ann"});
        let (query, id_in_path) = (query(encoded), encoded.replace("%5C%22", "%22"));
        server.set(&query, Reply::json(json!({"results": [conversation]})));
        let path = |tail: &str| format!("/1.2/rtm/conversations/{id_in_path}/{tail}");
        server.set(&path("members"), Reply::json(json!({"result": ["ann", "tom"]})));
        server.set(&path("member-infos?limit=100&skip=0"), Reply::json(json!({"results": []})));
        server.set(&path("blacklists?limit=100"), Reply::json(json!({"client_ids": []})));
        assert_eq!(ask(&signer, "ann", "kick", id, "tom").await.status, 200, "{id}");
        assert_eq!((server.count(&query), server.count(&path("members"))), (1, 1), "{id}");
    }
    // A server may read these as another path.
    let before = server.total();
    for id in [".", "..", "a/../b", "..;", "..;/x", "%c0%ae%c0%ae", "%u002e%u002e"] {
        let refused = ask(&signer, "ann", "kick", id, "tom").await;
        assert_eq!(refused.json()["detail"], format!("kick is not allowed in {id}: there is no such conversation"));
    }
    assert_eq!(server.total(), before, "nothing was asked");
}

#[tokio::test]
async fn a_temporary_conversation_is_nobodys() {
    let server = Server::start().await;
    let signer = start(&server).await;
    assert_eq!(ask(&signer, "ann", "join", "_tmp:1", "").await.status, 200);
    assert_eq!(ask(&signer, "ann", "kick", "_tmp:1", "tom").await.status, 403);
    assert!(signer.audit().contains("ann has no role by the facts"), "{}", signer.audit());
    assert_eq!(server.count(&query("_tmp%3A1")), 0);
}

#[tokio::test]
async fn an_unknown_conversation_is_refused() {
    let server = Server::start().await;
    server.set(&query(ID), Reply::json(json!({"results": []})));
    let signer = start(&server).await;
    for action in ["kick", "invite"] {
        let refused = ask(&signer, "ann", action, ID, "tom").await;
        assert_eq!(refused.json()["detail"], format!("{action} is not allowed in {ID}: there is no such conversation"));
    }
    // The policy lets everyone join, but LeanCloud may know better.
    assert_eq!(ask(&signer, "ann", "join", ID, "").await.status, 403);
    assert_eq!(ask(&signer, "ann", "leave", ID, "").await.status, 200);
}

#[test]
fn what_can_not_be_relied_on_is_never_an_allow() {
    let one = |conversation: Value| json!({"results": [conversation]});
    let cases = [
        (query(ID), Reply::status("401 Unauthorized")),
        (query(ID), Reply::status("404 Not Found")),
        (query(ID), Reply::status("429 Too Many Requests")),
        (query(ID), Reply::json(json!({"code": 1, "error": "x"}))),
        (query(ID), Reply::json(one(json!({"objectId": "another", "c": "bob"})))),
        (query(ID), Reply::json(one(json!({"objectId": ID, "tr": "yes"})))),
        (query(ID), Reply::json(json!({"results": [{"objectId": ID}, {"objectId": ID}]}))),
        (path("members"), Reply::status("404 Not Found")),
        (path("members"), Reply::json(json!({"result": [1]}))),
        (path("members"), Reply::json(json!({"result": null}))),
        (path("member-infos?limit=100&skip=3"), Reply::status("500 Internal Server Error")),
        (path("member-infos?limit=100&skip=0"), Reply::json(json!({"results": [{"role": "Manager"}]}))),
        (path("member-infos?limit=100&skip=0"), Reply::json(json!({"results": [{"clientId": "x", "role": "Boss"}]}))),
        (path("blacklists?limit=100"), Reply::json(json!({"client_ids": {}}))),
        (path("blacklists?limit=100"), Reply::json(json!({"client_ids": [], "next": 1}))),
        (path("blacklists?limit=100"), Reply::json(json!({"client_ids": [], "next": "elsewhere"}))),
        (path("blacklists?limit=100"), Reply::Cut),
    ];
    for (path, reply) in cases {
        alone(async {
            let cloud = Cloud::group().await;
            cloud.server.set(&path, reply.clone());
            let signer = cloud.signer().await;
            let answer = ask(&signer, "bob", "kick", ID, "tom").await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "unavailable"), "{path} {reply:?}");
            assert_eq!(cloud.server.count(&path), 1, "{path} {reply:?}");
        });
    }
}

fn path(tail: &str) -> String {
    format!("/1.2/rtm/conversations/{ID}/{tail}")
}

#[tokio::test]
async fn lists_without_an_end_are_given_up() {
    let cloud = Cloud::group().await;
    for (from, to) in [("", "one"), ("&next=one", "two"), ("&next=two", "one")] {
        let answer = json!({"client_ids": ["x"], "next": to});
        cloud.server.set(&cloud.path(&format!("blacklists?limit=100{from}")), Reply::json(answer));
    }
    let signer = cloud.signer().await;
    assert_eq!(ask(&signer, "bob", "kick", ID, "tom").await.status, 503);
    assert!(signer.log().contains("its lists are too long"));
    let count = cloud.server.count(&cloud.path("blacklists?limit=100&next=one"));
    assert!((50..100).contains(&count), "{count}");
}
