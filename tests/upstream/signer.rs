//! The program itself, in this process, and the credentials that it is shown.

use std::fs;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use chat_signer::config;
use chat_signer::crypto::{base64, base64url};
use chat_signer::server::listener::{Application, LocalAddress};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::subscriber::DefaultGuard;

/// Longer than anything here takes on the slowest machine; only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(60);

const BASE: &str = r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[policy]
file = "policy.toml"

[audit]
to = "audit.log"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = { file = "key.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "key.secret" }
"#;

const POLICY: &str = r#"
roles = ["member", "moderator", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create"]

[[rules]]
id = "moderators"
effect = "allow"
actions = ["kick"]
roles = ["moderator", "owner"]

[[rules]]
id = "services"
effect = "allow"
actions = ["join"]
callers = ["service"]
client = "any"
"#;

/// The program, listening, with a stopped clock.
pub(crate) struct Signer {
    pub(crate) directory: PathBuf,
    main: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<u8>>>,
    _app: Application,
    _logging: DefaultGuard,
    // While this sender lives, a blocking task waits for it, and while one does, tokio doesn't turn a stopped clock by itself.
    _frozen: mpsc::Sender<()>,
}

/// An answer of the program.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A fresh directory.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("chat-signer-remote-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

impl Signer {
    /// Starts with these authenticators.
    pub(crate) async fn start(authenticators: &str) -> Signer {
        Signer::start_in(directory(), authenticators).await
    }

    pub(crate) async fn start_in(directory: PathBuf, authenticators: &str) -> Signer {
        Signer::start_with(directory, authenticators, POLICY).await
    }

    /// Starts with these further sections and this policy.
    pub(crate) async fn start_with(directory: PathBuf, sections: &str, policy: &str) -> Signer {
        fs::write(directory.join("signer.toml"), format!("{BASE}\n{sections}")).unwrap();
        fs::write(directory.join("policy.toml"), policy).unwrap();
        fs::write(directory.join("key.secret"), "obviously-fake-key").unwrap();
        let loaded = config::load(&directory.join("signer.toml"));
        let settings = loaded.settings.unwrap_or_else(|| panic!("{}", loaded.report.render(false)));
        let (log, logging) = capture();
        let frozen = freeze();
        let app = Box::pin(Application::start(settings)).await.unwrap();
        let (LocalAddress::Tcp(main), LocalAddress::Tcp(admin)) = app.addresses() else { panic!("it listens on TCP") };
        let (main, admin) = (*main, *admin);
        Signer { directory, main, admin, log, _app: app, _logging: logging, _frozen: frozen }
    }

    /// Lets this much time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }

    /// What was logged since the last time.
    pub(crate) fn log(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.log.lock().unwrap())).unwrap()
    }

    /// What is written in the audit log.
    pub(crate) fn audit(&self) -> String {
        fs::read_to_string(self.directory.join("audit.log")).unwrap()
    }

    /// A login at the TalkJS app with these header lines.
    pub(crate) async fn login(&self, headers: &str) -> Answer {
        self.post("/v1/talkjs/token", headers, "{}").await
    }

    /// Who these header lines make one at the TalkJS app, or the status of the refusal.
    pub(crate) async fn subject(&self, headers: &str) -> Result<String, u16> {
        let answer = self.login(headers).await;
        if answer.status != 200 {
            return Err(answer.status);
        }
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let claims = chat_signer::crypto::base64url_decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        Ok(claims["sub"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
        );
        exchange(self.main, &format!("{head}{headers}content-length: {length}\r\n\r\n{body}")).await
    }

    /// Any request, whose connection is closed after it.
    pub(crate) async fn exchange(&self, request: &str) -> Answer {
        exchange(self.main, request).await
    }

    /// The probe with its reasons.
    pub(crate) async fn ready(&self) -> Answer {
        let request = "GET /readyz?verbose HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        exchange(self.admin, request).await
    }

    /// The value of a metric's series, without what all their names begin with.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let metrics = exchange(self.admin, request).await.body;
        let value =
            |line: &str| line.strip_prefix("chat_signer_")?.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        metrics.lines().find_map(value)
    }

    /// Sends many of the same request over one connection, and returns the statuses of the answers.
    pub(crate) async fn many(&self, requests: Vec<String>) -> Vec<String> {
        let stream = TcpStream::connect(self.main).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let count = requests.len();
        let sending = tokio::spawn(async move {
            for request in requests {
                write.write_all(request.as_bytes()).await.unwrap();
            }
            write
        });
        let mut text = Vec::new();
        let statuses = |text: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(text);
            text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..].chars().take(3).collect()).collect()
        };
        while statuses(&text).len() < count {
            assert_ne!(read.read_buf(&mut text).await.unwrap(), 0, "the connection was closed");
        }
        drop(sending.await.unwrap());
        statuses(&text)
    }
}

