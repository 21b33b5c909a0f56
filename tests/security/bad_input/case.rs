//! A case: bytes that should not have been sent, and what is to be said of them.

#![allow(unreachable_pub)]

use serde_json::json;

use crate::abuse::detector::Detector;
use crate::abuse::traced::{Format, Traced};
use crate::abuse::{self, request, token};
use crate::common::{Answer, Connection};

pub const SECRET: &[u8] = b"NotReal-Narwhal3Cobalt7Sextant9Fjord-Narwhal3Cobalt7Sextant9Fjord";
pub const KEY: &str = "NotReal-Ocelot6Juniper2Bassoon8Kelp";
pub const ISSUER: &str = "https://id.example.com/";

const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"
body_limit = "128KiB"
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
master_key = { file = "leancloud.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }
legacy_signatures = true

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
capability = { "user:{client}" = ["subscribe"] }
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

const POLICY: &str = r#"
roles = ["member", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "join", "leave", "history", "kick", "block-clients", "block-conversation", "subscribe"]

[[rules]]
id = "small-groups"
effect = "allow"
actions = ["create", "invite"]
max_members = 400
reason = "A conversation has at most 400 members."

[[rules]]
id = "trusted-backends"
effect = "allow"
actions = ["*"]
callers = ["service"]
client = "any"
"#;

/// A server for these cases.
pub fn server() -> Traced {
    let files = [("caller.secret", std::str::from_utf8(SECRET).unwrap())];
    let configuration = CONFIGURATION.replace("{hash}", &abuse::hash(KEY));
    Traced::start(abuse::lay_out(&configuration, POLICY, &[&files[..], &abuse::SECRETS].concat()), Format::Text)
}

/// A good token of tom's.
pub fn tom() -> String {
    token::hs256(SECRET, &token::claims(ISSUER, "chat", "tom", &json!({})))
}

/// Input that is bad in one way.
pub struct Case {
    name: String,
    request: Vec<u8>,
    status: u16,
    body: Body,
    /// A word of the reason.
    says: String,
    closes: bool,
}

enum Body {
    /// A problem with this code.
    Problem(&'static str),
    /// Ably's shape.
    Ably,
    /// None: what came was not HTTP.
    None,
}

/// Answered with a problem of this code that says this.
pub fn problem(name: &str, request: Vec<u8>, status: u16, code: &'static str, says: &str) -> Case {
    Case { name: name.to_owned(), request, status, body: Body::Problem(code), says: says.to_owned(), closes: false }
}

/// Answered with a problem that is about this field and says this.
pub fn field(name: &str, request: Vec<u8>, field: &str, says: &str) -> Case {
    let case = problem(name, request, 400, "invalid_field", "");
    Case { says: format!("{field} {says}"), ..case }
}

/// Not understood, and answered with a problem that says this.
pub fn malformed(name: &str, request: Vec<u8>, says: &str) -> Case {
    problem(name, request, 400, "malformed", says)
}

/// From an unknown caller, who is told this.
pub fn unauthenticated(name: &str, request: Vec<u8>, says: &str) -> Case {
    problem(name, request, 401, "unauthenticated", says)
}

/// Answered in Ably's shape, such that its SDKs stop, with a message that says this.
pub fn ably(name: &str, request: Vec<u8>, says: &str) -> Case {
    Case { body: Body::Ably, ..problem(name, request, 403, "", says) }
}

/// From an unknown caller, who is told this in Ably's shape.
pub fn ably_unauthenticated(name: &str, request: Vec<u8>, says: &str) -> Case {
    Case { status: 401, ..ably(name, request, says) }
}

/// Not HTTP: answered with a bare status, and the connection closed.
pub fn not_http(name: &str, request: impl Into<Vec<u8>>, status: u16) -> Case {
    Case { body: Body::None, closes: true, ..problem(name, request.into(), status, "", "") }
}

impl Case {
    /// The connection is closed after the answer.
    pub fn closes(self) -> Case {
        Case { closes: true, ..self }
    }

    fn check(&self, server: &Traced, detector: &mut Detector) {
        let name = &self.name;
        let mut connection = server.connect();
        let answer = request::ask(&mut connection, &self.request);
        assert_eq!(answer.status, self.status, "{name}: {answer:?}");
        self.check_body(&answer);
        if self.closes {
            assert_eq!(connection.rest(), "", "{name}: one answer, and no more");
        } else {
            assert!(is_served(&mut connection, detector), "{name}: the connection goes on");
        }
        assert!(is_served(&mut server.connect(), detector), "{name}: the next connection is served");
        request::tokens(&self.request).for_each(|token| detector.forbid_token("the caller's token", token));
        detector.assert_clean(name, &answer.body);
    }

    fn check_body(&self, answer: &Answer) {
        let (name, says) = (&self.name, self.says.as_str());
        match self.body {
            Body::None => assert_eq!(answer.body, "", "{name}"),
            Body::Ably => {
                let (error, status) = (&answer.json()["error"], self.status);
                assert_eq!((&error["code"], &error["statusCode"]), (&json!(u32::from(status) * 100), &json!(status)));
                assert!(error["message"].as_str().unwrap().contains(says), "{name}: {error}");
            }
            Body::Problem(code) => {
                assert_eq!(answer.code(), code, "{name}: {answer:?}");
                let problem = answer.json();
                assert!(problem["detail"].as_str().unwrap().contains(says), "{name}: {problem}");
                if code == "invalid_field" {
                    assert_eq!(problem["field"].as_str(), says.split(' ').next(), "{name}");
                }
                let id = answer.header("x-request-id").unwrap();
                assert_eq!(problem["request_id"], id, "{name}");
            }
        }
    }
}

/// Checks each case, and that nothing went wrong or was given away behind the answers.
pub fn check(cases: &[Case]) {
    let server = server();
    let mut detector = Detector::default();
    for (name, secret) in [("LeanCloud's key", abuse::LEANCLOUD), ("TalkJS's key", abuse::TALKJS)] {
        detector.forbid(name, secret);
    }
    detector.forbid("Ably's key", abuse::ABLY);
    detector.forbid("the callers' secret", std::str::from_utf8(SECRET).unwrap());
    detector.forbid("the API key", KEY);
    for case in cases {
        case.check(&server, &mut detector);
    }
    assert_eq!(server.admin("/readyz", "").status, 200);
    let (log, _) = server.finish(&detector);
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

fn is_served(connection: &mut Connection, detector: &mut Detector) -> bool {
    let answer = request::ask(connection, &request::post("/v1/leancloud/login", &tom(), "{}"));
    let signature = answer.json()["signature"].as_str().unwrap_or_default().to_owned();
    detector.forbid_text("a signature", &signature);
    answer.status == 200 && signature.len() == 40
}
