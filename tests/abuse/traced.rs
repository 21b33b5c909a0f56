//! The server at its most talkative, with everything kept that it says.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::detector::Detector;
use crate::common::{Answer, Connection};

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    Text,
    Json,
}

/// A running server. Its configuration has `audit.log` for the audit log.
pub struct Traced {
    child: Child,
    pub main: SocketAddr,
    admin: SocketAddr,
    directory: PathBuf,
    log: Option<JoinHandle<String>>,
}

impl Traced {
    /// Starts it with the configuration in this directory, which it removes in the end.
    pub fn start(directory: PathBuf, format: Format) -> Traced {
        let format = match format {
            Format::Text => "text",
            Format::Json => "json",
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
            .args(["serve", "--log-level", "trace", "--log-format", format, "--config"])
            .arg(directory.join("signer.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut log = String::new();
        let (main, admin) = loop {
            log += &(lines.next().unwrap_or_else(|| panic!("it did not start: {log}")) + "\n");
            if let Some(addresses) = listening(&log) {
                break addresses;
            }
        };
        let log = Some(thread::spawn(move || lines.fold(log, |log, line| log + &line + "\n")));
        Traced { child, main, admin, directory, log }
    }

    pub fn connect(&self) -> Connection {
        Connection::to(self.main)
    }

    /// A `GET` to the admin listener.
    pub fn admin(&self, path: &str, headers: &str) -> Answer {
        Connection::to(self.admin).ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"))
    }

    /// Has it end in good order, asserts that neither of its logs holds anything forbidden, and hands both over: its own, and the audit
    /// log.
    pub fn finish(mut self, detector: &Detector) -> (String, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let log = self.log.take().unwrap().join().unwrap();
        assert!(self.child.wait().unwrap().success(), "it ends in good order: {log}");
        let audit = fs::read_to_string(self.directory.join("audit.log")).unwrap();
        detector.assert_clean("the log", &log);
        detector.assert_clean("the audit log", &audit);
        (log, audit)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (main, admin) = log.split_once("listening on http://")?.1.split_once(" (admin http://")?;
    let admin = admin.split_once(')')?.0;
    Some((main.parse().ok()?, admin.parse().ok()?))
}
