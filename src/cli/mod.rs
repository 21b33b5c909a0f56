//! The command line: one file a subcommand. Results go to standard output, the rest to standard error. Exit codes: 0 yes, 1 no (a
//! mistake, a denial, a mismatch, a failed case), 2 wrong usage.

mod audit;
mod audit_trail;
mod caller;
mod check;
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

/// Signs for hosted chats: LeanCloud, TalkJS and Ably.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = AFTER_HELP)]
struct Arguments {
    #[command(flatten)]
    common: CommonArguments,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Results go to standard output, the rest to standard error.
Exit status: 0 yes; 1 no (a mistake, a denial, a mismatch, a failed case); 2 wrong usage.";

/// Under which heading the help has what every subcommand takes.
const EVERYWHERE: &str = "Everywhere";

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
struct CommonArguments {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "signer.toml", help_heading = EVERYWHERE)]
    config: PathBuf,
    /// How results are printed: for people, or for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Text, help_heading = EVERYWHERE)]
    output: OutputFormat,
}

/// How results are printed: for people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration and a policy to start from.
    Init(init::Arguments),
    /// Run the server.
    Serve(serve::Arguments),
    /// Check configuration and policy, and report every mistake at its place.
    Check,
    /// Sign as an operator, without a server and without asking the policy.
    Sign(sign::Arguments),
    /// Check a signature or token from elsewhere, and say what would make it match.
    Verify(verify::Arguments),
    /// Show what the policy decides, and what each rule has to say.
    Explain(explain::Arguments),
    /// Hold the policy to a file of cases.
    Test(test::Arguments),
    /// Make a caller's token for the demonstration.
    Token(token::Arguments),
    /// Make an API key and its hash.
    HashKey(hash_key::Arguments),
    /// Ask a running server whether it is ready.
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

/// Runs the command that the process was started with.
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

/// Why a command ends without a result.
#[derive(Debug)]
enum CommandError {
    /// The configuration, or another file, has mistakes; this is the report. Exit code 1.
    Mistakes(String),
    /// The answer is no: exit code 1.
    No(String),
    /// It was not asked in the right way: exit code 2.
    Usage(String),
}

impl CommandError {
    fn message(&self) -> &str {
        match self {
            CommandError::Mistakes(message) | CommandError::No(message) | CommandError::Usage(message) => message,
        }
    }

    fn report(self) -> ExitCode {
        match self {
            CommandError::Mistakes(report) => complain(&report),
            CommandError::No(message) => complain(&format!("error: {}", line(&message))),
            CommandError::Usage(message) => {
                complain(&format!("error: {}", line(&message)));
                return ExitCode::from(2);
            }
        }
        ExitCode::FAILURE
    }
}

impl CommonArguments {
    /// The settings; of a configuration with mistakes, their report. Warnings are for `check` and `serve`.
    fn settings(&self) -> Result<Settings, CommandError> {
        let loaded = config::load(&self.config);
        if let Some(settings) = &loaded.settings {
            _ = KNOWN.set(Arc::clone(&settings.known_secrets));
        }
        loaded.settings.ok_or_else(|| CommandError::Mistakes(loaded.report.render(io::stderr().is_terminal())))
    }

    /// Prints a result in the form that was asked for, without any secret of the configuration.
    fn print(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Result<(), CommandError> {
        self.print_exact(|| redact(&text()).into_owned(), || redact_json(&json()).into_owned())
    }

    /// Prints a result that is of use only as it is: a signature or token, or the store's entries.
    fn print_exact(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Result<(), CommandError> {
        match self.output {
            OutputFormat::Text => print(&lines(&text())),
            OutputFormat::Json => print(&json()),
        }
    }
}

/// Writes a result, and a newline if it has none. One that can't be written is none; but a reader that has read enough, such as `head`,
/// leaves the result what it is.
fn print(result: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", result.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::No(format!("the result can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line of someone else's words: what would end it, move the cursor, turn the direction of writing or not be seen is escaped.
fn line(text: &str) -> String {
    let escaped = |c: char| if needs_escape(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// Several such lines.
fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Writes what is no result, without any secret of the configuration. If even that can't be written, the exit code has to do.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "{}", redact(message.trim_end_matches('\n')));
}

/// The secrets of the configuration, once a command has read it.
static KNOWN: OnceLock<Arc<KnownSecrets>> = OnceLock::new();

/// The text without any secret of the configuration.
fn redact(text: &str) -> Cow<'_, str> {
    KNOWN.get().map_or(Cow::Borrowed(text), |known| known.redact(text))
}

/// The JSON without any secret of the configuration.
fn redact_json(json: &str) -> Cow<'_, str> {
    KNOWN.get().map_or(Cow::Borrowed(json), |known| known.redact_json(json))
}

/// Waits for what would rather not be waited for: few commands do more than one thing at a time.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| CommandError::No(error.to_string()))?.block_on(work))
}

fn yes(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
