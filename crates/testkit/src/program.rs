//! The real program in a process of its own. Its listeners use ports that the system chooses.

use std::any::Any;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::configuration::{CALLER_SECRET, CONFIGURATION, POLICY, SERVICE_KEY, hash, lay_out};
use crate::http_client::{Answer, Connection, post};
use crate::{LONG, until};

/// The reader of a server's log, once the server listens.
pub enum Log {
    /// A thread reads and keeps the log.
    Read,
    /// The pipe is open, but its content is not read.
    Unread,
    /// The pipe is closed.
    Closed,
}

/// The settings of a server that a test starts.
pub struct Setup {
    /// The address for callers. The path of a Unix socket is relative to the server's directory.
    pub listen: String,
    /// More lines for `[server]`.
    pub server: String,
    /// More lines for `[admin]`.
    pub admin: String,
    /// More sections.
    pub more: String,
    /// More files in the server's directory: name and content.
    pub files: Vec<(&'static str, String)>,
    /// The standard output, which receives the audit log.
    pub audit: Stdio,
    /// The reader of the log.
    pub log: Log,
    /// More arguments of `serve`.
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
    /// Adds lines to `[server]`.
    pub fn server(lines: &str) -> Setup {
        Setup { server: lines.to_owned(), ..Setup::default() }
    }

    /// Adds sections.
    pub fn more(sections: &str) -> Setup {
        Setup { more: sections.to_owned(), ..Setup::default() }
    }

    /// Listens on a Unix socket.
    pub fn unix(server: &str, sections: &str) -> Setup {
        Setup { listen: "unix:s.sock".to_owned(), more: sections.to_owned(), ..Setup::server(server) }
    }

    /// Sends the audit log to `to`.
    pub fn audit(to: impl Into<Stdio>) -> Setup {
        Setup { audit: to.into(), ..Setup::default() }
    }
}

/// A running server. It ends when the value is dropped.
pub struct Server {
    child: Child,
    /// The address for callers.
    pub main: SocketAddr,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    /// The directory of the configuration.
    pub directory: PathBuf,
    log: Option<(Arc<Mutex<String>>, JoinHandle<()>)>,
    _unread: Option<Box<dyn Any + Send + Sync>>,
}

impl Server {
    /// Starts a server with the default settings.
    pub fn start() -> Server {
        Server::with(Setup::default())
    }

    /// Starts a server with these settings.
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

    /// Starts a server with the configuration in this directory, and removes the directory in the end.
    pub fn run(directory: PathBuf, setup: Setup) -> Server {
        let mut child = Command::new(program())
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
            let line = lines.next().unwrap_or_else(|| panic!("the server did not start: {log}"));
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

    /// Opens a connection to the main listener.
    pub fn connect(&self) -> Connection {
        if self.main.port() == 0 { Connection::unix(&self.socket()) } else { Connection::to(self.main) }
    }

    /// Returns the path of the Unix socket, if the server listens on one.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("s.sock")
    }

    /// Sends a request to the main listener on a new connection.
    pub fn ask(&self, request: &str) -> Answer {
        self.connect().ask(request)
    }

    /// Begins a request with the body `{}`, which the server waits for.
    pub fn in_progress(&self) -> Connection {
        let (connection, answer) = self.begin();
        assert_eq!(answer.status, 100);
        connection
    }

    /// Begins a request with the body `{}`, but does not send the body. Returns the server's first answer.
    pub fn begin(&self) -> (Connection, Answer) {
        let mut connection = self.connect();
        let wait = "content-length: 2\r\nexpect: 100-continue\r\n\r\n";
        connection.send(&post("/v1/leancloud/login", "tom", "").replace("\r\n\r\n", &format!("\r\n{wait}")));
        let answer = connection.head();
        (connection, answer)
    }

    /// Sends a `GET` to the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Connection::to(self.admin).ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    /// Returns whether the server is ready.
    pub fn is_ready(&self) -> bool {
        self.admin("/readyz").status == 200
    }

    /// Sends a signal, such as `-TERM`, to the server.
    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until the server has ended, and keeps its directory, so that another server can use it.
    pub fn killed(mut self) -> PathBuf {
        self.wait();
        std::mem::take(&mut self.directory)
    }

    /// Limits the size of each file that the server writes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Fsize, limit).unwrap();
    }

    /// Limits the number of open files and connections of the server.
    pub fn limit_open_files(&self, count: u64) {
        let limit = Rlimit { current: Some(count), maximum: Some(count) };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Nofile, limit).unwrap();
    }

    /// Returns the resident memory of the server in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits until the server ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < LONG, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the server and returns its complete log.
    pub fn log(mut self) -> String {
        let _ = self.child.kill();
        let (log, reader) = self.log.take().unwrap();
        reader.join().unwrap();
        log.lock().unwrap().clone()
    }

    /// Replaces a text in the configuration, and waits until the new configuration is in force.
    pub fn change(&self, from: &str, to: &str) {
        let (path, draft) = (self.directory.join("signer.toml"), self.directory.join("signer.new"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        let times = || self.said().matches("is in force").count();
        let before = times();
        fs::write(&draft, text.replace(from, to)).unwrap();
        fs::rename(draft, path).unwrap();
        until("the new configuration is in force", || times() > before);
    }

    /// Returns the log up to now.
    pub fn said(&self) -> String {
        self.log.as_ref().unwrap().0.lock().unwrap().clone()
    }
}

/// Returns the log. A thread adds the lines that follow.
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

fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (main, admin) = line.split_once("listening on ")?.1.split_once(" (admin ")?;
    let address = |url: &str| url.split_once("://").map(|(_, address)| address.to_owned());
    // A Unix socket has no IP address.
    let main = address(main).unwrap_or("127.0.0.1:0".to_owned());
    Some((main.parse().ok()?, address(admin.split_once(')')?.0)?.parse().ok()?))
}

/// Returns the path of the program. Cargo puts the tests of a package into a folder beside its programs.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("chat-signer")
}
