//! The server of the moderation commands, and the credential for it. A credential is never an argument, because every
//! process of the machine could read it there.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::time::timeout;

use super::super::common::{CommandError, CommonArguments, block_on};
use super::super::probe;
use super::super::tls::read_authorities;
use crate::authn::{ApiKey, Authenticator, Endpoint};
use crate::config::{ListenAddress, Settings, demo_api_key};
use crate::environment;
use crate::moderation::api::{ModerationParameters, ModerationResource};
use crate::upstream::{ClientError, SOCKET_URL, UpstreamClient, read};

/// How long an answer may take. The server gives up a change earlier.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The heading of these options in the help.
const SERVER_HEADING: &str = "Server";

const SERVER_VARIABLE: &str = "CHAT_SIGNER_SERVER";
const KEY_VARIABLE: &str = "CHAT_SIGNER_API_KEY";
const TOKEN_VARIABLE: &str = "CHAT_SIGNER_TOKEN";

/// The server, and the credential for it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServerArguments {
    /// The server: https://HOST:PORT or unix:PATH. Default: the variable CHAT_SIGNER_SERVER, then the configuration.
    #[arg(long, value_name = "URL", help_heading = SERVER_HEADING)]
    server: Option<String>,
    /// A PEM file with the certificate authorities to trust. Default: the authorities that browsers trust.
    #[arg(long, value_name = "FILE", help_heading = SERVER_HEADING)]
    ca: Option<PathBuf>,
    /// A file with the API key. Default: the variable CHAT_SIGNER_API_KEY.
    #[arg(long, value_name = "FILE", help_heading = SERVER_HEADING)]
    key_file: Option<PathBuf>,
    /// The header for the API key. Default: the header in the configuration, then x-api-key.
    #[arg(long, value_name = "NAME", help_heading = SERVER_HEADING)]
    key_header: Option<HeaderName>,
    /// A file with a bearer token, instead of an API key. Default: the variable CHAT_SIGNER_TOKEN.
    #[arg(long, value_name = "FILE", help_heading = SERVER_HEADING, conflicts_with = "key_file")]
    token_file: Option<PathBuf>,
}

/// A request to the server.
#[derive(Debug)]
pub(in crate::cli) struct ServerRequest {
    pub(in crate::cli) method: Method,
    pub(in crate::cli) resource: ModerationResource,
    pub(in crate::cli) parameters: ModerationParameters,
}

/// The answer of the server.
#[derive(Debug)]
pub(in crate::cli) struct ServerResponse {
    pub(super) status: StatusCode,
    /// The JSON body. `null` if there was no body.
    pub(in crate::cli) body: Value,
    /// Whether the request had a credential.
    pub(super) had_credential: bool,
}

/// The address of a server.
#[derive(Debug)]
enum ServerAddress {
    /// The start of a URL: scheme, host and port.
    Url(String),
    /// The path of a Unix socket.
    Socket(PathBuf),
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Url(url) => f.write_str(url),
            ServerAddress::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A client of a server, with its credential.
pub(super) struct ServerClient<'o> {
    options: &'o ServerArguments,
    address: ServerAddress,
    settings: Option<Settings>,
}

