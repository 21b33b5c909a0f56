//! `audit`: shows and verifies files of the audit log.

mod follow;
mod line;
mod show;
mod source;
mod summary;
mod verify;

use std::process::ExitCode;

use super::common::{CommandError, CommonArguments};
use super::examples;
pub(super) use line::{LoggedCaller, LoggedLine};
pub(super) use source::LineSource;

/// The commands for the audit log.
#[derive(Debug, clap::Subcommand)]
pub(super) enum AuditCommand {
    /// Show the lines of the audit log that match, as a table for people or unchanged for programs.
    #[command(after_help = examples::AUDIT_SHOW)]
    Show(show::Arguments),
    /// Check that no line of the audit log is missing, changed, duplicated or out of order. Requires `[audit] chain =
    /// true`.
    #[command(after_help = examples::AUDIT_VERIFY)]
    Verify(verify::Arguments),
}

pub(super) fn run(common: &CommonArguments, command: &AuditCommand) -> Result<ExitCode, CommandError> {
    match command {
        AuditCommand::Show(arguments) => show::run(common, arguments),
        AuditCommand::Verify(arguments) => verify::run(common, arguments),
    }
}
