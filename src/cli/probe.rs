//! `probe`: checks whether a running server is ready. It is useful in images without curl.

use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode, Uri};
use rustls::pki_types::ServerName;
use serde_json::json;

use super::common::{
    CommandError, CommonArguments, OutputFormat, block_on, exit_code, print, print_error, render_report,
};
use super::tls::{read_authorities, trust_any_server};
use crate::authn::Endpoint;
use crate::config;
use crate::upstream::{ClientError, UpstreamClient, tls_config};

const TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

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
    let AdminAddress { address, tls } = arguments.admin.map_or_else(|| configured_address(common), Ok)?;
    let admin = AdminAddress { address: connect_address(address), tls };
    let answer = block_on(ask(&client(arguments, admin)?, admin))?;
    let ready = answer.as_ref().is_ok_and(|answer| answer.status() == StatusCode::OK);
    let body = answer.as_ref().map_or_else(|_| String::new(), |answer| String::from_utf8_lossy(answer.body()).into());
    match (common.output, &answer) {
        (OutputFormat::Text, Ok(_)) => print(&body)?,
        (OutputFormat::Text, Err(error)) => {
            print_error(&format!("{} does not answer: {error}. Is `chat-signer serve` running there?", admin.address));
        }
        (OutputFormat::Json, _) => {
            print(&json!({ "ready": ready, "checks": body.lines().collect::<Vec<_>>() }).to_string())?;
        }
    }
    Ok(exit_code(ready))
}

/// Asks the server whether it is ready.
async fn ask(client: &UpstreamClient, admin: AdminAddress) -> Result<Response<Bytes>, ClientError> {
    let request = Request::get(admin.url("/readyz?verbose")).body(Full::default());
    client.send(request.map_err(|error| ClientError::Broken(error.to_string()))?, MAX_ANSWER_BYTES).await
}

/// Creates the client for the admin listener. It may use plain HTTP, because no secret is sent.
fn client(arguments: &Arguments, admin: AdminAddress) -> Result<UpstreamClient, CommandError> {
    let failed = |error: rustls::Error| CommandError::Failed(error.to_string());
    let url: Uri = admin.url("").parse().map_err(|error| CommandError::Failed(format!("{error}")))?;
    let endpoint = Endpoint { plain_http_host: url.host().map(str::to_owned), ..Endpoint::new(url) };
    let name = arguments.server_name.as_deref().map(server_name).transpose()?;
    let tls = match &arguments.ca {
        Some(path) => tls_config(&read_authorities(path)?, None),
        None if !admin.tls || admin.address.ip().is_loopback() => trust_any_server(),
        None => {
            return Err(CommandError::Usage(format!(
                "{} is not on this machine: name the authority of its certificate with --ca",
                admin.address
            )));
        }
    };
    Ok(UpstreamClient::with_tls(&endpoint, tls.map_err(failed)?, name).with_timeout(TIMEOUT))
}

fn server_name(name: &str) -> Result<ServerName<'static>, CommandError> {
    let invalid = |_| CommandError::Failed(format!("--server-name: {name} is not a host name"));
    ServerName::try_from(name.to_owned()).map_err(invalid)
}

impl AdminAddress {
    /// Returns the URL of this path.
    fn url(self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }
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
