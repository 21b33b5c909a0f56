//! Two servers that share a store carry what is to be carried: each thing is done by one of them, and by the other if that one is killed.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use chat_signer::crypto::base64;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::common::{Server, Setup, until};
use crate::redis::Redis;
use crate::server::{self, Fault, Seen};
use crate::servers::fleet::accept;
use crate::vendors::Vendor;
use crate::world::{POLICY, Service};

/// What one has claimed another may after this time.
const LEASE: Duration = Duration::from_secs(30);

/// A server that carries bans to this vendor, by a name of its own for it, and tells this webhook.
fn start(redis: &Redis, vendor: &Vendor, name: &str, webhook: &server::Server) -> Server {
    let (port, hook) = (vendor.server.address.port(), webhook.address);
    let more = format!(
        r#"
[store]
type = "redis"
url = {{ file = "redis.url" }}

[apps.talkjs.enforcement]
enabled = true
url = "http://{name}:{port}"

[[webhooks]]
url = "http://{hook}/hooks"
secret = {{ file = "hook.secret" }}
"#
    );
    let files = vec![
        ("policy.toml", POLICY.to_owned()),
        ("redis.url", format!("unix://{}", redis.socket().display())),
        ("hook.secret", format!("whsec_{}", base64(b"obviously-fake-secret-of-a-webhook"))),
    ];
    Server::with(Setup { files, ..Setup::more(&more) })
}

/// By which name the vendor was asked for.
fn host(seen: &Seen) -> &str {
    seen.headers["host"].to_str().unwrap().rsplit_once(':').unwrap().0
}

fn ban(server: &Server, user: &str) {
    Service.does(server, "bans", &json!({ "users": [user], "app": "talkjs", "conversation": "c1" }));
}

#[test]
fn what_one_was_killed_over_the_other_carries_and_no_webhook_holds_it_up() {
    let Some(redis) = Redis::start() else { return };
    let runtime = Runtime::new().unwrap();
    let (vendor, webhook) = runtime
        .block_on(async { (Vendor::start().await, server::Server::start(|_| (204, Vec::new(), String::new())).await) });
    webhook.fail("POST", "", usize::MAX, Fault::Stall);
    let names = ["127.0.0.1", "localhost"];
    let servers = names.map(|name| start(&redis, &vendor, name, &webhook));
    assert!(accept(&servers[0], &["--empty"]).status.success());
    until("they are ready", || servers.iter().all(Server::is_ready));

    let users: Vec<_> = (0..30).map(|number| format!("user{number}")).collect();
    for (number, user) in users.iter().enumerate() {
        vendor.join("c1", user, "ReadWrite", true);
        ban(&servers[number % 2], user);
    }
    until("all are removed", || users.iter().all(|user| vendor.access("c1", user).is_none()));
    let removed = vendor.server.seen("DELETE", "/c1/");
    assert_eq!(removed.iter().map(|seen| &seen.path).collect::<BTreeSet<_>>().len(), users.len());
    assert_eq!(removed.len(), users.len(), "each by one of them");
    assert!(webhook.total() > 0);

    vendor.join("c1", "tom", "ReadWrite", true);
    vendor.server.fail("DELETE", "/tom", 1, Fault::Stall);
    ban(&servers[0], "tom");
    until("one of them has it", || vendor.server.count("DELETE", "/tom") == 1);
    let first = vendor.server.seen("DELETE", "/tom").remove(0);
    servers[usize::from(host(&first) == names[1])].signal("-KILL");
    let began = Instant::now();
    while vendor.access("c1", "tom").is_some() {
        assert!(began.elapsed() < 4 * LEASE, "nobody takes it over");
        thread::sleep(Duration::from_millis(20));
    }
    let next = vendor.server.seen("DELETE", "/tom").remove(1);
    assert_ne!(host(&next), host(&first));
    println!("taken over {:?} after it was claimed", Duration::from_millis(next.at.0 - first.at.0));
    vendor.assert_content();
}
