//! `probe`: asks a running server whether it is ready, for images without curl.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::{Common, Output, Stop, complain, print, yes};
use crate::client::{self, Answer};

const PATIENCE: Duration = Duration::from_secs(3);

/// `probe`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The admin listener's address, if it isn't to be read from the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

pub(super) fn run(common: &Common, arguments: &Arguments) -> Result<ExitCode, Stop> {
    let address = match arguments.admin {
        Some(address) => address,
        None => common.settings()?.admin,
    };
    let answer = client::get(reachable(address), "/readyz?verbose", PATIENCE);
    let ready = answer.as_ref().is_ok_and(|answer| answer.status == 200);
    match (common.output, &answer) {
        (Output::Text, Ok(answer)) => print(&answer.body)?,
        (Output::Text, Err(error)) => complain(&format!("{address} does not answer: {error}")),
        (Output::Json, _) => print(&json!({ "ready": ready, "checks": checks(&answer) }).to_string())?,
    }
    Ok(yes(ready))
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

fn checks(answer: &io::Result<Answer>) -> Vec<&str> {
    answer.as_ref().map_or_else(|_| Vec::new(), |answer| answer.body.lines().collect())
}
