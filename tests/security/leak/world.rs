//! A configuration all of whose secrets are known to the detector.

#![allow(unreachable_pub)]

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::abuse::detector::Detector;
use crate::abuse::request::{self, bytes};
use crate::abuse::traced::{Format, Traced};
use crate::abuse::{self, token};
use crate::common::Answer;

/// Signed with before the key was changed; it still verifies.
pub const OLD_LEANCLOUD: &str = "NotReal-Heron8Velvet1Capstan4Moss";
pub const CALLERS: &str = "NotReal-Ibex2Lantern9Trellis6Gulf-Ibex2Lantern9Trellis6Gulf";
pub const KEY: &str = "NotReal-Puffin7Cinder3Mandolin5Reed";
pub const ISSUER: &str = "https://id.example.com/";

pub const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[policy]
file = "policy.toml"
[audit]
to = "audit.log"
[shutdown]
drain_delay = "0s"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = [{ file = "leancloud.secret" }, { file = "old.secret" }]

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }
legacy_signatures = true

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
capability = { "chat:*" = ["subscribe", "publish"] }
user_claims = ["channel"]
forward_claims = ["name"]

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }
roles = "roles"
max_role = "owner"

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "{hash}" }]
"#;

pub const POLICY: &str = r#"
roles = ["member", "owner"]

[[rules]]
id = "everyone-as-themselves"
effect = "allow"
actions = ["*"]

[[rules]]
id = "services-act-for-anyone"
effect = "allow"
actions = ["*"]
callers = ["service"]
client = "any"

[[rules]]
id = "orders-administers"
effect = "allow"
actions = ["app-token"]
services = ["orders"]
client = "any"

[[rules]]
id = "nobody-is-kicked"
effect = "deny"
actions = ["kick"]

[[bans]]
user = "mallory"
reason = "spam"

[[mutes]]
user = "loud"
conversation = "chat:*"
"#;

/// The directory of this configuration.
pub fn directory() -> PathBuf {
    directory_of(&CONFIGURATION.replace("{hash}", &abuse::hash(KEY)))
}

/// The directory of another configuration with the same files.
pub fn directory_of(configuration: &str) -> PathBuf {
    let files = [("old.secret", OLD_LEANCLOUD), ("caller.secret", CALLERS)];
    abuse::lay_out(configuration, POLICY, &[&files[..], &abuse::SECRETS].concat())
}

/// A server of this configuration.
pub fn server(format: Format) -> Traced {
    Traced::start(directory(), format)
}

/// Every secret, by what it is.
pub fn secrets() -> [(&'static str, &'static str); 6] {
    [
        ("LeanCloud's key", abuse::LEANCLOUD),
        ("LeanCloud's old key", OLD_LEANCLOUD),
        ("TalkJS's key", abuse::TALKJS),
        ("Ably's key", abuse::ABLY),
        ("the callers' secret", CALLERS),
        ("the API key", KEY),
    ]
}

/// Knows every secret.
pub fn detector() -> Detector {
    let mut detector = Detector::default();
    for (name, secret) in secrets() {
        detector.forbid(name, secret);
    }
    detector
}

/// A token of this user's.
pub fn token(user: &str) -> String {
    token::hs256(CALLERS.as_bytes(), &token::claims(ISSUER, "chat", user, &json!({"roles": ["owner"], "name": "Tom"})))
}

/// Who asks.
pub enum Who {
    User(&'static str),
    Service,
}

/// A `POST` of JSON.
pub fn post(who: &Who, path: &str, body: &Value) -> Vec<u8> {
    let credential = match who {
        Who::User(name) => request::bearer(&token(name)),
        Who::Service => format!("x-api-key: {KEY}\r\n"),
    };
    bytes("POST", path, &format!("{credential}content-type: application/json\r\n"), body.to_string())
}

/// Knows every secret, and nothing else.
pub static SECRETS: LazyLock<Detector> = LazyLock::new(detector);

/// Asks on a connection of its own. A good answer gives no secret away, and what it rightly holds must not appear elsewhere; nor may
/// the tokens in the request. Another answer holds nothing of all that.
pub fn ask(server: &Traced, detector: &mut Detector, bytes: &[u8]) -> Answer {
    let answer = request::ask(&mut server.connect(), bytes);
    let forbidden = if answer.status == 200 { &SECRETS } else { &*detector };
    forbidden.assert_clean("an answer", &format!("{answer:?}"));
    request::tokens(bytes).for_each(|token| detector.forbid_token("a caller's token", token));
    if answer.status == 200 {
        forbid_signed(detector, &answer.body);
    }
    answer
}

/// Forbids the signature, MAC or token in an answer.
pub fn forbid_signed(detector: &mut Detector, body: &str) {
    match serde_json::from_str::<Value>(body) {
        Ok(json) => {
            for name in ["signature", "mac"] {
                detector.forbid_text("a signature", json[name].as_str().unwrap_or_default());
            }
            detector.forbid_token("a token", json["token"].as_str().unwrap_or_default());
        }
        Err(_) => detector.forbid_token("a token", body),
    }
}
