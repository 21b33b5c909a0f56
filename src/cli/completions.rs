//! `completions` and `man`: files for shells and for `man`, made from the definition of the command line.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use super::common::{self, CommandError};

/// `completions`' own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

/// `man`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// The directory for the pages. It must exist.
    directory: PathBuf,
}

/// Prints the script that completes commands and options in a shell.
pub(super) fn run_completions(arguments: &CompletionsArguments) -> Result<ExitCode, CommandError> {
    let (mut command, mut script) = (Arguments::command(), Vec::new());
    clap_complete::generate(arguments.shell, &mut command, NAME, &mut script);
    common::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes one page for the program and one for each command.
pub(super) fn run_man(arguments: &ManArguments) -> Result<ExitCode, CommandError> {
    let mut command = Arguments::command().name(NAME);
    command.build();
    write_pages(&command, arguments).map_err(|error| {
        CommandError::Failed(format!("cannot write the pages into {}: {error}", arguments.directory.display()))
    })?;
    Ok(ExitCode::SUCCESS)
}

const NAME: &str = "chat-signer";

fn write_pages(command: &Command, arguments: &ManArguments) -> io::Result<()> {
    clap_mangen::Man::new(command.clone()).generate_to(&arguments.directory)?;
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    commands.into_iter().try_for_each(|command| write_pages(command, arguments))
}
