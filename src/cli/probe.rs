//! `probe`: asks a running server whether it is ready, for images without curl.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use super::{Common, Output};
use crate::client::{self, Answer};
use crate::config;

const PATIENCE: Duration = Duration::from_secs(3);

/// `probe`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The admin listener's address, if it isn't to be read from the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> ExitCode {
    let Some(address) = arguments.admin.or_else(|| configured(common)) else {
        return ExitCode::FAILURE;
    };
    let answer = client::get(reachable(address), "/readyz?verbose", PATIENCE);
    let ready = answer.as_ref().is_ok_and(|answer| answer.status == 200);
    match common.output {
        Output::Text => print(address, &answer),
        Output::Json => println!("{}", serde_json::json!({ "ready": ready, "checks": checks(&answer) })),
    }
    if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn configured(common: &Common) -> Option<SocketAddr> {
    let loaded = config::load(&common.config);
    if loaded.settings.is_none() {
        eprint!("{}", loaded.report.render(false));
    }
    loaded.settings.map(|settings| settings.admin)
}

/// Where to reach what listens there: what listens on all addresses listens on loopback, too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn print(address: SocketAddr, answer: &io::Result<Answer>) {
    match answer {
        Ok(answer) => print!("{}", answer.body),
        Err(error) => eprintln!("{address} does not answer: {error}"),
    }
}

fn checks(answer: &io::Result<Answer>) -> Vec<&str> {
    answer.as_ref().map_or_else(|_| Vec::new(), |answer| answer.body.lines().collect())
}
