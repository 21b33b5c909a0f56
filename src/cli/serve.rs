//! `serve`: runs the server.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::{Common, complain};
use crate::app::{App, End, NoStart};
use crate::config::{self, Loaded, Report, Settings, Sources};
use crate::observe::log;

/// How long the end waits for a file that is being read: it may lie on a network that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// `serve`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The least important messages that are logged: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value_t = Level::INFO)]
    log_level: Level,
    /// How messages are logged.
    #[arg(long, value_enum, default_value_t = log::Format::Text)]
    log_format: log::Format,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return unable(&error),
    };
    let Loaded { settings, report, sources } = config::load(&common.config);
    if !report.is_empty() {
        complain(&report.render(io::stderr().is_terminal()));
    }
    let Some(settings) = settings else {
        return ExitCode::FAILURE;
    };
    let serving = serve(settings, &common.config, sources, &report);
    start(arguments, runtime, serving).unwrap_or_else(|error| unable(&error))
}

fn unable(error: &io::Error) -> ExitCode {
    complain(&format!("no threads to serve with: {error}"));
    ExitCode::FAILURE
}

fn start(arguments: &Arguments, runtime: Runtime, serving: impl Future<Output = ExitCode>) -> io::Result<ExitCode> {
    let _log = log::start(arguments.log_level, arguments.log_format)?;
    let code = runtime.block_on(serving);
    runtime.shutdown_timeout(PATIENCE);
    Ok(code)
}

/// The threads to serve with. From here on a hang-up, on which files are read again, never ends the process: it may come from whoever
/// changes them while they are read for the first time.
fn runtime() -> io::Result<Runtime> {
    let workers = available_parallelism()?.get();
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let entered = runtime.enter();
    drop(signal(SignalKind::hangup())?);
    drop(entered);
    Ok(runtime)
}

async fn serve(settings: Settings, path: &Path, sources: Sources, report: &Report) -> ExitCode {
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
        End::Orderly => ExitCode::SUCCESS,
        End::Cut => {
            tracing::warn!("stopped before all was finished");
            ExitCode::FAILURE
        }
    }
}

async fn start_following(settings: Settings, path: &Path, sources: Sources, report: &Report) -> Result<App, NoStart> {
    let mut app = App::start(settings).await?;
    app.follow(path, sources, report)?;
    Ok(app)
}
