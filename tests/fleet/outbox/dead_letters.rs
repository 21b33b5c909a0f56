//! Dead letters over HTTP and from the command line: listed, tried again, closed. And all bans of an app enforced again.

use std::process::Command;

use chat_signer::crypto::base64;
use serde_json::{Value, json};

use crate::common::{SERVICE_KEY, Server, Setup, until};
use crate::receiver::Receiver;
use crate::server::Fault;
use crate::vendors::Vendor;
use crate::world::{MEMORY, Service, User, with};

const SECRET: &[u8] = b"obviously-fake-secret-of-a-webhook";

fn start(receiver: &Receiver, vendor: &Vendor) -> Server {
    let more = format!(
        "{MEMORY}[audit]\nto = \"audit.log\"\n\n[[webhooks]]\nurl = \"{}\"\nsecret = {{ file = \"hook.secret\" }}\n\n\
         [apps.talkjs.enforcement]\nenabled = true\nurl = \"{}\"\n",
        receiver.url(),
        vendor.url()
    );
    let files = vec![("hook.secret", format!("whsec_{}", base64(SECRET)))];
    with(Setup { files, ..Setup::more(&more) })
}

fn dead_letters(server: &Server, filter: &str) -> Vec<Value> {
    let answer = Service.gets(server, &format!("enforcements?state=dead-letter{filter}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["entries"].as_array().unwrap().clone()
}

fn ban(server: &Server, users: &[&str]) {
    Service.does(server, "bans", &json!({ "users": users, "app": "talkjs", "conversation": "c1" }));
}

fn runs(server: &Server, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    command.env("CHAT_SIGNER_SERVER", format!("http://{}", server.main)).env("CHAT_SIGNER_API_KEY", SERVICE_KEY);
    let output = command.args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_found_tried_again_and_closed() {
    let (receiver, vendor) = (Receiver::knowing(SECRET).await, Vendor::start().await);
    receiver.server.fail("POST", "/hooks", 3, Fault::Answer(410, Vec::new()));
    let server = start(&receiver, &vendor);
    ban(&server, &["tom", "zoe", "yan"]);
    until("all are dead letters", || dead_letters(&server, "&kind=webhook").len() == 3);
    let host = receiver.server.address;
    let selected = |filter: &str| dead_letters(&server, filter).len();
    assert_eq!(
        [
            "&user=tom",
            "&cause=gone",
            "&cause=refused",
            "&error=410",
            "&error=500",
            "&app=talkjs",
            "&app=ably",
            "&conversation=c1",
            "&conversation=c2",
            "&kind=enforcement",
        ]
        .map(selected),
        [1, 3, 0, 3, 0, 3, 0, 3, 0, 0]
    );
    assert_eq!([format!("&webhook={host}"), format!("&webhook=http://{host}")].map(|at| selected(&at)), [3, 3]);
    let tom = dead_letters(&server, "&user=tom").remove(0);
    assert_eq!((&tom["cause"], &tom["again"], &tom["stage"]), (&json!("gone"), &json!(false), &json!("dead-letter")));
    assert!(tom["asked"].is_string() && tom["settled"].is_string() && tom["due"].is_null(), "{tom}");

    let groups = Service.gets(&server, "enforcements/groups").json();
    assert_eq!((&groups["dead_letters"], &groups["complete"]), (&json!(3), &json!(true)), "{groups}");
    let group = &groups["groups"][0];
    assert_eq!((&group["count"], &group["cause"], &group["kind"]), (&json!(3), &json!("gone"), &json!("webhook")));
    assert_eq!((groups["groups"].as_array().unwrap().len(), group["sample"].as_array().unwrap().len()), (1, 3));

    let (id, change) = (tom["id"].clone(), tom["change"].clone());
    let retry = |jobs: Value| Service.posts(&server, "enforcements/retry", &json!({ "jobs": jobs })).json();
    let refused = User("tom").posts(&server, "enforcements/retry", &json!({ "jobs": [{ "id": id }] }));
    assert_eq!((refused.status, refused.code().as_str()), (403, "denied"));
    let later = change.as_u64().unwrap() + 1;
    let failed = retry(json!([{ "id": id, "change": later }, { "id": "bm93aGVyZQ" }]))["failed"].clone();
    assert_eq!((&failed[0]["code"], &failed[1]["code"]), (&json!("changed"), &json!("gone")));
    assert_eq!(receiver.taken().len(), 0);
    assert_eq!(retry(json!([{ "id": id, "change": change }])), json!({ "succeeded": [id], "failed": [] }));
    until("the event is taken", || receiver.taken().len() == 1);
    until("it is done", || selected("") == 2);
    assert_eq!(retry(json!([{ "id": id }]))["failed"][0]["code"], "not_dead_letter");

    // From the command line: first the number, then the change.
    let (code, said) = runs(&server, &["close", "--cause", "gone", "--user", "zoe", "--reason", "told by hand"]);
    assert_eq!((code, said.as_str()), (1, "1 dead letters are selected. To change them, add --yes\n"));
    let (code, said) = runs(&server, &["close", "--user", "zoe", "--reason", "told by hand", "--yes"]);
    assert_eq!((code, said.as_str()), (0, "✓ 1 of 1 dead letters are closed\n"));
    let (code, said) = runs(&server, &["retry", "--cause", "gone", "--yes"]);
    assert_eq!((code, said.as_str()), (0, "✓ 1 of 1 dead letters are due now\n"));
    until("that event is taken too", || receiver.taken().len() == 2);
    let lines = std::fs::read_to_string(server.directory.join("audit.log")).unwrap();
    let about = |what: &str| {
        let own = |line: &&str| line.contains("\"action\":\"retry-enforcement\"") && line.contains(what);
        lines.lines().filter(own).count()
    };
    assert_eq!(
        [about("\"decision\":\"allow\""), about("closed: told by hand"), about("\"targets\":[\"tom\"]")],
        [3, 1, 3]
    );
    assert_eq!([about("\"decision\":\"deny\""), about("\"decision\":\"invalid\"")], [1, 3], "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bans_of_an_app_are_enforced_again() {
    let (receiver, vendor) = (Receiver::knowing(SECRET).await, Vendor::start().await);
    let server = start(&receiver, &vendor);
    for user in ["tom", "zoe", "mallory", "late"] {
        vendor.join("c1", user, "ReadWrite", true);
    }
    ban(&server, &["tom", "zoe"]);
    let is_out = |user: &str| vendor.access("c1", user).is_none();
    until("they are out", || is_out("tom") && is_out("zoe"));
    until("all is done", || Service.gets(&server, "enforcements?state=pending").json()["entries"] == json!([]));
    // The vendor loses its state. `mallory` is banned by the policy file, `late` was.
    for user in ["tom", "zoe"] {
        vendor.join("c1", user, "ReadWrite", true);
    }
    assert!(!is_out("mallory"));
    let unknown = Service.posts(&server, "enforcements/repeat", &json!({ "app": "ably" }));
    assert_eq!((unknown.status, unknown.json()["field"].clone()), (400, json!("app")));
    assert_eq!(User("tom").posts(&server, "enforcements/repeat", &json!({ "app": "talkjs" })).status, 403);
    let (code, said) = runs(&server, &["enforce", "--app", "talkjs"]);
    assert_eq!((code, said.as_str()), (0, "✓ 3 enforcements at talkjs are requested again\n"));
    until("all are out", || ["tom", "zoe", "mallory"].into_iter().all(is_out));
    assert!(!is_out("late"));
    let lines = std::fs::read_to_string(server.directory.join("audit.log")).unwrap();
    assert!(lines.contains("2 enforcements were requested again"), "{lines}");
}
