//! `serve`: runs the server.

use std::io;
use std::panic;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::common::{CommonArguments, has_color, print_error, render_report};
use crate::config::{self, ConfigProblem, LoadResult, Settings, Severity};
use crate::server::listener::{Application, ExitReason};
use crate::server::routes;
use crate::telemetry::audit::forbid_writing_on_this_thread;
use crate::telemetry::log::{self, LogFormat, ProgramLog, UNLIMITED};

/// How long the shutdown waits for a file that is still being read, for example on a network file system that hangs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of threads that serve requests, on every machine. One thread signs tens of thousands of requests
/// per second. Limits on threads are often set without knowledge of the machine.
const WORKERS: usize = 8;

/// `serve`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The lowest level of log messages to write: error, warn, info, debug or trace. The default is the level in the
    /// configuration, or info.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<Level>,
    /// The format of log messages.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> ExitCode {
    let log = match log::start(arguments.log_level, arguments.log_format, has_color(&io::stderr())) {
        Ok(log) => log,
        Err(error) => {
            print_error(&format!("cannot start the thread of the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // At its end, this function drops the log, which writes the queued lines.
    exit_on_main_thread_panic(log.clone());
    start(common, arguments).unwrap_or_else(|error| {
        tracing::error!("cannot start the threads of the server: {error}");
        ExitCode::FAILURE
    })
}

fn start(common: &CommonArguments, arguments: &Arguments) -> io::Result<ExitCode> {
    let Runtimes { control, workers } = runtimes()?;
    forbid_writing_on_this_thread();
    let mut loaded = config::load(&common.config);
    let report = &loaded.report;
    match arguments.log_format {
        LogFormat::Text if report.is_empty() => {}
        LogFormat::Text => print_error(&render_report(report)),
        LogFormat::Json => report.problems().iter().for_each(log_problem),
    }
    let Some(settings) = loaded.settings.take() else {
        return Ok(ExitCode::FAILURE);
    };
    log::set_level(settings.log_level);
    let code = control.block_on(serve(workers.handle().clone(), settings, &common.config, loaded));
    workers.shutdown_timeout(SHUTDOWN_TIMEOUT);
    control.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(code)
}

/// Logs a problem of the configuration as one line for programs.
fn log_problem(problem: &ConfigProblem) {
    let ConfigProblem { severity, file, place, message, help, .. } = problem;
    let (line, column) = place.unzip();
    let help = Some(help.as_str()).filter(|help| !help.is_empty());
    match severity {
        Severity::Mistake => tracing::error!(target: UNLIMITED, file, line, column, help, "{message}"),
        Severity::Warning => tracing::warn!(target: UNLIMITED, file, line, column, help, "{message}"),
    }
}

/// The runtimes of the server.
struct Runtimes {
    /// Receives signals and answers probes, also while a write to the audit log hangs. It has a single thread.
    control: Runtime,
    /// Serves callers.
    workers: Runtime,
}

/// Starts the threads of the server.
///
/// From here on, SIGHUP does not end the process. The signal means that the files must be read again, and it may arrive
/// while the program reads them for the first time.
fn runtimes() -> io::Result<Runtimes> {
    let mut control = Builder::new_multi_thread();
    control.worker_threads(1).thread_name("control").on_thread_start(forbid_writing_on_this_thread);
    let control = control.enable_all().build()?;
    let entered = control.enter();
    drop(signal(SignalKind::hangup())?);
    drop(entered);
    let workers = available_parallelism()?.get().min(WORKERS);
    let workers = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    Ok(Runtimes { control, workers })
}

/// Ends the process if this thread panics. tokio panics if the system provides too few threads. Unwinding would then
/// wait for the other threads, which never end.
fn exit_on_main_thread_panic(log: ProgramLog) {
    let (this, usual) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if thread::current().id() == this {
            tracing::error!("the main thread failed: the limit on threads is too low, or this is a bug");
            log.flush();
            process::exit(101);
        }
    }));
}

/// Returns the exit code for the end of the server. Warns if work was cut off.
fn exit_code(reason: ExitReason) -> ExitCode {
    match reason {
        ExitReason::Finished => ExitCode::SUCCESS,
        ExitReason::Interrupted => {
            tracing::warn!("stopped before all work was finished");
            ExitCode::FAILURE
        }
        ExitReason::Failed => ExitCode::FAILURE,
    }
}

async fn serve(workers: Handle, settings: Settings, path: &Path, loaded: LoadResult) -> ExitCode {
    let pages = pages(&settings);
    let started = Application::start_on(workers, settings).await;
    let app = match started.and_then(|mut app| app.reload_on_change(path, loaded).map(|()| app)) {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (main, admin) = app.addresses();
    tracing::info!("listening on {main} (admin {admin})");
    for (name, page) in pages {
        tracing::info!("the {name} is at {main}{page}");
    }
    exit_code(app.run().await)
}

/// Returns the names and paths of the pages for people.
fn pages(settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let has_playground = cfg!(feature = "playground") && settings.server.playground;
    let playground = has_playground.then_some(("playground", routes::PLAYGROUND));
    let console = settings.console.is_some().then_some(("console", routes::CONSOLE));
    playground.into_iter().chain(console).collect()
}
