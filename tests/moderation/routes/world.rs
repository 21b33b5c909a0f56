//! A server with a moderation, and those who ask it.

use chat_signer::model::Millis;
use serde_json::{Value, json};

use crate::common::{Answer, SERVICE_KEY, Server, Setup, post, request, token, until};

pub(crate) const POLICY: &str = r#"
roles = ["guest", "member", "moderator", "manager", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave", "subscribe", "block-conversation", "unblock-conversation"]

[[rules]]
id = "managers-invite"
effect = "allow"
actions = ["invite"]
roles = ["manager", "owner"]

[[rules]]
id = "managers-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role"]
roles = ["manager", "owner"]
targets = "outranked"
reason = "Managers moderate those whom they outrank."

[[rules]]
id = "managers-look"
effect = "allow"
actions = ["read-moderation", "manage-conversation"]
roles = ["manager", "owner"]

[[rules]]
id = "services-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role", "manage-conversation", "read-moderation", "retry-enforcement", "block-conversation", "unblock-conversation"]
callers = ["service"]
client = "any"

[[conversations]]
id = "den"
owner = "alice"
managers = ["bob"]
members = ["tom", "carol"]

[[bindings]]
user = "erin"
conversation = "*"
role = "manager"

[[bans]]
user = "mallory"
reason = "spam"

[[bans]]
user = "late"
conversation = "den"
until = 2020-01-01T00:00:00Z

[[mutes]]
user = "loud"
app = "ably"
conversation = "chat:*"

[[blocks]]
user = "carol"
conversation = "den"
"#;

pub(crate) const MEMORY: &str = "[store]\ntype = \"memory\"\n";

/// A server with a moderation in memory, and these further sections.
pub(crate) fn server(more: &str) -> Server {
    with(Setup::more(&format!("{MEMORY}{more}")))
}

/// A server with this setup, once it is ready.
pub(crate) fn with(setup: Setup) -> Server {
    let mut files = vec![("policy.toml", POLICY.to_owned())];
    files.extend(setup.files);
    let server = Server::with(Setup { files, ..setup });
    until("it is ready", || server.is_ready());
    server
}

/// Whoever asks.
#[derive(Clone, Copy)]
pub(crate) enum Caller {
    User(&'static str),
    Service,
}

pub(crate) use Caller::{Service, User};

impl Caller {
    pub(crate) fn header(self) -> String {
        match self {
            User(user) => format!("authorization: Bearer {}\r\n", token(user)),
            Service => format!("x-api-key: {SERVICE_KEY}\r\n"),
        }
    }

    pub(crate) fn request(self, method: &str, path: &str, body: Option<&Value>) -> String {
        let body = body.map_or(String::new(), Value::to_string);
        let media = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        request(method, &format!("/v1/moderation/{path}"), &format!("{}{media}", self.header()), &body)
    }

    pub(crate) fn asks(self, server: &Server, method: &str, path: &str, body: &Value) -> Answer {
        server.ask(&self.request(method, path, Some(body)))
    }

    pub(crate) fn posts(self, server: &Server, path: &str, body: &Value) -> Answer {
        self.asks(server, "POST", path, body)
    }

    pub(crate) fn gets(self, server: &Server, path: &str) -> Answer {
        server.ask(&self.request("GET", path, None))
    }

    /// Changes something for these users, which succeeds for all of them.
    #[track_caller]
    pub(crate) fn does(self, server: &Server, path: &str, body: &Value) {
        let answer = self.posts(server, path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["failed"], json!([]), "{answer:?}");
    }
}

/// The status of this user's login.
pub(crate) fn login(server: &Server, user: &str) -> u16 {
    server.ask(&post("/v1/leancloud/login", user, "{}")).status
}

/// The status of this user's way into a conversation.
pub(crate) fn join(server: &Server, user: &str, conversation: &str) -> u16 {
    server.ask(&post("/v1/leancloud/join", user, &json!({ "conv_id": conversation }).to_string())).status
}

/// A moment that has not come yet, but will have soon.
pub(crate) fn soon() -> String {
    Millis(clock() + 1500).to_string()
}

/// What the time is.
pub(crate) fn now() -> String {
    Millis(clock()).to_string()
}

fn clock() -> u64 {
    #[allow(clippy::disallowed_methods)]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}
