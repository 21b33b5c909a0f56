//! The program's own log, on standard error. The record of what was decided is the audit log; at the default level a request that
//! goes well logs nothing here.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log for the whole process, and keeps panics' messages, which may quote input, out of it.
pub fn start(level: Level, format: Format) {
    // Of libraries only warnings: what they say at lower levels may quote requests.
    let filter = Targets::new().with_default(Level::WARN.min(level)).with_target("chat_signer", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        Format::Text => registry.with(lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    // One that was started before stays.
    drop(started);
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        tracing::error!("panicked at {file}:{line}");
    }));
}
