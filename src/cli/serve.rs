//! `serve`: runs the server.

use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;
use std::process::{self, ExitCode};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::{CommonArguments, complain};
use crate::app::{Application, ExitReason, StartError};
use crate::config::{self, LoadResult, Report, Settings, SourceFiles};
use crate::telemetry::log::{self, ProgramLog};

/// How long the end waits for a file that is being read: it may lie on a network that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many threads serve requests at most, however many processors there are: one signs tens of thousands a second, and limits on
/// threads are set without knowing the machine.
const WORKERS: usize = 8;

/// `serve`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The least important messages that are logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value_t = Level::INFO)]
    log_level: Level,
    /// How messages are logged.
    #[arg(long, value_enum, default_value_t = log::LogFormat::Text)]
    log_format: log::LogFormat,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> ExitCode {
    start(common, arguments).unwrap_or_else(|error| {
        complain(&format!("no threads to serve with: {error}"));
        ExitCode::FAILURE
    })
}

fn start(common: &CommonArguments, arguments: &Arguments) -> io::Result<ExitCode> {
    let log = log::start(arguments.log_level, arguments.log_format)?;
    end_with_this_thread(log.clone());
    let runtime = runtime()?;
    let LoadResult { settings, report, sources } = config::load(&common.config);
    if !report.is_empty() {
        complain(&report.render(io::stderr().is_terminal()));
    }
    let Some(settings) = settings else {
        return Ok(ExitCode::FAILURE);
    };
    let code = runtime.block_on(serve(settings, &common.config, sources, &report));
    runtime.shutdown_timeout(PATIENCE);
    Ok(code)
}

/// The threads to serve with. From here on a hang-up, on which files are read again, never ends the process: it may come from whoever
/// changes them while they are read for the first time.
fn runtime() -> io::Result<Runtime> {
    let workers = available_parallelism()?.get().min(WORKERS);
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let entered = runtime.enter();
    drop(signal(SignalKind::hangup())?);
    drop(entered);
    Ok(runtime)
}

/// Ends the process when this thread panics, as it does inside tokio where the system gives too few threads: unwinding would wait for
/// those that there are, which nobody tells to end.
fn end_with_this_thread(log: ProgramLog) {
    let (this, usual) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if thread::current().id() == this {
            log.flush();
            complain("the main thread has failed: too few threads are allowed, or this is a bug");
            process::exit(101);
        }
    }));
}

async fn serve(settings: Settings, path: &Path, sources: SourceFiles, report: &Report) -> ExitCode {
    let app = match start_following(settings, path, sources, report).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (main, admin) = app.addresses();
    tracing::info!("listening on {main} (admin {admin})");
    match app.run().await {
        ExitReason::Orderly => ExitCode::SUCCESS,
        ExitReason::Cut => {
            tracing::warn!("stopped before all was finished");
            ExitCode::FAILURE
        }
        ExitReason::Failed => ExitCode::FAILURE,
    }
}

async fn start_following(
    settings: Settings,
    path: &Path,
    sources: SourceFiles,
    report: &Report,
) -> Result<Application, StartError> {
    let mut app = Application::start(settings).await?;
    app.follow(path, sources, report)?;
    Ok(app)
}
