//! `serve`: runs the server.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tracing::Level;

use super::{Common, complain};
use crate::app::{App, End};
use crate::config::{self, Settings};
use crate::observe::log;

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
    let loaded = config::load(&common.config);
    if !loaded.report.is_empty() {
        complain(&loaded.report.render(io::stderr().is_terminal()));
    }
    let Some(settings) = loaded.settings else {
        return ExitCode::FAILURE;
    };
    start(arguments, settings).unwrap_or_else(|error| {
        complain(&format!("no threads to serve with: {error}"));
        ExitCode::FAILURE
    })
}

fn start(arguments: &Arguments, settings: Settings) -> io::Result<ExitCode> {
    let _log = log::start(arguments.log_level, arguments.log_format)?;
    Ok(runtime()?.block_on(serve(settings)))
}

fn runtime() -> io::Result<Runtime> {
    let workers = available_parallelism()?.get();
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

async fn serve(settings: Settings) -> ExitCode {
    let app = match App::start(settings).await {
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
