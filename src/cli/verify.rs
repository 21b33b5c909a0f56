//! stub
use super::{Common, Stop};
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}
pub(super) fn run(_: &Common, _: &Arguments) -> Result<std::process::ExitCode, Stop> {
    Err(Stop::No("x".into()))
}
