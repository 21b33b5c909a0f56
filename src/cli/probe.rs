//! `probe`: checks whether a running server is ready. It is useful in images without curl.

use std::io;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::common::{CommandError, CommonArguments, OutputFormat, exit_code, print, print_error, render_report};
use crate::cli::client::{self, ProbeResponse, ServerTrust};
use crate::config;

const TIMEOUT: Duration = Duration::from_secs(3);

/// `probe`'s own arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address of the admin listener. Start it with https:// if the listener uses TLS. Default: the address in the
    /// configuration.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_admin_address)]
    admin: Option<AdminAddress>,
    /// A PEM file with the certificate authorities to trust. Without it, the certificate of a server on this machine is
    /// not checked, and a TLS server on another machine is an error.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the certificate, if it is not the address.
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
}

/// The address of the admin listener, and whether it uses TLS.
#[derive(Clone, Copy, Debug)]
struct AdminAddress {
    address: SocketAddr,
    tls: bool,
}

pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let AdminAddress { address, tls } = match arguments.admin {
        Some(admin) => admin,
        None => configured_address(common)?,
    };
    let address = connect_address(address);
    let trust = if tls { Some(server_trust(arguments, address)?) } else { None };
    let answer = client::get(address, trust.as_ref(), "/readyz?verbose", TIMEOUT);
    let ready = answer.as_ref().is_ok_and(|answer| answer.status == 200);
    match (common.output, &answer) {
        (OutputFormat::Text, Ok(answer)) => print(&answer.body)?,
        (OutputFormat::Text, Err(error)) => {
            print_error(&format!("{address} does not answer: {error}. Is `chat-signer serve` running there?"));
        }
        (OutputFormat::Json, _) => print(&json!({ "ready": ready, "checks": check_lines(&answer) }).to_string())?,
    }
    Ok(exit_code(ready))
}

fn parse_admin_address(text: &str) -> Result<AdminAddress, AddrParseError> {
    let secure = text.strip_prefix("https://");
    let plain = text.strip_prefix("http://").unwrap_or(text);
    Ok(AdminAddress { address: secure.unwrap_or(plain).parse()?, tls: secure.is_some() })
}

fn configured_address(common: &CommonArguments) -> Result<AdminAddress, CommandError> {
    let (address, tls) =
        config::read_probe_address(&common.config).map_err(|report| CommandError::Invalid(render_report(&report)))?;
    Ok(AdminAddress { address, tls })
}

/// Returns which certificates to trust at this address.
fn server_trust(arguments: &Arguments, address: SocketAddr) -> Result<ServerTrust, CommandError> {
    match &arguments.ca {
        Some(path) => {
            let flaw = |flaw: String| CommandError::Failed(format!("--ca {}: {flaw}", path.display()));
            let pem = std::fs::read(path).map_err(|error| flaw(error.to_string()))?;
            ServerTrust::from_pem(&pem, arguments.server_name.as_deref()).map_err(flaw)
        }
        None if address.ip().is_loopback() => Ok(ServerTrust::any_server()),
        None => Err(CommandError::Usage(format!(
            "{address} is not on this machine: name the authority of its certificate with --ca"
        ))),
    }
}

/// Returns the address at which a listener can be reached. For a listener on all addresses this is the loopback
/// address.
pub(super) fn connect_address(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn check_lines(answer: &io::Result<ProbeResponse>) -> Vec<&str> {
    answer.as_ref().map_or_else(|_| Vec::new(), |answer| answer.body.lines().collect())
}
