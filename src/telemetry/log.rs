//! The program's own log, on standard error. Decisions are recorded in the audit log. At the default level, a
//! successful request logs nothing here.
//!
//! A separate thread writes the lines, so the program does not block if standard error is not read. If the queue is
//! full, lines are dropped. The number of repeated warnings is limited, and the omitted warnings are counted.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use super::log_limit::LogLimit;
pub use super::log_limit::UNLIMITED;
use crate::model::{escape_json, needs_escape};
use crate::redaction::KnownSecrets;

/// The lowest level that is logged if neither the command line nor the configuration sets it.
const DEFAULT_LEVEL: Level = Level::INFO;

/// The maximum number of lines in the queue.
const QUEUE_LIMIT: usize = 1024;

/// The time limit for writing the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval of the reports on omitted lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The secrets to redact. There is one log for the whole process.
static KNOWN: ArcSwapOption<KnownSecrets> = ArcSwapOption::const_empty();

/// The filter of the log, if the configuration may change its level.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Redacts these secrets in all lines that are written from now on.
pub fn redact_secrets(known: Arc<KnownSecrets>) {
    KNOWN.store(Some(known));
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The running log. Dropping it writes the queued lines.
#[derive(Clone)]
#[must_use = "without it, lines that are queued when the program ends are lost"]
pub struct ProgramLog(SyncSender<LogMessage>, LogLimit);

/// Starts the log for the whole process. If `level` is `None`, [`set_level`] can change the level. With `color`, lines for
/// people have color. Messages of panics are not logged, because they can quote input.
///
/// # Errors
/// Returns an error if the thread of the log cannot be started.
pub fn start(level: Option<Level>, format: LogFormat, color: bool) -> io::Result<ProgramLog> {
    let ((queue, messages), limit) = (sync_channel(QUEUE_LIMIT), LogLimit::default());
    let log = ProgramLog(queue.clone(), limit.clone());
    let reported = limit.clone();
    thread::Builder::new().name("log".to_owned()).spawn(move || write(&messages, &reported, format))?;
    let (filter, handle) = reload::Layer::new(filter(level.unwrap_or(DEFAULT_LEVEL)));
    let lines = tracing_subscriber::fmt::layer().with_writer(move || LogQueue(queue.clone())).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(color).with_filter(limit)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_filter(limit)).try_init(),
    };
    // If a log was started before, it stays in use.
    if started.is_ok() && level.is_none() {
        let _ = FILTER.set(handle);
    }
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        tracing::error!("panicked at {file}:{line}");
    }));
    Ok(log)
}

/// Sets the lowest level of the messages that are logged. `None` sets the default. Has no effect if the log was started
/// with a level.
pub fn set_level(level: Option<Level>) {
    if let Some(handle) = FILTER.get() {
        // The only error is that the log has ended.
        let _ = handle.reload(filter(level.unwrap_or(DEFAULT_LEVEL)));
    }
}

/// Returns the filter for a level. For libraries only warnings are logged, because their other messages can quote
/// requests.
fn filter(level: Level) -> Targets {
    Targets::new().with_default(Level::WARN.min(level)).with_target("chat_signer", level)
}

impl ProgramLog {
    /// Waits for a short time until the queued lines are written. Before that, logs the number of omitted lines.
    pub fn flush(&self) {
        self.1.report(true);
        let (done, written) = sync_channel(1);
        if self.0.try_send(LogMessage::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl Drop for ProgramLog {
    fn drop(&mut self) {
        self.flush();
    }
}

enum LogMessage {
    Line(String),
    Flush(SyncSender<()>),
}

/// Receives whole lines with a newline: the formatter writes each event in one call.
struct LogQueue(SyncSender<LogMessage>);

impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(LogMessage::Line(escape_line(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes the characters in a line that would start another line, control a terminal, change the text direction or be
/// invisible, because messages can quote callers. The escapes are JSON escapes. Color codes stay: the formatter has
/// escaped all other control sequences.
fn escape_line(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let text = line.strip_suffix('\n').unwrap_or(&line);
    let mut plain = String::with_capacity(line.len());
    for character in text.chars() {
        match character {
            '\x1b' => plain.push(character),
            '\n' => plain.push_str("\\n"),
            _ if needs_escape(character) => plain.push_str(&escape_json(character)),
            _ => plain.push(character),
        }
    }
    plain.push('\n');
    plain
}

fn write(messages: &Receiver<LogMessage>, limit: &LogLimit, format: LogFormat) {
    let (mut to, mut reported) = (io::stderr(), Instant::now());
    loop {
        match messages.recv_timeout(REPORT_INTERVAL) {
            Ok(LogMessage::Line(line)) => {
                // If standard error is closed, the line is dropped.
                let _ = to.write_all(redacted(&line, format).as_bytes());
            }
            Ok(LogMessage::Flush(done)) => {
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            limit.report(false);
            reported = Instant::now();
        }
    }
}

/// Redacts [known](redact_secrets) secrets in a line.
fn redacted(line: &str, format: LogFormat) -> Cow<'_, str> {
    match (&*KNOWN.load(), format) {
        (None, _) => Cow::Borrowed(line),
        (Some(known), LogFormat::Text) => known.redact(line),
        (Some(known), LogFormat::Json) => known.redact_json(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_in_its_order() {
        let plain = |line: &str| escape_line(line.as_bytes());
        assert_eq!(plain("a\nb\r\tc\u{85}\u{2028}\n"), "a\\nb\\u000d\\u0009c\\u0085\\u2028\n");
        assert_eq!(plain("\u{feff}a\u{200b}b\u{e0041}\n"), "\\ufeffa\\u200bb\\udb40\\udc41\n");
        assert_eq!(plain("a\u{202e}b\u{2066}c\u{200f}\n"), "a\\u202eb\\u2066c\\u200f\n");
        assert_eq!(plain("\u{1b}[31mERROR\u{1b}[0m é 漢 \\\n"), "\u{1b}[31mERROR\u{1b}[0m é 漢 \\\n");
    }
}
