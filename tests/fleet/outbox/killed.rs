//! The real program, killed while it carries bans to a vendor that answers, stalls, fails and cuts connections: what was acknowledged is
//! carried by the next one, and what the vendor ends up with is what the moderation entries says.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{self, SERVICE_KEY, Server, Setup, request};
use crate::server::Fault;
use crate::vendors::Vendor;

pub(crate) const POLICY: &str = r#"
roles = ["member"]

[[rules]]
id = "services-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute"]
callers = ["service"]
client = "any"
"#;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dan"];
const CONVERSATIONS: [&str; 5] = ["c1", "c2", "c3", "c4", "c5"];

/// What is in force: of whom, what, and where; nowhere is everywhere.
type InForce = BTreeSet<(&'static str, &'static str, Option<&'static str>)>;

/// Not random at all, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn start(store: &Path, vendor: &Vendor) -> Server {
    let more = format!(
        "[store]\ntype = \"redb\"\npath = \"{}\"\n[apps.talkjs.enforcement]\nenabled = true\nurl = \"{}\"\n",
        store.display(),
        vendor.url()
    );
    let server = Server::with(Setup { files: vec![("policy.toml", POLICY.to_owned())], ..Setup::more(&more) });
    common::until("the moderation entries is read", || server.is_ready());
    server
}

/// Makes a change, if it can be made: what holds everywhere is not lifted in one place.
fn moderate(server: &Server, path: &str, user: &str, conversation: Option<&str>) -> bool {
    let mut body = json!({ "users": [user], "app": "talkjs" });
    if let Some(conversation) = conversation {
        body["conversation"] = json!(conversation);
    }
    let headers = format!("x-api-key: {SERVICE_KEY}\r\ncontent-type: application/json\r\n");
    let answer = server.ask(&request("POST", path, &headers, &body.to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["succeeded"] == json!([user])
}

/// One change, and what is in force after it.
fn change(server: &Server, in_force: &mut InForce, dice: &mut Dice) {
    let (user, what) = (USERS[dice.roll(USERS.len())], ["bans", "mutes"][dice.roll(2)]);
    let conversation = CONVERSATIONS.get(dice.roll(CONVERSATIONS.len() + 1)).copied();
    let key = (user, what, conversation);
    if !in_force.contains(&key) {
        assert!(moderate(server, &format!("/v1/moderation/{what}"), user, conversation));
        in_force.insert(key);
    } else if moderate(server, &format!("/v1/moderation/{what}/lift"), user, conversation) {
        in_force.remove(&key);
    }
}

/// What each user should be in each conversation.
fn expected(in_force: &InForce) -> Vec<Option<String>> {
    let is = |user, what, conversation| {
        [Some(conversation), None].into_iter().any(|place| in_force.contains(&(user, what, place)))
    };
    let access = |user, conversation| match (is(user, "bans", conversation), is(user, "mutes", conversation)) {
        (true, _) => None,
        (false, true) => Some("Read".to_owned()),
        (false, false) => Some("ReadWrite".to_owned()),
    };
    USERS.iter().flat_map(|user| CONVERSATIONS.iter().map(move |conversation| access(*user, *conversation))).collect()
}

fn actual(vendor: &Vendor) -> Vec<Option<String>> {
    let all = USERS.iter().flat_map(|user| CONVERSATIONS.iter().map(move |conversation| (user, conversation)));
    all.map(|(user, conversation)| vendor.access(conversation, user)).collect()
}

/// What one sent before it was killed can arrive after its successor has put things right. Then it takes a lease until that is found.
fn await_what_is_expected(vendor: &Vendor, in_force: &InForce) {
    let began = Instant::now();
    while actual(vendor) != expected(in_force) {
        let (actual, expected) = (actual(vendor), expected(in_force));
        assert!(began.elapsed() < Duration::from_secs(120), "{actual:?} is not {expected:?}: {in_force:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn trouble(vendor: &Vendor, dice: &mut Dice) {
    for method in ["GET", "DELETE", "PATCH", "PUT"] {
        let fault = match dice.roll(5) {
            0 => Fault::Answer(500, Vec::new()),
            1 => Fault::Answer(429, Vec::new()),
            2 => Fault::Cut,
            3 => Fault::CutAfter,
            _ => Fault::Stall,
        };
        vendor.server.fail(method, CONVERSATIONS[dice.roll(CONVERSATIONS.len())], 1 + dice.roll(2), fault);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_has_a_successor_who_puts_it_right() {
    let vendor = Vendor::start().await;
    for conversation in CONVERSATIONS {
        for user in USERS {
            vendor.join(conversation, user, "ReadWrite", true);
        }
    }
    let home = common::directory();
    let store = home.join("store.redb");
    let (mut in_force, mut dice) = (InForce::new(), Dice(6));
    for _ in 0..8 {
        trouble(&vendor, &mut dice);
        let server = start(&store, &vendor);
        for _ in 0..5 {
            change(&server, &mut in_force, &mut dice);
        }
        // For as long as some requests take, and then not even a good-bye.
        thread::sleep(Duration::from_millis(u64::try_from(dice.roll(30)).unwrap()));
        server.signal("-KILL");
    }
    vendor.server.heal();
    let server = start(&store, &vendor);
    await_what_is_expected(&vendor, &in_force);
    for (user, what, conversation) in std::mem::take(&mut in_force) {
        assert!(moderate(&server, &format!("/v1/moderation/{what}/lift"), user, conversation));
    }
    await_what_is_expected(&vendor, &in_force);
    vendor.assert_content();
    std::fs::remove_dir_all(home).unwrap();
}
