//! The audit log of an operator's commands.
//!
//! The lines go to the same file as the audit log of the server. If the server writes its audit log to its standard
//! output, a command cannot write there, so its lines go to standard error.

use std::fs;
use std::io;

use super::common::{CommandError, print_error, redact_json};
use crate::config::{AuditChain, AuditOutput, Settings};
use crate::telemetry::{AuditEvent, LineOutput, LineWriter, new_chain};

/// The caller kind in the audit log for a person who runs a command. The other kinds are users and services.
pub(super) const OPERATOR: &str = "operator";

/// The audit log of one command: a file or standard error. If hash chains are configured, each command starts its own
/// chain.
pub(super) struct AuditTrail {
    lines: LineWriter,
    is_stderr: bool,
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

    /// Writes the line of an event.
    pub(super) fn write_event(&mut self, event: AuditEvent<'_>) -> io::Result<()> {
        self.write(&event.line()?)
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
