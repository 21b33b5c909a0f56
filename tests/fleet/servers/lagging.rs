//! A server that is cut off from the store goes on signing for who has been banned, for a while. What it signs is void after that.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::{Answer, Server, Setup, post, until};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::server::Seen;
use crate::servers::fleet::accept;
use crate::vendors::{ABLY_KEYS, APP_ID, KEY, Vendor};
use crate::world::{POLICY, Service};

/// For so long servers sign though they don't hear of the store.
const STALE: &str = "8s";

/// A server on this Redis that carries bans to this vendor, which is two.
fn start(redis: &str, vendor: &Vendor) -> Server {
    let url = vendor.url();
    let more = format!(
        r#"
[store]
type = "redis"
url = {{ file = "redis.url" }}
max_staleness = "{STALE}"

[apps.live]
vendor = "ably"
key = {{ file = "live.secret" }}
revocable = true
capability = {{ "user:{{client}}" = ["subscribe"] }}

[apps.live.enforcement]
enabled = true
url = "{url}"

[apps.rooms]
vendor = "leancloud"
app_id = "{APP_ID}"
master_key = {{ file = "rooms.secret" }}

[apps.rooms.enforcement]
enabled = true
url = "{url}"
"#
    );
    let files = [
        ("policy.toml", POLICY),
        ("redis.url", redis),
        ("live.secret", ABLY_KEYS[0]),
        ("rooms.secret", KEY),
        ("ably.secret", "otherapp.fakekey:fake-ably-secret-0123456789abcdef"),
    ];
    let files = files.map(|(name, text)| (name, text.to_owned())).to_vec();
    Server::with(Setup { files, ..Setup::more(&more) })
}

/// A token of Ably's, and a signature for LeanCloud.
fn signed(server: &Server) -> [Answer; 2] {
    ["live/token", "rooms/login"].map(|path| server.ask(&post(&format!("/v1/{path}"), "tom", "{}")))
}

/// What is carried, as a server tells it.
fn carried(server: &Server) -> Vec<Value> {
    let list = Service.gets(server, "enforcements");
    assert_eq!(list.status, 200, "{list:?}");
    list.json()["entries"].as_array().unwrap().clone()
}

/// When a token was issued, in milliseconds, as late as may be: it says seconds.
fn issued(token: &Answer) -> u64 {
    let payload = token.body.split('.').nth(1).unwrap();
    let payload = chat_signer::crypto::base64url_decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["iat"].as_u64().unwrap() * 1000 + 999
}

#[test]
fn what_a_server_signs_that_has_not_heard_of_a_ban_is_voided_as_well() {
    let Some(redis) = Redis::start() else { return };
    let runtime = Runtime::new().unwrap();
    let vendor = runtime.block_on(Vendor::start());
    let proxy = Proxy::before(&redis.socket());
    let direct = format!("unix://{}", redis.socket().display());
    let lagging = start(&format!("redis://{}", proxy.address), &vendor);
    let (banning, other) = (start(&direct, &vendor), start(&direct, &vendor));
    assert!(accept(&banning, &["--empty"]).status.success());
    until("they are ready", || [&lagging, &banning, &other].iter().all(|server| server.is_ready()));

    let came = |path: &str| vendor.server.seen("POST", path);
    proxy.lead_to(Path::new("/dev/null"));
    Service.does(&banning, "bans", &json!({ "users": ["tom"] }));
    until("it is carried out once", || carried(&other).iter().all(|job| job["attempts"] == 1));
    banning.signal("-KILL");
    let told_once = ["/revokeTokens", "/kick"].map(|path| came(path).len());
    assert_eq!(told_once, [1, 1]);

    // As long as it signs, it is asked to.
    let mut last = signed(&lagging);
    assert!(last.iter().all(|answer| answer.status == 200), "{last:?}");
    until("it has not heard of the store for too long", || {
        let answers = signed(&lagging);
        let is_over = answers.iter().any(|answer| answer.status == 503);
        if !is_over {
            last = answers;
        }
        is_over
    });
    until("all is carried out", || carried(&other).iter().all(|job| job["state"] == "done"));
    let [token, signature] = last;
    let [revoked, kicked] = ["/revokeTokens", "/kick"].map(came);
    let between = |times: &[Seen], at: u64| matches!(times, [first, second] if first.at.0 < at && at < second.at.0);
    assert!(between(&revoked, issued(&token)), "{revoked:?} {token:?}");
    assert!(between(&kicked, signature.json()["timestamp"].as_u64().unwrap()), "{kicked:?} {signature:?}");
    println!("signed for {STALE}, voided {:?} after the ban", Duration::from_millis(revoked[1].at.0 - revoked[0].at.0));
    vendor.assert_content();
}