/// Tries until it is so. Only what is under way in this process is waited for.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LONG, "{what}: not so after {LONG:?}");
        tokio::task::yield_now().await;
    }
}

/// All results of these, which run side by side.
pub(crate) async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut results = Vec::new();
    poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            Poll::Ready(result) => {
                results.push(result);
                false
            }
            Poll::Pending => true,
        });
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results
}

/// Runs a case by itself, as each stops its own clock.
pub(crate) fn alone(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(case);
}

async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn freeze() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || receiver.recv());
    if !is_frozen() {
        tokio::time::pause();
    }
    sender
}

/// Whether the clock of this runtime is stopped, because another program was started in it.
fn is_frozen() -> bool {
    let (before, began) = (tokio::time::Instant::now(), std::time::Instant::now());
    while std::time::Instant::now() == began {}
    tokio::time::Instant::now() == before
}

fn capture() -> (Arc<Mutex<Vec<u8>>>, DefaultGuard) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Writer(Arc::clone(&writer))).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A key of an issuer.
pub(crate) struct Key {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    pub(crate) fn new(id: &'static str) -> Key {
        Key { id, pair: Ed25519KeyPair::generate().unwrap() }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = base64url(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }

    /// The header line with a token for this subject.
    pub(crate) fn bearer(&self, issuer: &str, subject: &str) -> String {
        self.bearer_as(self.id, issuer, subject)
    }

    /// The same, by another name of the key.
    pub(crate) fn bearer_as(&self, id: &str, issuer: &str, subject: &str) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let claims = json!({"iss": issuer, "aud": "chat", "sub": subject, "exp": 4_000_000_000_u64});
        let key = EncodingKey::from_ed_der(self.pair.to_pkcs8().unwrap().as_ref());
        format!("authorization: Bearer {}\r\n", jsonwebtoken::encode(&header, &claims, &key).unwrap())
    }
}

impl Key {
    /// A token with this header beside `alg`, and these claims beside the usual ones. A claim with the value `"(none)"` is left out.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let sign = |message: &[u8]| self.pair.sign(message).as_ref().to_vec();
        compact(&with(json!({"alg": "EdDSA"}), header), claims, sign)
    }

    /// The public key in PEM.
    pub(crate) fn pem(&self) -> String {
        let der = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], self.pair.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(&der))
    }

    /// The bytes of the public key.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}

/// A token that is signed with a shared secret.
pub(crate) fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    compact(&with(json!({"alg": "HS256"}), header), claims, |message| hmac::sign(&key, message).as_ref().to_vec())
}

/// The header line with this token.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn compact(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let usual = json!({"iss": "https://id.example.com/", "aud": "chat", "sub": "tom", "exp": 4_000_000_000_u64});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(&with(usual, claims)));
    format!("{message}.{}", base64url(&sign(message.as_bytes())))
}

fn with(mut base: Value, changes: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| value != "(none)");
    base
}

/// A key set.
pub(crate) fn set(keys: &[&Key]) -> Value {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
}
