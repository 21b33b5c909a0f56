//! The real program, started in a directory of its own on ports that the system chooses, and a client that speaks raw HTTP/1.1.

#![allow(unreachable_pub)]

use std::any::Any;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

/// Longer than anything here takes on the slowest machine; only a test that fails waits so long.
pub const LONG: Duration = Duration::from_secs(30);

pub const CALLER_SECRET: &str = "obviously-fake-caller-secret-for-tests-0123456789abcdef0123456789abcdef";
pub const SERVICE_KEY: &str = "obviously-fake-service-key-for-tests";

const CONFIGURATION: &str = r#"
[server]
listen = "{listen}"
{server}

[admin]
listen = "127.0.0.1:0"
{admin}

[policy]
file = "policy.toml"

[shutdown]
drain_delay = "0s"
grace = "20s"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = { file = "leancloud.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
capability = { "user:{client}" = ["subscribe"] }

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "{service_hash}" }]

{more}
"#;

const POLICY: &str = r#"
roles = ["member", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave", "subscribe"]

[[rules]]
id = "owners"
effect = "allow"
actions = ["kick"]
roles = ["owner"]
reason = "Only owners remove members."

[[bans]]
user = "mallory"
reason = "spam"
"#;

/// What becomes of a server's log.
pub enum Log {
    Read,
    Unread,
    Closed,
}

/// How to start a server.
pub struct Setup {
    /// Where callers are served; a Unix socket's path is relative to the server's directory.
    pub listen: String,
    /// Further lines for `[server]`.
    pub server: String,
    /// Further lines for `[admin]`.
    pub admin: String,
    /// Further sections.
    pub more: String,
    /// Further files in the server's directory: their names, and what they hold.
    pub files: Vec<(&'static str, String)>,
    /// Where the audit log goes.
    pub audit: Stdio,
    /// What becomes of the log once the server listens.
    pub log: Log,
    /// Further arguments of `serve`.
    pub arguments: &'static [&'static str],
}

impl Default for Setup {
    fn default() -> Setup {
        let (listen, audit) = ("127.0.0.1:0".to_owned(), Stdio::null());
        let [server, admin, more] = [const { String::new() }; 3];
        Setup { listen, server, admin, more, files: Vec::new(), audit, log: Log::Read, arguments: &[] }
    }
}

impl Setup {
    pub fn server(lines: &str) -> Setup {
        Setup { server: lines.to_owned(), ..Setup::default() }
    }

    pub fn more(sections: &str) -> Setup {
        Setup { more: sections.to_owned(), ..Setup::default() }
    }

    /// On a Unix socket.
    pub fn unix(server: &str, sections: &str) -> Setup {
        Setup { listen: "unix:s.sock".to_owned(), more: sections.to_owned(), ..Setup::server(server) }
    }

    pub fn audit(to: impl Into<Stdio>) -> Setup {
        Setup { audit: to.into(), ..Setup::default() }
    }
}

/// A running server. Dropping it ends it.
pub struct Server {
    child: Child,
    pub main: SocketAddr,
    pub admin: SocketAddr,
    pub directory: PathBuf,
    log: Option<(Arc<Mutex<String>>, JoinHandle<()>)>,
    _unread: Option<Box<dyn Any + Send + Sync>>,
}

impl Server {
    pub fn start() -> Server {
        Server::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Server {
        let configuration = CONFIGURATION
            .replace("{listen}", &setup.listen)
            .replace("{server}", &setup.server)
            .replace("{admin}", &setup.admin)
            .replace("{service_hash}", &hash(SERVICE_KEY))
            .replace("{more}", &setup.more);
        let mut files = vec![
            ("leancloud.secret", "fake-leancloud-master-key"),
            ("talkjs.secret", "fake-talkjs-secret-key-0123456789abcdef"),
            ("ably.secret", "fakeapp.fakekey:fake-ably-secret-0123456789abcdef"),
            ("caller.secret", CALLER_SECRET),
        ];
        files.extend(setup.files.iter().map(|(name, text)| (*name, text.as_str())));
        Server::run(lay_out(&configuration, POLICY, &files), setup)
    }

    /// With the configuration that this directory holds; it is removed in the end.
    pub fn run(directory: PathBuf, setup: Setup) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
            .args(["serve", "--config"])
            .arg(directory.join("signer.toml"))
            .args(setup.arguments)
            .stdout(setup.audit)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut log = String::new();
        let (main, admin) = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it did not start: {log}"));
            writeln!(log, "{line}").unwrap();
            if let Some(addresses) = listening(&line) {
                break addresses;
            }
        };
        let (log, unread): (_, Option<Box<dyn Any + Send + Sync>>) = match setup.log {
            Log::Read => (Some(collected(log, lines)), None),
            Log::Unread => (None, Some(Box::new(lines))),
            Log::Closed => (None, None),
        };
        Server { child, main, admin, directory, log, _unread: unread }
    }

    pub fn connect(&self) -> Connection {
        if self.main.port() == 0 { Connection::unix(&self.socket()) } else { Connection::to(self.main) }
    }

    /// The Unix socket, where it has one.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// One request to the main listener on a connection of its own.
    pub fn ask(&self, request: &str) -> Answer {
        self.connect().ask(request)
    }

    /// A request that waits for its body, `{}`: the server says so.
    pub fn in_progress(&self) -> Connection {
        let (connection, answer) = self.begin();
        assert_eq!(answer.status, 100);
        connection
    }

    /// A request whose body, `{}`, has not been sent, and what the server says to that.
    pub fn begin(&self) -> (Connection, Answer) {
        let mut connection = self.connect();
        let wait = "content-length: 2\r\nexpect: 100-continue\r\n\r\n";
        connection.send(&post("/v1/leancloud/login", "tom", "").replace("\r\n\r\n", &format!("\r\n{wait}")));
        let answer = connection.head();
        (connection, answer)
    }

    /// A `GET` to the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Connection::to(self.admin).ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").status == 200
    }

    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until it has been killed, and leaves what it had: another may be run there.
    pub fn killed(mut self) -> PathBuf {
        self.wait();
        std::mem::take(&mut self.directory)
    }

    /// Lets it write no file beyond this many bytes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Fsize, limit).unwrap();
    }

    /// Lets it have this many files and connections open.
    pub fn limit_open_files(&self, count: u64) {
        let limit = Rlimit { current: Some(count), maximum: Some(count) };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Nofile, limit).unwrap();
    }

    /// How much memory it has, in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LONG, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it and says all that it logged.
    pub fn log(mut self) -> String {
        let _ = self.child.kill();
        let (log, reader) = self.log.take().unwrap();
        reader.join().unwrap();
        log.lock().unwrap().clone()
    }

    /// Has it go on with another configuration.
    pub fn change(&self, from: &str, to: &str) {
        let (path, draft) = (self.directory.join("signer.toml"), self.directory.join("signer.new"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        let times = || self.said().matches("is in force").count();
        let before = times();
        fs::write(&draft, text.replace(from, to)).unwrap();
        fs::rename(draft, path).unwrap();
        until("it is taken over", || times() > before);
    }

    /// What it has logged so far.
    pub fn said(&self) -> String {
        self.log.as_ref().unwrap().0.lock().unwrap().clone()
    }
}

/// The log so far, to which a thread adds what still comes.
fn collected(
    log: String,
    lines: impl Iterator<Item = String> + Send + 'static,
) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(log));
    let shared = Arc::clone(&log);
    let reader = thread::spawn(move || lines.for_each(|line| writeln!(shared.lock().unwrap(), "{line}").unwrap()));
    (log, reader)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Waits until this is so, and tells how long that took.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "not so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// A fresh directory.
