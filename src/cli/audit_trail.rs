//! The audit log of an operator's commands.
//!
//! The lines go to the same file as the audit log of the server. If the server writes its audit log to its standard
//! output, a command cannot write there, so its lines go to standard error.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::Serialize;

use super::common::{CommandError, print_error, redact_json};
use crate::config::{AuditChain, AuditOutput, Settings};
use crate::telemetry::{self, AuditCaller, LineOutput, LineWriter, new_chain};

/// The caller kind in the audit log for a person who runs a command. The other kinds are users and services.
pub(super) const OPERATOR: &str = "operator";

/// The audit log of one command: a file or standard error. If hash chains are configured, each command starts its own
/// chain.
pub(super) struct AuditTrail {
    lines: LineWriter,
    is_stderr: bool,
}

/// The audit line for an accepted store. It has a reason if the acceptance failed or its outcome is unknown.
#[derive(Serialize)]
pub(super) struct AcceptedStore<'a> {
    pub(super) time: String,
    pub(super) event: &'static str,
    pub(super) caller: AuditCaller<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<&'a str>,
    /// The number of the last change in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<u64>,
    /// The number of entries in each table.
    pub(super) entries: &'a BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The audit line for an imported file. It has a reason if the import was not completed.
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

/// The numbers of entries that an import set, removed and found unchanged, and of expired entries that it skipped.
#[derive(Clone, Copy, Serialize)]
pub(super) struct ImportCounts {
    pub(super) set: usize,
    pub(super) gone: usize,
    pub(super) same: usize,
    pub(super) ended: usize,
}

impl AuditTrail {
    /// Opens the audit log. Call it before any action that the log must record.
    ///
    /// # Errors
    /// Returns an error if the log cannot be opened, or if there are no random bytes for the id of the chain.
    pub(super) fn open(settings: &Settings) -> Result<AuditTrail, CommandError> {
        let (destination, is_stderr) = match &settings.audit {
            AuditOutput::Stdout => (LineOutput::stderr().map_err(|error| open_error("standard error", &error))?, true),
            AuditOutput::File(path) => {
                (LineOutput::open(path).map_err(|error| open_error(&path.display().to_string(), &error))?, false)
            }
        };
        let chain = settings.audit_chain.as_ref().map(|AuditChain { keys }| new_chain(keys.first())).transpose();
        let chain = chain.map_err(|error| CommandError::Failed(format!("audit.chain: {error}")))?;
        Ok(AuditTrail { lines: LineWriter::new(destination, chain), is_stderr })
    }

    /// Writes lines. If that fails, the lines go to standard error, so they are not lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let lines = String::from_utf8_lossy(lines);
        let lines = redact_json(&lines);
        self.lines.write(lines.as_bytes()).inspect_err(|_| {
            if !self.is_stderr {
                print_error(&lines);
            }
        })
    }

    /// Writes one line.
    pub(super) fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.write(&telemetry::line(line)?)
    }
}

fn open_error(to: &str, error: &io::Error) -> CommandError {
    CommandError::Failed(format!(
        "audit.to: cannot open {to}: {error}. Nothing was done, because it could not be recorded. Run the command as the \
         user that runs the server"
    ))
}

/// Returns the user who runs the command: the name in `/etc/passwd`, or `uid:` and the number if there is no name.
pub(super) fn operator_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}
