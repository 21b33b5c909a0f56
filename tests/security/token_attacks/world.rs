//! A server with an authenticator of each type, the servers that it and the attackers have, and what answers are held to.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread;

use chat_signer::crypto::base64url_decode;
use serde_json::{Value, json};

use crate::abuse::detector::Detector;
use crate::abuse::traced::{Format, Traced};
use crate::abuse::{self, request};
use crate::common::Connection;
use crate::token_attacks::issuer::{Issuer, SECRET};

/// All but the callers.
pub(crate) const APP: &str = r#"
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

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }
"#;

const CALLERS: &str = r#"
[[authenticators]]
name = "shared"
type = "jwt"
caller = "user"
issuer = "{Shared}"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }

[[authenticators]]
name = "pem"
type = "jwt"
caller = "user"
issuer = "{Pem}"
audience = ["chat"]
algorithms = ["RS256"]
public_key = "issuer.pem"
subject_prefix = "pem."

[[authenticators]]
name = "set"
type = "jwt"
caller = "user"
issuer = "{Rsa}"
audience = ["chat"]
algorithms = ["RS256", "ES256", "ES384", "EdDSA"]
jwks = { file = "jwks.json" }
subject_prefix = "set."
roles = "roles"
bindings = "bindings"
max_role = "member"

[[authenticators]]
name = "fetched"
type = "jwt"
caller = "user"
issuer = "{Fetched}"
audience = ["chat"]
algorithms = ["RS256"]
jwks = { url = "{url}" }
subject_prefix = "fetched."
"#;

pub(crate) const POLICY: &str = r#"
roles = ["member"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login"]
"#;

/// The server under attack, and what must not be found in what it says.
pub(crate) struct World {
    server: Traced,
    detector: Detector,
}

/// Where attackers would like to be asked for keys.
static TRAP: LazyLock<TcpListener> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
});

/// An address of the attacker's.
pub(crate) fn trap(path: &str) -> String {
    format!("http://{}/{path}", TRAP.local_addr().unwrap())
}

impl World {
    pub(crate) fn start() -> World {
        let url = serve_set(&json!({"keys": [Issuer::Fetched.key().named("fetched")]}));
        let mut configuration = format!("{APP}{CALLERS}").replace("{url}", &url);
        for issuer in [Issuer::Shared, Issuer::Pem, Issuer::Rsa, Issuer::Fetched] {
            configuration = configuration.replace(&format!("{{{issuer:?}}}"), issuer.name());
        }
        let set = [Issuer::Rsa, Issuer::Ec, Issuer::Ec384, Issuer::Ed].map(|issuer| issuer.key().named(&issuer.kid()));
        let set = json!({ "keys": set }).to_string();
        let (secret, pem) = (std::str::from_utf8(SECRET).unwrap(), Issuer::Pem.key().pem());
        let files = [("caller.secret", secret), ("issuer.pem", &pem), ("jwks.json", &set)];
        let directory = abuse::lay_out(&configuration, POLICY, &[&files[..], &abuse::SECRETS].concat());
        let mut detector = Detector::default();
        detector.forbid("TalkJS's key", abuse::TALKJS);
        detector.forbid("the callers' secret", secret);
        World { server: Traced::start(directory, Format::Text), detector }
    }

    pub(crate) fn connect(&self) -> Connection {
        self.server.connect()
    }

    /// Whom a request makes one, if anyone.
    pub(crate) fn served(&mut self, connection: &mut Connection, request: &[u8]) -> Option<String> {
        let answer = request::ask(connection, request);
        let token = answer.json()["token"].as_str()?.to_owned();
        self.detector.forbid_text("a vendor's signature", token.rsplit('.').next()?);
        let claims = base64url_decode(token.split('.').nth(1)?)?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        claims["sub"].as_str().map(str::to_owned)
    }

    /// Asserts that a request makes one nobody, and that the answer says why.
    pub(crate) fn refused(&mut self, connection: &mut Connection, request: &[u8], says: &str, name: &str) {
        let answer = request::ask(connection, request);
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{name}: {answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{name}: {detail}");
        request::tokens(request).for_each(|token| self.detector.forbid_token("the caller's token", token));
        self.detector.assert_clean(name, &answer.body);
    }

    /// Asserts that nothing went wrong or was given away behind the answers, and that nobody was asked whom a token named.
    pub(crate) fn finish(self) {
        assert_eq!(self.server.admin("/readyz", "").status, 200);
        let (log, _) = self.server.finish(&self.detector);
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        let nobody = TRAP.accept().unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::WouldBlock, "an address in a token was asked");
    }
}

/// Serves a key set from now on, and tells where.
pub(crate) fn serve_set(set: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let body = set.to_string();
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let lines = stream.by_ref().lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    url
}
