//! A real Redis for one test: `redis-server` on a Unix socket or a port, with a new directory.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use redis::{Client, FromRedisValue, RedisResult};

/// The arguments that make Redis write to the disk before it answers.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A running Redis. It ends when the value is dropped.
pub struct Redis {
    /// The directory of the socket and the data.
    pub directory: PathBuf,
    /// The TCP port, if Redis listens on one.
    pub port: Option<u16>,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// Starts a durable Redis on a socket. Returns `None` if `redis-server` is not installed.
    pub fn start() -> Option<Redis> {
        Redis::with(&DURABLE)
    }

    /// Starts a Redis with these arguments on a socket.
    pub fn with(arguments: &[&str]) -> Option<Redis> {
        is_installed().then(|| Redis::run(directory(), None, arguments))
    }

    /// Starts a Redis with these arguments on a socket and a port. `{port}` in an argument stands for the port, and `{directory}` for
    /// the directory.
    pub fn on_port(arguments: &[&str]) -> Option<Redis> {
        is_installed().then(|| Redis::run(directory(), Some(free_port()), arguments))
    }

    /// Starts a Sentinel with this configuration file. Sentinel changes the file.
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

    /// Returns the path of the Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("redis.sock")
    }

    /// Returns the TCP address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap()))
    }

    /// Runs a command, as an operator would.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap()
    }

    /// Runs a command that may fail. Sentinel cuts connections to a server that it makes a replica.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        self.client().get_connection().and_then(|mut connection| command(words).query(&mut connection))
    }

    fn client(&self) -> Client {
        Client::open(format!("unix://{}", self.socket().display())).unwrap()
    }

    /// Kills Redis, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts Redis again with the data on the disk.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.socket());
        self.child = spawn(&self.directory, &self.arguments);
        self.wait();
    }

    /// Stops the process, like a machine without memory or with a disk that hangs.
    pub fn stall(&self) {
        self.signal("STOP");
    }

    /// Lets the stopped process continue.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until Redis answers.
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
        // `-NOAUTH`, the demand for a password, is an answer too.
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

/// Returns the command of these words.
pub fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

/// Returns a port that is not in use.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn spawn(directory: &Path, arguments: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    // The path of a configuration must be the first argument.
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
        let skipped = "SKIPPED: the tests with Redis, because redis-server is not installed";
        #[allow(clippy::disallowed_methods)] // The rule is for the server.
        let ci = std::env::var_os("CI");
        assert!(ci.is_none_or(|ci| ci != "true"), "{skipped}; with CI=true no test is skipped");
        // This bypasses the test harness, which hides the output of passing tests.
        let _ = writeln!(io::stderr(), "{skipped}");
    }
    found
}

/// Makes a directory in memory if possible. The path of a socket must be short, and these tests do not need a disk.
fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let name = format!("chat-signer-redis-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = parent.join(name);
    // An earlier process with the same id may have left data there.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}
