//! The command line: one file a subcommand. Results go to standard output, the rest to standard error. Exit codes: 0 yes, 1 no (a
//! mistake, a denial, a mismatch), 2 wrong usage.

mod probe;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Signs for hosted chats: LeanCloud, TalkJS and Ably.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
struct Common {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "signer.toml")]
    config: PathBuf,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Arguments),
    /// Ask a running server whether it is ready.
    Probe(probe::Arguments),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
    match command {
        Command::Serve(arguments) => serve::run(&common, &arguments),
        Command::Probe(arguments) => probe::run(&common, &arguments),
    }
}
