//! What an operator does by hand, in the audit log: in the file that the server's log goes to, too. A server's standard
//! output nobody else can write to, so what would go there goes to standard error.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::Serialize;

use super::{CommandError, complain, redact_json};
use crate::config::{AuditChain, AuditOutput, Settings};
use crate::telemetry::{self, AuditCaller, LineOutput, LineWriter, new_chain};

/// What the audit log calls whoever runs a command here, beside users and services.
pub(super) const OPERATOR: &str = "operator";

/// The audit log, for one command: a file, or standard error. If there is a hash chain, the command has one of its own.
pub(super) struct AuditTrail {
    lines: LineWriter,
    is_stderr: bool,
}

/// That a store was accepted, or why it isn't known to be.
#[derive(Serialize)]
pub(super) struct AcceptedStore<'a> {
    pub(super) time: String,
    pub(super) event: &'static str,
    pub(super) caller: AuditCaller<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<&'a str>,
    /// The number of the last change that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<u64>,
    /// How many entries each table has.
    pub(super) entries: &'a BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// That a file was taken over, or why not to its end.
#[derive(Serialize)]
pub(super) struct ImportedFile<'a> {
    pub(super) time: String,
    pub(super) event: &'static str,
    pub(super) caller: AuditCaller<'a>,
    pub(super) file: &'a str,
    pub(super) sha256: &'a str,
    pub(super) replace: bool,
    pub(super) quiet: bool,
    #[serde(flatten)]
    pub(super) count: Option<ImportCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// How many entries were set, went, and were there already; and how many had ended, and were left out.
#[derive(Clone, Copy, Serialize)]
pub(super) struct ImportCounts {
    pub(super) set: usize,
    pub(super) gone: usize,
    pub(super) same: usize,
    pub(super) ended: usize,
}

impl AuditTrail {
    /// Opens it, before anything is done that it must tell of.
    pub(super) fn open(settings: &Settings) -> Result<AuditTrail, CommandError> {
        let (destination, is_stderr) = match &settings.audit {
            AuditOutput::Stdout => (LineOutput::stderr().map_err(|error| shut("standard error", &error))?, true),
            AuditOutput::File(path) => {
                (LineOutput::at(path).map_err(|error| shut(&path.display().to_string(), &error))?, false)
            }
        };
        let chain = settings.audit_chain.as_ref().map(|AuditChain { keys }| new_chain(keys.first())).transpose();
        let chain = chain.map_err(|error| CommandError::No(format!("audit.chain: {error}")))?;
        Ok(AuditTrail { lines: LineWriter::new(destination, chain), is_stderr })
    }

    /// Writes lines. Those that can't be written go to standard error, so that they are not lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let lines = String::from_utf8_lossy(lines);
        let lines = redact_json(&lines);
        self.lines.write(lines.as_bytes()).inspect_err(|_| {
            if !self.is_stderr {
                complain(&lines);
            }
        })
    }

    /// Writes a line.
    pub(super) fn tell(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.write(&telemetry::line(line)?)
    }
}

fn shut(to: &str, error: &io::Error) -> CommandError {
    CommandError::No(format!(
        "audit.to: {to} can't be opened, and nothing is done that can't be recorded: {error} (run the command as the user that runs the server)"
    ))
}

/// Who runs this: the user's name, as the system's file of users has it, or else the number.
pub(super) fn operator() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}
