//! What all commands share: their options, their errors and their output.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anstream::AutoStream;
use anstream::stream::RawStream;
use clap::builder::styling::{AnsiColor, Style};
use clap::{ColorChoice, ValueEnum};

use crate::config::{self, Report, Settings};
use crate::model::{Millis, TimeError, needs_escape};
use crate::redaction::KnownSecrets;

/// The heading of the options of every subcommand in the help.
const GLOBAL_HEADING: &str = "Global options";

/// The options of every subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct CommonArguments {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "signer.toml", env = "CHAT_SIGNER_CONFIG",
        hide_env_values = true, help_heading = GLOBAL_HEADING)]
    pub(super) config: PathBuf,
    /// The format of the results: text for people, or JSON for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Text, help_heading = GLOBAL_HEADING)]
    pub(super) output: OutputFormat,
    /// Whether messages for people have color. `auto`: on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto, help_heading = GLOBAL_HEADING)]
    pub(super) color: ColorChoice,
}

impl CommonArguments {
    /// Applies `--color` to all output of the process.
    pub(super) fn apply_color(&self) {
        let choice = match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Returns whether this stream takes color: by `--color`, the environment, and whether the stream is a terminal.
pub(super) fn has_color(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// The format of the results: text for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Text,
    Json,
}

/// The reason why a command ends without a result.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The configuration or another file has mistakes. The text is the report. Exit code 1.
    Invalid(String),
    /// The result is negative, or the command failed. Exit code 1.
    Failed(String),
    /// The arguments are wrong. Exit code 2.
    Usage(String),
}

impl CommandError {
    pub(super) fn message(&self) -> &str {
        match self {
            CommandError::Invalid(message) | CommandError::Failed(message) | CommandError::Usage(message) => message,
        }
    }

    pub(super) fn report(self) -> ExitCode {
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
    pub(super) fn settings(&self) -> Result<Settings, CommandError> {
        let loaded = config::load(&self.config);
        if let Some(settings) = &loaded.settings {
            _ = KNOWN_SECRETS.set(Arc::clone(&settings.known_secrets));
        }
        loaded.settings.ok_or_else(|| CommandError::Invalid(render_report(&loaded.report)))
    }

    /// Prints a result in the requested format. Secrets of the configuration are redacted. Lines with a mark have color.
    pub(super) fn print(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        match self.output {
            OutputFormat::Text => print(&paint(&escape_lines(&redact(&text())))),
            OutputFormat::Json => print(&redact_json(&json())),
        }
    }

    /// Prints a result without redaction, because a changed result would be useless: a signature, a token, or the
    /// entries of the store.
    pub(super) fn print_unredacted(
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

/// Formats the report on a configuration for standard error.
pub(super) fn render_report(report: &Report) -> String {
    report.render(has_color(&io::stderr()))
}

/// Colors the lines of a result by their marks, if standard output takes color.
fn paint(text: &str) -> Cow<'_, str> {
    if !has_color(&io::stdout()) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| match line_style(line) {
        Some(style) => format!("{style}{line}{style:#}"),
        None => line.to_owned(),
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// Returns the style of a line: green for what is allowed or done, red for what is denied or failed, and dimmed for what
/// has no effect.
fn line_style(line: &str) -> Option<Style> {
    let line = line.trim_start();
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    if begins(&["✓", "allowed: ", "yes: "]) {
        Some(AnsiColor::Green.on_default())
    } else if begins(&["✗", "denied: ", "denied by ", "no: "]) {
        Some(AnsiColor::Red.on_default())
    } else if begins(&["· "]) {
        Some(Style::new().dimmed())
    } else {
        None
    }
}

/// Writes a result to standard output, and a newline if it ends with none.
///
/// # Errors
/// Returns an error if the result cannot be written. A closed pipe is no error: a reader such as `head` may stop early.
pub(super) fn print(result: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", result.trim_end_matches('\n')).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes the rest of a file to standard output. A reader that wants no more is no error.
pub(super) fn print_file(file: &mut File) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = io::copy(file, &mut out).and_then(|_| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

/// Escapes text from outside for output in one line. It escapes characters that end the line, move the cursor, change
/// the direction of the text, or are invisible.
pub(super) fn escape_line(text: &str) -> String {
    let escaped = |c: char| if needs_escape(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// Escapes text from outside like [`escape_line`], but keeps its line breaks.
pub(super) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_line).collect::<Vec<_>>().join("\n")
}

/// Writes a message that is not a result to standard error. Secrets of the configuration are redacted. A failure to
/// write is ignored, because the exit code still reports the outcome.
pub(super) fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "{}", redact(message.trim_end_matches('\n')));
}

/// The secrets of the configuration. Empty until a command has read the configuration.
static KNOWN_SECRETS: OnceLock<Arc<KnownSecrets>> = OnceLock::new();

/// Replaces the secrets of the configuration in a text.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    KNOWN_SECRETS.get().map_or(Cow::Borrowed(text), |known| known.redact(text))
}

/// Replaces the secrets of the configuration in JSON.
pub(super) fn redact_json(json: &str) -> Cow<'_, str> {
    KNOWN_SECRETS.get().map_or(Cow::Borrowed(json), |known| known.redact_json(json))
}

/// Runs asynchronous work to its end on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| CommandError::Failed(error.to_string()))?.block_on(work))
}

pub(super) fn exit_code(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads a point in time: RFC 3339, or milliseconds since the Unix epoch.
pub(super) fn parse_time(text: &str) -> Result<Millis, String> {
    if let Ok(millis) = text.parse() {
        return Ok(Millis(millis));
    }
    Millis::parse(text).map_err(|flaw| match flaw {
        TimeError::TooLate => format!("must not be after {}", Millis::LAST),
        TimeError::Invalid => "must be a time like 2027-01-01T00:00:00Z, or milliseconds since 1970".to_owned(),
    })
}
