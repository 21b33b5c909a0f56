//! The command line: one file for each subcommand.
//!
//! Results go to standard output, all other messages to standard error. Exit codes: 0 for success, 1 for a negative
//! result (a mistake, a denial, a mismatch, a failed case), 2 for wrong usage.

mod audit;
mod audit_trail;
mod check;
mod common;
mod completions;
mod examples;
mod explain;
mod facts;
mod hash_key;
mod init;
mod moderate;
mod probe;
mod request_args;
mod serve;
mod sign;
mod store;
mod test;
mod tls;
mod token;
mod verify;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use common::{CommandError, CommonArguments};

/// Signs requests of authenticated callers to hosted chat services, under a policy file.
#[derive(Debug, Parser)]
#[command(version = version(), propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
    #[command(subcommand)]
    command: Command,
}

impl Arguments {
    /// Parses the arguments of the process. Help and usage errors have color as `--color` says, so the parser gets its
    /// value before it parses.
    fn parse_with_color() -> Arguments {
        let words: Vec<OsString> = env::args_os().collect();
        let value = |pair: &[OsString]| match pair {
            [flag, value] if flag == "--color" => value.to_str()?.parse().ok(),
            [flag, ..] => flag.to_str()?.strip_prefix("--color=")?.parse().ok(),
            [] => None,
        };
        let last = words.last().cloned().unwrap_or_default();
        let choice = words.windows(2).find_map(value).or_else(|| value(&[last])).unwrap_or_default();
        let command = Arguments::command().color(choice).mut_subcommand("explain", explain::make_positional_optional);
        let matches = command.get_matches_from(words.iter());
        Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

const AFTER_HELP: &str = "\
Results go to standard output, all other messages to standard error.
Exit status: 0 for success; 1 for a negative result (a mistake, a denial, a mismatch, a
failed case); 2 for wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration file and a policy file to start from.
    #[command(after_help = examples::INIT)]
    Init(init::Arguments),
    /// Run the server.
    #[command(after_help = examples::SERVE)]
    Serve(serve::Arguments),
    /// Check the configuration and the policy, and report every mistake with its place in the file.
    #[command(after_help = examples::CHECK)]
    Check,
    /// Sign as an operator, without a server and without a check of the policy.
    #[command(after_help = examples::SIGN)]
    Sign(sign::Arguments),
    /// Check a signature or token that another program made. If it does not match, report the likely mistake.
    #[command(after_help = examples::VERIFY)]
    Verify(verify::Arguments),
    /// Show the decision of the policy about a request, and the result of each rule.
    #[command(after_help = examples::EXPLAIN)]
    Explain(Box<explain::Arguments>),
    /// Test the policy with the cases in a file.
    Test(test::Arguments),
    /// Create a caller's token for the demonstration.
    #[command(after_help = examples::TOKEN)]
    Token(token::Arguments),
    /// Create an API key and its hash.
    #[command(after_help = examples::HASH_KEY)]
    HashKey(hash_key::Arguments),
    /// Check whether a running server is ready.
    #[command(after_help = examples::PROBE)]
    Probe(probe::Arguments),
    /// Show and verify the audit log.
    #[command(subcommand, after_help = examples::AUDIT)]
    Audit(audit::AuditCommand),
    /// Accept, export or import the moderation store.
    #[command(subcommand, after_help = examples::STORE)]
    Store(store::StoreCommand),
    #[command(flatten)]
    Moderate(moderate::ModerateCommand),
    /// Print the script that completes commands and options in your shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::CompletionsArguments),
    /// Write the manual pages into a directory.
    #[command(after_help = examples::MAN)]
    Man(completions::ManArguments),
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    // The scripts that build packages set the commit.
    let commit = option_env!("CHAT_SIGNER_COMMIT").map(|commit| format!("commit {commit}, "));
    let features: Vec<_> = FEATURES.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    format!("{} ({}features: {features})", env!("CARGO_PKG_VERSION"), commit.unwrap_or_default())
});

/// The optional features, and whether this program has them.
const FEATURES: [(&str, bool); 3] = [
    ("jemalloc", cfg!(feature = "jemalloc")),
    ("otlp", cfg!(feature = "otlp")),
    ("playground", cfg!(feature = "playground")),
];

/// Returns the version, the commit that a package was built from, and the optional features.
fn version() -> &'static str {
    VERSION.as_str()
}

/// Runs the command in the arguments of the process.
pub fn run() -> ExitCode {
    let Arguments { common, command } = Arguments::parse_with_color();
    common.apply_color();
    let done = match command {
        Command::Init(arguments) => init::run(&common, &arguments),
        Command::Serve(arguments) => Ok(serve::run(&common, &arguments)),
        Command::Check => check::run(&common),
        Command::Sign(arguments) => sign::run(&common, &arguments),
        Command::Verify(arguments) => verify::run(&common, &arguments),
        Command::Explain(arguments) => explain::run(&common, &arguments),
        Command::Test(arguments) => test::run(&common, &arguments),
        Command::Token(arguments) => token::run(&common, &arguments),
        Command::HashKey(arguments) => hash_key::run(&common, &arguments),
        Command::Probe(arguments) => probe::run(&common, &arguments),
        Command::Audit(command) => audit::run(&common, &command),
        Command::Store(command) => store::run(&common, &command),
        Command::Moderate(command) => moderate::run(&common, &command),
        Command::Completions(arguments) => completions::run_completions(&arguments),
        Command::Man(arguments) => completions::run_man(&arguments),
    };
    done.unwrap_or_else(CommandError::report)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Splits a line into words like a shell, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let words = line.split(' ').take_while(|word| *word != ">");
        words.map(|word| word.trim_matches('\'').to_owned()).collect()
    }

    fn commands(command: &clap::Command) -> Vec<&clap::Command> {
        command.get_subcommands().flat_map(|command| std::iter::once(command).chain(commands(command))).collect()
    }

    #[test]
    fn the_help_of_each_command_has_examples_that_parse() {
        let program = Arguments::command();
        for command in program.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}", command.get_name()));
            for line in examples.lines() {
                let words = words(line.trim());
                assert_eq!(words[1], command.get_name(), "{line}");
                Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        assert!(commands(&Arguments::command()).len() > 25);
    }
}
