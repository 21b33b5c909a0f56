//! What an operator does to the store by hand, in the audit log: in the file that the server's log goes to, too. A server's standard
//! output nobody else can write to, so what would go there goes to standard error.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::{Stop, complain};
use crate::config::AuditTo;
use crate::observe::{Asker, Destination};

/// The audit log, for one command.
pub(super) struct Trail {
    /// The file, and what it is called; nothing where the log goes to standard error.
    file: Option<(PathBuf, Destination)>,
    operator: String,
}

impl Trail {
    /// Opens it, before anything is done that it must tell of.
    pub(super) fn open(to: &AuditTo) -> Result<Trail, Stop> {
        let file = match to {
            AuditTo::Stdout => None,
            AuditTo::File(path) => Some((path.clone(), Destination::at(path).map_err(|error| shut(path, &error))?)),
        };
        Ok(Trail { file, operator: operator() })
    }

    /// Who does it.
    pub(super) fn caller(&self) -> Asker<'_> {
        Asker { kind: "operator", subject: &self.operator }
    }

    /// Writes lines. Those that can't be written go to standard error, so that they are not lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return io::stderr().write_all(lines) };
        file.write(lines).inspect_err(|_| complain(&String::from_utf8_lossy(lines)))
    }
}

fn shut(path: &std::path::Path, error: &io::Error) -> Stop {
    Stop::No(format!(
        "audit.to: {} can't be opened, and nothing is done that can't be recorded: {error} (say it as the user that runs the server)",
        path.display()
    ))
}

/// The name of who runs this, as the system's file of users has it, or else the number.
fn operator() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}
