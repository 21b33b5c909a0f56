//! A real Redis of a test's own: `redis-server`, on a Unix socket or a port, in a directory of its own.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use chat_signer::environment;
use redis::{Client, FromRedisValue};

/// What is written to the disk before anything is answered.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A Redis that ends when this is dropped.
pub struct Redis {
    pub directory: PathBuf,
    /// Where it listens besides its socket, if it does.
    pub port: Option<u16>,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// One that is durable, on a socket. `None`: there is no `redis-server`.
    pub fn start() -> Option<Redis> {
        Redis::with(&DURABLE)
    }

    /// One with these arguments, on a socket.
    pub fn with(arguments: &[&str]) -> Option<Redis> {
        is_installed().then(|| Redis::run(directory(), None, arguments))
    }

    /// One with these arguments, on a port, too. `{port}` stands for it, and `{directory}` for where it lives.
    pub fn on_port(arguments: &[&str]) -> Option<Redis> {
        is_installed().then(|| Redis::run(directory(), Some(free_port()), arguments))
    }

    /// A Sentinel with this configuration, which it changes.
    pub fn sentinel(configuration: &Path) -> Option<Redis> {
        Redis::on_port(&[configuration.to_str()?, "--sentinel"])
    }

    fn run(directory: PathBuf, port: Option<u16>, arguments: &[&str]) -> Redis {
        let shown = directory.display().to_string();
        let port_shown = port.unwrap_or(0).to_string();
        let own =
            arguments.iter().map(|argument| argument.replace("{port}", &port_shown).replace("{directory}", &shown));
        let mut all: Vec<_> = own.collect();
        if !all.iter().any(|argument| argument == "--port") {
            all.extend(["--port".to_owned(), port_shown]);
        }
        let child = spawn(&directory, &all);
        let redis = Redis { directory, port, arguments: all, child };
        redis.wait();
        redis
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap()))
    }

    /// Asks it something, as an operator would.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.client().get_connection().and_then(|mut connection| command(words).query(&mut connection)).unwrap()
    }

    fn client(&self) -> Client {
        Client::open(format!("unix://{}", self.socket().display())).unwrap()
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with what its disk has.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.socket());
        self.child = spawn(&self.directory, &self.arguments);
        self.wait();
    }

    /// Has it stand still, as a machine does that is out of memory or whose disk hangs.
    pub fn stall(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until it answers.
    fn wait(&self) {
        let begin = Instant::now();
        while self.ping().is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "redis-server doesn't answer: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn ping(&self) -> io::Result<()> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 3];
        stream.read_exact(&mut answer)?;
        // Even that one must show a password first is an answer.
        if &answer == b"+PO" || &answer == b"-NO" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A command of these words.
pub fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn spawn(directory: &Path, arguments: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    // A configuration's path must come first.
    let (path, rest) = arguments.split_at(usize::from(arguments.first().is_some_and(|first| !first.starts_with("--"))));
    Command::new("redis-server")
        .args(path)
        .args(["--unixsocket", directory.join("redis.sock").to_str().unwrap(), "--dir", directory.to_str().unwrap()])
        .args(["--save", "", "--bind", "127.0.0.1", "--daemonize", "no"])
        .args(rest)
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        let skipped = "SKIPPED: the tests with Redis, as there is no redis-server";
        assert!(environment::get("CI").is_none_or(|ci| ci != "true"), "{skipped}, and with CI=true nothing is");
        // Past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(io::stderr(), "{skipped}");
    }
    found
}

/// In memory where there is such a thing: a socket's path must be short, and nothing here is about the disk.
fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let name = format!("chat-signer-redis-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = parent.join(name);
    // A process of the same id, which was killed, may have left what its Redis held.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}
