//! The command line: one file for each subcommand.
//!
//! Results go to standard output, all other messages to standard error. Exit codes: 0 for success, 1 for a negative
//! result (a mistake, a denial, a mismatch, a failed case), 2 for wrong usage.

mod audit;
mod audit_trail;
mod caller;
mod check;
mod client;
mod explain;
mod facts;
mod hash_key;
mod init;
mod moderate;
mod moderation_check;
mod probe;
mod request_args;
mod serve;
mod sign;
mod store;
mod test;
mod token;
mod verify;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Settings};
use crate::model::needs_escape;
use crate::redaction::KnownSecrets;

/// Signs requests to hosted chat services: LeanCloud, TalkJS and Ably.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Results go to standard output, all other messages to standard error.
Exit status: 0 for success; 1 for a negative result (a mistake, a denial, a mismatch, a
failed case); 2 for wrong usage.";

/// The heading of the options of every subcommand in the help.
const GLOBAL_HEADING: &str = "Global options";

/// The options of every subcommand.
#[derive(Debug, clap::Args)]
struct CommonArguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "signer.toml", help_heading = GLOBAL_HEADING)]
    config: PathBuf,
    /// The format of the results: text for people, or JSON for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Text, help_heading = GLOBAL_HEADING)]
    output: OutputFormat,
}

/// The format of the results: text for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration file and a policy file to start from.
    Init(init::Arguments),
    /// Run the server.
    Serve(serve::Arguments),
    /// Check the configuration and the policy, and report every mistake with its place in the file.
    Check,
    /// Sign as an operator, without a server and without a check of the policy.
    Sign(sign::Arguments),
    /// Check a signature or token that another program made. If it does not match, report the likely mistake.
    Verify(verify::Arguments),
    /// Show the decision of the policy about a request, and the result of each rule.
    Explain(explain::Arguments),
    /// Test the policy with the cases in a file.
    Test(test::Arguments),
    /// Create a caller's token for the demonstration.
    Token(token::Arguments),
    /// Create an API key and its hash.
    HashKey(hash_key::Arguments),
    /// Check whether a running server is ready.
    Probe(probe::Arguments),
    /// Verify the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Accept, export or import the moderation store.
    #[command(subcommand)]
    Store(store::StoreCommand),
    #[command(flatten)]
    Moderate(moderate::ModerateCommand),
}

/// Runs the command in the arguments of the process.
pub fn run() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
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
    };
    done.unwrap_or_else(CommandError::report)
}

/// The reason why a command ends without a result.
#[derive(Debug)]
enum CommandError {
    /// The configuration or another file has mistakes. The text is the report. Exit code 1.
    Invalid(String),
    /// The result is negative, or the command failed. Exit code 1.
    Failed(String),
    /// The arguments are wrong. Exit code 2.
    Usage(String),
}

impl CommandError {
    fn message(&self) -> &str {
        match self {
            CommandError::Invalid(message) | CommandError::Failed(message) | CommandError::Usage(message) => message,
        }
    }

    fn report(self) -> ExitCode {
        match self {
            CommandError::Invalid(report) => print_error(&report),
            CommandError::Failed(message) => print_error(&format!("error: {}", escape_line(&message))),
            CommandError::Usage(message) => {
                print_error(&format!("error: {}", escape_line(&message)));
                return ExitCode::from(2);
            }
        }
        ExitCode::FAILURE
    }
}

impl CommonArguments {
    /// Loads the settings. Warnings are not printed: `check` and `serve` print them.
    ///
    /// # Errors
    /// Returns the report if the configuration has mistakes.
    fn settings(&self) -> Result<Settings, CommandError> {
        let loaded = config::load(&self.config);
        if let Some(settings) = &loaded.settings {
            _ = KNOWN_SECRETS.set(Arc::clone(&settings.known_secrets));
        }
        loaded.settings.ok_or_else(|| CommandError::Invalid(loaded.report.render(io::stderr().is_terminal())))
    }

    /// Prints a result in the requested format. Secrets of the configuration are redacted.
    fn print(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Result<(), CommandError> {
        self.print_unredacted(|| redact(&text()).into_owned(), || redact_json(&json()).into_owned())
    }

    /// Prints a result without redaction, because a changed result would be useless: a signature, a token, or the
    /// entries of the store.
    fn print_unredacted(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        match self.output {
            OutputFormat::Text => print(&escape_lines(&text())),
            OutputFormat::Json => print(&json()),
        }
    }
}

/// Writes a result to standard output, and a newline if it ends with none.
///
/// # Errors
/// Returns an error if the result cannot be written. A closed pipe is no error: a reader such as `head` may stop early.
fn print(result: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", result.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Escapes text from outside for output in one line. It escapes characters that end the line, move the cursor, change
/// the direction of the text, or are invisible.
fn escape_line(text: &str) -> String {
    let escaped = |c: char| if needs_escape(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// Escapes text from outside like [`line`], but keeps its line breaks.
fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_line).collect::<Vec<_>>().join("\n")
}

/// Writes a message that is not a result to standard error. Secrets of the configuration are redacted. A failure to
/// write is ignored, because the exit code still reports the outcome.
fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "{}", redact(message.trim_end_matches('\n')));
}

/// The secrets of the configuration. Empty until a command has read the configuration.
static KNOWN_SECRETS: OnceLock<Arc<KnownSecrets>> = OnceLock::new();

/// Replaces the secrets of the configuration in a text.
fn redact(text: &str) -> Cow<'_, str> {
    KNOWN_SECRETS.get().map_or(Cow::Borrowed(text), |known| known.redact(text))
}

/// Replaces the secrets of the configuration in JSON.
fn redact_json(json: &str) -> Cow<'_, str> {
    KNOWN_SECRETS.get().map_or(Cow::Borrowed(json), |known| known.redact_json(json))
}

/// Runs asynchronous work to its end on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| CommandError::Failed(error.to_string()))?.block_on(work))
}

fn exit_code(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
