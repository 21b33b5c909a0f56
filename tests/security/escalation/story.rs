//! What stories are told with.

#![allow(unreachable_pub)]

use serde_json::{Value, json};

use crate::abuse::{self, request, token};
use crate::common::{Answer, Server};

pub const SECRET: &[u8] = b"fake-caller-secret-0123456789abcdef0123456789abcdef";
pub const PARTNERS_SECRET: &[u8] = b"fake-partner-secret-0123456789abcdef0123456789abcdef";
pub const KEY: &str = "fake-service-key";
pub const ISSUER: &str = "https://id.example.com/";
pub const PARTNER: &str = "https://partner.example.com/";

const APPS: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[policy]
file = "policy.toml"
[shutdown]
drain_delay = "0s"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = { file = "leancloud.secret" }

[apps.demo]
vendor = "leancloud"
app_id = "fake-demo-app"
master_key = { file = "leancloud.secret" }
history_order = "timestamp-nonce"

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }
legacy_signatures = true

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
user_claims = ["channel"]
forward_claims = ["name"]
"#;

/// Users by token, whose roles count up to that of an owner.
pub const USERS: &str = r#"
[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }
roles = "roles"
bindings = "bindings"
max_role = "owner"
"#;

/// A service by API key.
pub const SERVICES: &str = r#"
[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "{hash}" }]
"#;

/// The roles of every story.
const ROLES: &str = r#"
roles = ["guest", "member", "manager", "owner"]
default_role = "guest"
"#;

/// A server with this policy, for [`USERS`] and [`SERVICES`].
pub fn world(rules: &str) -> Server {
    world_of(&[USERS, SERVICES], rules)
}

/// A server with this policy, for these callers.
pub fn world_of(callers: &[&str], rules: &str) -> Server {
    let (configuration, policy) = files(callers, rules);
    abuse::serve(&configuration, &policy, &secrets())
}

/// The text of both files.
pub fn files(callers: &[&str], rules: &str) -> (String, String) {
    let callers = callers.concat().replace("{hash}", &abuse::hash(KEY));
    (format!("{APPS}{callers}"), format!("{ROLES}{rules}"))
}

/// The files that the configuration names.
pub fn secrets() -> Vec<(&'static str, &'static str)> {
    let [callers, partners] = [SECRET, PARTNERS_SECRET].map(|secret| std::str::from_utf8(secret).unwrap());
    [&abuse::SECRETS[..], &[("caller.secret", callers), ("partner.secret", partners)]].concat()
}

/// Who asks: the headers that say so.
pub struct Who(pub String);

/// A user of ours.
pub fn user(name: &str) -> Who {
    user_saying(name, &json!({}))
}

/// A user of ours, whose token says this besides.
pub fn user_saying(name: &str, more: &Value) -> Who {
    by(SECRET, ISSUER, name, more)
}

/// A user of the partner's.
pub fn partners(name: &str) -> Who {
    by(PARTNERS_SECRET, PARTNER, name, &json!({}))
}

/// Whoever has a token of this issuer, signed with this secret.
pub fn by(secret: &[u8], issuer: &str, name: &str, more: &Value) -> Who {
    Who(request::bearer(&token::hs256(secret, &token::claims(issuer, "chat", name, more))))
}

/// The service `orders`.
pub fn service() -> Who {
    Who(format!("x-api-key: {KEY}\r\n"))
}

impl Who {
    /// Asks, at a path below `/v1/`.
    pub fn asks(&self, server: &Server, path: &str, body: &Value) -> Answer {
        let headers = format!("{}content-type: application/json\r\n", self.0);
        let request = request::bytes("POST", &format!("/v1/{path}"), &headers, body.to_string());
        request::ask(&mut server.connect(), &request)
    }

    /// Asks and gets it.
    pub fn may(&self, server: &Server, path: &str, body: &Value) -> Answer {
        let answer = self.asks(server, path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        answer
    }

    /// Asks, and is refused by the policy in these words.
    pub fn may_not(&self, server: &Server, path: &str, body: &Value, says: &str) {
        let answer = self.asks(server, path, body);
        assert!(answer.status == 403 && answer.body.contains(says), "{path} {body}: {answer:?}");
    }

    /// Asks for what means nothing, and is told so in these words.
    pub fn can_not(&self, server: &Server, path: &str, body: &Value, says: &str) {
        let answer = self.asks(server, path, body);
        assert!(answer.status == 400 && answer.body.contains(says), "{path} {body}: {answer:?}");
    }

    /// Asks, and is not let in, in these words.
    pub fn is_nobody(&self, server: &Server, path: &str, says: &str) {
        let answer = self.asks(server, path, &json!({}));
        assert!(answer.status == 401 && answer.body.contains(says), "{path}: {answer:?}");
    }

    /// What Ably is told that the client may do, of what was asked for.
    pub fn is_granted(&self, server: &Server, capability: &Value) -> Value {
        let answer = self.may(server, "ably/token-request", &json!({ "capability": capability }));
        serde_json::from_str(answer.json()["capability"].as_str().unwrap()).unwrap()
    }

    /// What the token for Ably says, for this request.
    pub fn claims(&self, server: &Server, body: &Value) -> Value {
        let token = self.may(server, "ably/token", body).body;
        let payload = chat_signer::crypto::base64url_decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }
}
