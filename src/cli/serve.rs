//! `serve`: runs the server.

use std::io;
use std::panic;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::common::{CommonArguments, has_color, print_error, render_report};
use crate::config::{self, LoadResult, Report, Settings, SourceFiles};
use crate::server::listener::{Application, ExitReason, StartError};
use crate::telemetry::log::{self, ProgramLog};

/// How long the shutdown waits for a file that is still being read, for example on a network file system that hangs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of threads that serve requests, on every machine. One thread signs tens of thousands of requests
/// per second. Limits on threads are often set without knowledge of the machine.
const WORKERS: usize = 8;

/// `serve`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The lowest level of log messages to write: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value_t = Level::INFO)]
    log_level: Level,
    /// The format of log messages.
    #[arg(long, value_enum, default_value_t = log::LogFormat::Text)]
    log_format: log::LogFormat,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> ExitCode {
    start(common, arguments).unwrap_or_else(|error| {
        print_error(&format!("cannot start the threads of the server: {error}"));
        ExitCode::FAILURE
    })
}

fn start(common: &CommonArguments, arguments: &Arguments) -> io::Result<ExitCode> {
    let log = log::start(arguments.log_level, arguments.log_format, has_color(&io::stderr()))?;
    exit_on_main_thread_panic(log.clone());
    let runtime = runtime()?;
    let LoadResult { settings, report, sources } = config::load(&common.config);
    if !report.is_empty() {
        print_error(&render_report(&report));
    }
    let Some(settings) = settings else {
        return Ok(ExitCode::FAILURE);
    };
    let code = runtime.block_on(serve(settings, &common.config, sources, &report));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(code)
}

/// Starts the threads of the server.
///
/// From here on, SIGHUP does not end the process. The signal means that the files must be read again, and it may arrive
/// while the program reads them for the first time.
fn runtime() -> io::Result<Runtime> {
    let workers = available_parallelism()?.get().min(WORKERS);
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let entered = runtime.enter();
    drop(signal(SignalKind::hangup())?);
    drop(entered);
    Ok(runtime)
}

/// Ends the process if this thread panics. tokio panics if the system provides too few threads. Unwinding would then
/// wait for the other threads, which never end.
fn exit_on_main_thread_panic(log: ProgramLog) {
    let (this, usual) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if thread::current().id() == this {
            log.flush();
            print_error("the main thread failed: the limit on threads is too low, or this is a bug");
            process::exit(101);
        }
    }));
}

async fn serve(settings: Settings, path: &Path, sources: SourceFiles, report: &Report) -> ExitCode {
    let app = match start_with_reload(settings, path, sources, report).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (main, admin) = app.addresses();
    tracing::info!("listening on {main} (admin {admin})");
    match app.run().await {
        ExitReason::Finished => ExitCode::SUCCESS,
        ExitReason::Interrupted => {
            tracing::warn!("stopped before all work was finished");
            ExitCode::FAILURE
        }
        ExitReason::Failed => ExitCode::FAILURE,
    }
}

async fn start_with_reload(
    settings: Settings,
    path: &Path,
    sources: SourceFiles,
    report: &Report,
) -> Result<Application, StartError> {
    let mut app = Application::start(settings).await?;
    app.reload_on_change(path, sources, report)?;
    Ok(app)
}
