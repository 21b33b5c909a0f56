//! The server at its most talkative, with everything kept that it says.

use std::fs;
use std::path::PathBuf;

use super::detector::Detector;
use crate::common::{Answer, Connection, Server, Setup};

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    Text,
    Json,
}

/// A running server. Its configuration has `audit.log` for the audit log.
pub struct Traced(pub Server);

impl Traced {
    /// Starts it with the configuration in this directory, which it removes in the end.
    pub fn start(directory: PathBuf, format: Format) -> Traced {
        let arguments: &[&str] = match format {
            Format::Text => &["--log-level", "trace", "--log-format", "text"],
            Format::Json => &["--log-level", "trace", "--log-format", "json"],
        };
        Traced(Server::run(directory, Setup { arguments, ..Setup::default() }))
    }

    pub fn connect(&self) -> Connection {
        self.0.connect()
    }

    /// A `GET` to the admin listener.
    pub fn admin(&self, path: &str, headers: &str) -> Answer {
        Connection::to(self.0.admin).ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"))
    }

    /// Has it end in good order, asserts that neither of its logs holds anything forbidden, and hands both over: its own, and the audit
    /// log.
    pub fn finish(mut self, detector: &Detector) -> (String, String) {
        self.0.signal("-TERM");
        let ended = self.0.wait();
        let audit = fs::read_to_string(self.0.directory.join("audit.log")).unwrap();
        let log = self.0.log();
        assert!(ended.success(), "it ends in good order: {log}");
        detector.assert_clean("the log", &log);
        detector.assert_clean("the audit log", &audit);
        (log, audit)
    }
}