impl ServerClient<'_> {
    async fn ask(&self, command: &ServerRequest) -> Result<ServerResponse, CommandError> {
        let request = self.build_request(command)?;
        self.parse_answer(self.http_client(request.uri())?.send(request, MAX_ANSWER_BYTES).await)
    }

    /// Requests an event stream. Returns the body once the stream begins. If the answer is not an event stream, returns
    /// the whole answer.
    pub(super) async fn open_stream(
        &self,
        command: &ServerRequest,
    ) -> Result<Result<Incoming, ServerResponse>, CommandError> {
        let request = self.build_request(command)?;
        let answer = self.http_client(request.uri())?.open(request).await;
        let answer = answer.map_err(|trouble| no_answer_error(&self.address, &trouble))?;
        let goes_on = answer.headers().get(CONTENT_TYPE).is_some_and(|media| media == "text/event-stream");
        if goes_on && answer.status().is_success() {
            return Ok(Ok(answer.into_body()));
        }
        let whole = timeout(TIMEOUT, read(answer, MAX_ANSWER_BYTES)).await.unwrap_or(Err(ClientError::Slow(TIMEOUT)));
        self.parse_answer(whole).map(Err)
    }

    fn http_client(&self, url: &Uri) -> Result<UpstreamClient, CommandError> {
        let client = match &self.address {
            ServerAddress::Socket(path) => UpstreamClient::for_socket(path),
            ServerAddress::Url(_) => {
                let authorities = self.options.ca.as_deref().map_or(Ok(Vec::new()), read_authorities)?;
                UpstreamClient::new(&Endpoint { authorities, ..Endpoint::new(url.clone()) })
            }
        };
        Ok(client.map_err(|error| CommandError::Failed(error.to_string()))?.with_timeout(TIMEOUT))
    }

    /// Builds the request with the credential. The credential is read again for each request, because it may have been
    /// renewed.
    fn build_request(&self, command: &ServerRequest) -> Result<Request<Full<Bytes>>, CommandError> {
        let mut request = build_request(&self.address, command)?;
        if let Some((name, value)) = self.options.credential(self.settings.as_ref())? {
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    fn parse_answer(&self, answer: Result<Response<Bytes>, ClientError>) -> Result<ServerResponse, CommandError> {
        let answer = answer.map_err(|trouble| no_answer_error(&self.address, &trouble))?;
        let status = answer.status();
        let body = if answer.body().is_empty() { Ok(Value::Null) } else { serde_json::from_slice(answer.body()) };
        let body = body.map_err(|_| self.not_chat_signer(status))?;
        let had_credential = self.options.credential(self.settings.as_ref())?.is_some();
        Ok(ServerResponse { status, body, had_credential })
    }

    /// Builds the error for an answer of another program.
    pub(super) fn not_chat_signer(&self, status: StatusCode) -> CommandError {
        CommandError::Failed(format!("the server at {} is not chat-signer: it answers {status}", self.address))
    }
}

/// A credential in its header form.
enum CallerProof {
    Key(HeaderValue),
    Token(HeaderValue),
}

impl ServerArguments {
    /// Returns whether the arguments name a server.
    pub(in crate::cli) fn is_named(&self) -> bool {
        self.server.is_some()
    }

    /// Sends a request, and returns the answer with any status.
    pub(in crate::cli) fn ask(
        &self,
        common: &CommonArguments,
        command: &ServerRequest,
    ) -> Result<ServerResponse, CommandError> {
        block_on(self.client_for_server(common)?.ask(command))?
    }

    /// Builds the client for the server.
    pub(super) fn client_for_server(&self, common: &CommonArguments) -> Result<ServerClient<'_>, CommandError> {
        let named =
            self.server.clone().or_else(|| Some(environment::get(SERVER_VARIABLE)?.to_string_lossy().into_owned()));
        // With --server or the variable, no configuration is needed.
        let settings = if named.is_some() { None } else { Some(common.settings()?) };
        let address = named.as_deref().map_or_else(|| configured_address(settings.as_ref()), parse_address)?;
        Ok(ServerClient { options: self, address, settings })
    }

    /// Returns the header with the credential. `None` if there is no credential: the server may identify the caller in
    /// another way, for example by the process at the other end of a Unix socket.
    fn credential(&self, settings: Option<&Settings>) -> Result<Option<(HeaderName, HeaderValue)>, CommandError> {
        let key = settings.and_then(first_api_key_authenticator);
        let header = || self.key_header.clone().or_else(|| key.map(|key| key.header.clone()));
        let header = || header().unwrap_or(HeaderName::from_static("x-api-key"));
        Ok(match self.credential_value()? {
            Some(CallerProof::Key(key)) => Some((header(), key)),
            Some(CallerProof::Token(token)) => Some((AUTHORIZATION, token)),
            // The API key of the demonstration is public.
            None => key.and_then(demonstration_key).map(|key| (header(), HeaderValue::from_static(key))),
        })
    }

    fn credential_value(&self) -> Result<Option<CallerProof>, CommandError> {
        let key = |secret: &[u8], source| secret_header(secret, "", source).map(CallerProof::Key).map(Some);
        let token = |secret: &[u8], source| secret_header(secret, "Bearer ", source).map(CallerProof::Token).map(Some);
        if let Some(path) = &self.key_file {
            return key(&read_file("--key-file", path)?, "--key-file");
        }
        if let Some(path) = &self.token_file {
            return token(&read_file("--token-file", path)?, "--token-file");
        }
        let variable = |name| environment::get(name).map(OsString::into_vec);
        match (variable(KEY_VARIABLE), variable(TOKEN_VARIABLE)) {
            (Some(_), Some(_)) => Err(two_credentials()),
            (Some(secret), None) => key(&secret, KEY_VARIABLE),
            (None, Some(secret)) => token(&secret, TOKEN_VARIABLE),
            (None, None) => Ok(None),
        }
    }
}