pub fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("chat-signer-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    // A process of the same id, which was killed, may have left a store there.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Puts a configuration, its policy and the files that it names into a directory of their own.
pub fn lay_out(configuration: &str, policy: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = directory();
    for (name, text) in [("signer.toml", configuration), ("policy.toml", policy)].iter().chain(files) {
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

/// A copy of the shipped demonstration, on ports that the system chooses and with these pieces of it changed.
pub fn demonstration(changes: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let ports = [("127.0.0.1:7480", "127.0.0.1:0"), ("127.0.0.1:7481", "127.0.0.1:0")];
    let configuration = ports.iter().chain(changes).fold(read("signer.toml"), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    let directory = lay_out(&configuration, &read("policy.toml"), &[]);
    fs::create_dir_all(directory.join("deploy/demo")).unwrap();
    for secret in ["leancloud", "talkjs", "ably", "caller"].map(|name| format!("deploy/demo/{name}.secret")) {
        fs::copy(root.join(&secret), directory.join(&secret)).unwrap();
    }
    directory
}

/// The SHA-256 of an API key, as the configuration has it.
pub fn hash(key: &str) -> String {
    chat_signer::crypto::hex(&chat_signer::crypto::sha256(key.as_bytes()))
}

fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (main, admin) = line.split_once("listening on ")?.1.split_once(" (admin ")?;
    let address = |url: &str| url.split_once("://").map(|(_, address)| address.to_owned());
    // A Unix socket has no address.
    let main = address(main).unwrap_or("127.0.0.1:0".to_owned());
    Some((main.parse().ok()?, address(admin.split_once(')')?.0)?.parse().ok()?))
}

/// A token for this user.
pub fn token(user: &str) -> String {
    token_by(user, CALLER_SECRET)
}

/// A token for this user, signed with this secret.
pub fn token_by(user: &str, secret: &str) -> String {
    #[allow(clippy::disallowed_methods)]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": "https://id.example.com/", "aud": "chat", "sub": user, "iat": now, "exp": now + 300});
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A `POST` of JSON by this user.
pub fn post(path: &str, user: &str, body: &str) -> String {
    let token = token(user);
    request("POST", path, &format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n"), body)
}

/// A `GET` by this user.
pub fn get(path: &str, user: &str) -> String {
    request("GET", path, &format!("authorization: Bearer {}\r\n", token(user)), "")
}

/// Any request; `headers` are whole lines.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}")
}

/// A connection, with what has been read ahead.
pub struct Connection<S = TcpStream>(BufReader<S>);

impl Connection {
    pub fn to(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection::on(stream)
    }

    pub fn unix(path: &Path) -> Connection {
        // One type for both: they read and write alike.
        let stream = TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap()));
        stream.set_read_timeout(Some(LONG)).unwrap();
        Connection::on(stream)
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

impl<S: Read + Write> Connection<S> {
    pub fn on(stream: S) -> Connection<S> {
        Connection(BufReader::new(stream))
    }

    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.read()
    }

    pub fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub fn read(&mut self) -> Answer {
        let head = self.head();
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { body: String::from_utf8(body).unwrap(), ..head }
    }

    /// An answer without a body, whatever its length says.
    pub fn head(&mut self) -> Answer {
        let status = self.line().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Answer { status, headers, body: String::new() }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the answer broke off: {line:?}");
        line.trim_end().to_owned()
    }

    /// What still comes until the server closes.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            _ => String::from_utf8(rest).unwrap(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A problem's code.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}
