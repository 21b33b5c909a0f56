//! `audit show`: shows the lines of the audit log that match.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::follow::FollowedFile;
use super::line::{LineFilter, LoggedLine};
use super::source::LineSource;
use super::summary::LogSummary;
use crate::cli::common::{CommandError, CommonArguments, OutputFormat, escape_line, print_error, redact, redact_json};

/// `audit show`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The files, oldest first. They can be compressed with gzip. `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: LineFilter,
    /// Show a summary in place of the lines: decisions, denials by rule, top callers and slowest requests.
    #[arg(long, conflicts_with = "follow")]
    summary: bool,
    /// Wait for more lines at the end of the last file, also after it was rotated, until the command is stopped.
    #[arg(long)]
    follow: bool,
}

/// The output of the command: the lines one by one, or the summary at the end.
struct LinePrinter<'a> {
    filter: &'a LineFilter,
    format: OutputFormat,
    summary: Option<LogSummary>,
    /// The number of lines that are not lines of an audit log.
    unknown: u64,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let summary = arguments.summary.then(LogSummary::default);
    let mut printer = LinePrinter { filter: &arguments.filter, format: common.output, summary, unknown: 0 };
    match printer.read(arguments) {
        // A reader such as `head` may stop early.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(CommandError::Failed(error.to_string())),
        Ok(()) => {}
    }
    if printer.unknown > 0 {
        print_error(&format!("note: lines that are not lines of an audit log: {}", printer.unknown));
    }
    if let Some(summary) = printer.summary {
        common.print(|| summary.text(), || summary.json())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl LinePrinter<'_> {
    fn read(&mut self, arguments: &Arguments) -> io::Result<()> {
        let (last, earlier) = match arguments.files.split_last() {
            Some((last, earlier)) if arguments.follow => (Some(last), earlier),
            _ => (None, &arguments.files[..]),
        };
        for path in earlier {
            self.read_file(path).map_err(|error| name_file(path, error))?;
        }
        match last {
            Some(path) => self.follow(path).map_err(|error| name_file(path, error)),
            None => Ok(()),
        }
    }

    fn read_file(&mut self, path: &Path) -> io::Result<()> {
        let mut source = LineSource::open(path)?;
        while let Some(line) = source.next_line()? {
            self.add(&line)?;
        }
        Ok(())
    }

    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let mut file = FollowedFile::open(path)?;
        loop {
            let line = file.next_line()?;
            self.add(&line)?;
        }
    }

    /// Prints or counts a line, if it passes the filter.
    fn add(&mut self, text: &[u8]) -> io::Result<()> {
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Ok(());
        }
        let Some(line) = LoggedLine::parse(text) else {
            self.unknown += 1;
            return Ok(());
        };
        if !self.filter.accepts(&line) {
            return Ok(());
        }
        match &mut self.summary {
            Some(summary) => summary.add(&line),
            None => self.print(&line, text)?,
        }
        Ok(())
    }

    fn print(&self, line: &LoggedLine, text: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.format {
            OutputFormat::Text => writeln!(out, "{}", redact(&escape_line(&line.table_row())))?,
            OutputFormat::Json => writeln!(out, "{}", redact_json(&String::from_utf8_lossy(text)))?,
        }
        out.flush()
    }
}

impl LoggedLine {
    /// Formats the line as a row of a table: time, decision, caller, and what was requested and why it was not allowed.
    fn table_row(&self) -> String {
        let decision = self.decision.as_deref().unwrap_or("event");
        let caller = self.caller.as_ref().map_or("-", |caller| &caller.subject);
        let mut row = format!("{}  {decision:<11}  {caller:<16}  {}", self.time, self.request());
        let rules: Vec<_> = self.rules().collect();
        if !rules.is_empty() {
            row = format!("{row}  [{}]", rules.join(", "));
        }
        match &self.reason {
            Some(reason) => format!("{row}  {reason}"),
            None => row,
        }
    }

    /// Formats the request or the event: app, action, client, conversation and targets.
    fn request(&self) -> String {
        let caller = self.caller.as_ref().map(|caller| &caller.subject);
        let client =
            self.client.as_ref().filter(|client| Some(*client) != caller).map(|client| format!("for {client}"));
        let targets =
            (!self.targets.is_empty()).then(|| format!("→ {}{}", self.targets.join(", "), self.more_targets()));
        let what = self.action.clone().or_else(|| self.event.clone());
        let parts = [self.app.clone(), what, client, self.conversation.clone(), targets];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn more_targets(&self) -> String {
        let hidden = self.targets_count.unwrap_or(0).saturating_sub(self.targets.len() as u64);
        if hidden == 0 { String::new() } else { format!(" and {hidden} more") }
    }
}

fn name_file(path: &Path, error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::BrokenPipe {
        return error;
    }
    io::Error::other(format!("cannot read {}: {error}", path.display()))
}