fn two_credentials() -> CommandError {
    CommandError::Usage(format!(
        "both {KEY_VARIABLE} and {TOKEN_VARIABLE} are set: unset one of them, or use --key-file or --token-file"
    ))
}

/// Reads the address of a server from an argument or a variable.
fn parse_address(text: &str) -> Result<ServerAddress, CommandError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(ServerAddress::Socket(PathBuf::from(path)));
    }
    let url = text.parse::<Uri>().ok().filter(|url| {
        let plain = url.query().is_none() && !text.contains('@');
        plain && url.host().is_some() && matches!(url.scheme_str(), Some("http" | "https"))
    });
    let wrong = "the server must be written as https://HOST:PORT, or unix:PATH for a socket";
    url.map(|_| ServerAddress::Url(text.trim_end_matches('/').to_owned()))
        .ok_or_else(|| CommandError::Usage(wrong.to_owned()))
}

/// Returns the address of the server in the configuration.
fn configured_address(settings: Option<&Settings>) -> Result<ServerAddress, CommandError> {
    let Some(Settings { server, .. }) = settings else { return parse_address("") };
    match &server.listen {
        ListenAddress::Unix { path, .. } => Ok(ServerAddress::Socket(path.clone())),
        ListenAddress::Tcp(address) if address.port() == 0 => Err(CommandError::Usage(
            "the system chooses the port of the server: give its address with --server".to_owned(),
        )),
        ListenAddress::Tcp(address) => Ok(ServerAddress::Url(url(*address, server.tls.is_some()))),
    }
}

fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{}", probe::connect_address(address))
}

fn build_request(address: &ServerAddress, command: &ServerRequest) -> Result<Request<Full<Bytes>>, CommandError> {
    let ServerRequest { method, resource, parameters } = command;
    let has_body = matches!(*method, Method::POST | Method::PUT);
    let path = resource.path() + &if has_body { String::new() } else { parameters.to_query() };
    let base = if let ServerAddress::Url(url) = address { url } else { SOCKET_URL };
    let request = Request::builder().method(method).uri(format!("{base}{path}"));
    let request = if has_body {
        request.header(CONTENT_TYPE, "application/json").body(Full::from(parameters.to_body().to_string()))
    } else {
        request.body(Full::default())
    };
    request.map_err(|error| CommandError::Usage(format!("{address}{path} is not a valid address: {error}")))
}

/// Builds the error for a request without an answer.
fn no_answer_error(address: &ServerAddress, trouble: &ClientError) -> CommandError {
    match trouble {
        ClientError::Unsafe => CommandError::Usage(format!(
            "{address} is not a local address: use https://, because the request contains a credential"
        )),
        ClientError::Slow(_) => CommandError::Failed(format!(
            "{address}: {trouble}; the change may have been made anyway, and it is safe to repeat it"
        )),
        ClientError::Broken(_) => {
            CommandError::Failed(format!("{address} does not answer: {trouble}. Is `chat-signer serve` running there?"))
        }
        ClientError::Token(_) | ClientError::Long(_) | ClientError::Encoding(_) => {
            CommandError::Failed(format!("{address} does not answer: {trouble}"))
        }
    }
}

fn read_file(flag: &str, path: &Path) -> Result<Vec<u8>, CommandError> {
    std::fs::read(path).map_err(|error: io::Error| CommandError::Failed(format!("{flag} {}: {error}", path.display())))
}

/// Builds the value of a header: the prefix `words` and the secret. `from` is the source of the secret for error
/// messages.
fn secret_header(bytes: &[u8], words: &str, from: &str) -> Result<HeaderValue, CommandError> {
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Err(CommandError::Failed(format!("{from} is empty")));
    }
    let value = HeaderValue::from_bytes(&[words.as_bytes(), bytes].concat());
    let mut value =
        value.map_err(|_| CommandError::Failed(format!("{from} must be one line of visible characters")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the first authenticator with API keys.
fn first_api_key_authenticator(settings: &Settings) -> Option<&ApiKey> {
    settings.engine.authenticators.all().iter().find_map(|one| match one {
        Authenticator::ApiKey(key) => Some(key),
        _ => None,
    })
}

fn demonstration_key(key: &ApiKey) -> Option<&'static str> {
    key.keys.iter().find_map(|(_, hash)| demo_api_key(hash))
}
