//! The client for other servers, and for the server of a command. It does not trust them: it requires HTTPS for servers
//! on other machines, limits time and size, and follows no redirects.

use std::error::Error;
use std::fmt::Write;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::connector::Connector;
use crate::authn::{BearerToken, Endpoint};
use crate::config::ClientIdentity;
use crate::files;

/// The default time limit for an answer, from reading the token to the last byte.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The start of the URLs of a server on a Unix socket. Such a URL needs a host, but the host has no meaning.
pub const SOCKET_URL: &str = "http://localhost";

/// The longest token that is read from a file, in bytes.
const LONGEST_TOKEN: u64 = 64 << 10;

/// A client for a single server.
pub struct UpstreamClient {
    inner: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
    endpoint: Endpoint,
    /// Allows a single read of the token file at a time. If a read hangs, it blocks only one thread.
    reading: Arc<Semaphore>,
    timeout: Duration,
}

/// The reason why a client cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create a TLS client for {url}: {reason}")]
pub struct ClientBuildError {
    url: String,
    reason: rustls::Error,
}

/// The reason why there is no answer. The text is for the log and contains no sent data.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is neither HTTPS nor on this machine.
    #[error("its address does not use TLS")]
    Unsafe,
    /// The file with the bearer token cannot be read.
    #[error("the bearer token cannot be read: {0}")]
    Token(io::Error),
    /// There was no connection, or it was interrupted.
    #[error("{0}")]
    Broken(String),
    /// The answer took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// The answer is too long.
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
    /// The answer has an encoding other than gzip.
    #[error("the content encoding of the answer is {0:?}, but only gzip is supported")]
    Encoding(String),
}

impl UpstreamClient {
    /// Creates a client for this server.
    ///
    /// # Errors
    /// Returns an error if the server's certificate authorities cannot be used.
    pub fn new(endpoint: &Endpoint) -> Result<UpstreamClient, ClientBuildError> {
        let tls = tls_config(&endpoint.authorities, None)
            .map_err(|reason| ClientBuildError { url: endpoint.to_string(), reason })?;
        Ok(UpstreamClient::with_tls(endpoint, tls, None))
    }

    /// Creates a client for this server with this TLS configuration. If `name` is set, the server's certificate must be
    /// for this name, and not for the host in the URL.
    pub fn with_tls(endpoint: &Endpoint, tls: ClientConfig, name: Option<ServerName<'static>>) -> UpstreamClient {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match name {
            Some(name) => connector.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => connector,
        };
        let tcp = Connector::new(endpoint.proxy.as_ref());
        UpstreamClient::with_connector(endpoint.clone(), connector.enable_http1().wrap_connector(tcp))
    }

    /// Creates a client for the server that listens on this Unix socket. The URLs of its requests must begin with
    /// [`SOCKET_URL`].
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub fn for_socket(socket: &Path) -> Result<UpstreamClient, ClientBuildError> {
        let tls = tls_config(&[], None).map_err(|reason| ClientBuildError { url: SOCKET_URL.to_owned(), reason })?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connector = connector.wrap_connector(Connector::to_socket(socket));
        Ok(UpstreamClient::with_connector(Endpoint::new(Uri::from_static(SOCKET_URL)), connector))
    }

    fn with_connector(endpoint: Endpoint, connector: HttpsConnector<Connector>) -> UpstreamClient {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEEP_ALIVE);
        let reading = Arc::new(Semaphore::new(1));
        UpstreamClient { inner: builder.build(connector), endpoint, reading, timeout: DEFAULT_TIMEOUT }
    }

    /// Sets the time limit for an answer.
    #[must_use]
    pub fn with_timeout(self, patience: Duration) -> UpstreamClient {
        UpstreamClient { timeout: patience, ..self }
    }

    /// Sends a request and reads the answer, whatever its status, if it has at most `longest` bytes.
    ///
    /// # Errors
    /// Returns an error if there is no complete answer in time.
    pub async fn send(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Response<Bytes>, ClientError> {
        let request = self.check_request(request)?;
        let exchange = async { decode(read(self.begin(request).await?, longest).await?, longest) };
        let slow = Err(ClientError::Slow(self.timeout));
        timeout(self.timeout, exchange).await.unwrap_or(slow)
    }

    /// Sends a request and returns the answer as soon as it begins.
    ///
    /// # Errors
    /// Returns an error if the answer does not begin in time.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let request = self.check_request(request)?;
        timeout(self.timeout, self.begin(request)).await.unwrap_or(Err(ClientError::Slow(self.timeout)))
    }

    /// Sends a request and returns the status and the headers of the answer. Reads up to `longest` bytes of the body,
    /// only to keep the connection usable.
    ///
    /// # Errors
    /// Returns an error if the answer does not begin in time.
    pub async fn send_ignoring_body(
        &self,
        request: Request<Full<Bytes>>,
        longest: usize,
    ) -> Result<Response<()>, ClientError> {
        let until = Instant::now() + self.timeout;
        let (head, body) = self.open(request).await?.into_parts();
        let _ = timeout_at(until, Limited::new(body, longest).collect()).await;
        Ok(Response::from_parts(head, ()))
    }

    async fn begin(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        if let Some(bearer) = &self.endpoint.bearer {
            request.headers_mut().insert(AUTHORIZATION, self.authorization(bearer).await?);
        }
        self.inner.request(request).await.map_err(|error| ClientError::Broken(error_chain(&error)))
    }

    /// Returns the header with the bearer token. A token file is read for each request, because its content may have
    /// changed.
    async fn authorization(&self, bearer: &BearerToken) -> Result<HeaderValue, ClientError> {
        let token = match bearer {
            BearerToken::Fixed(secret) => secret.expose().to_vec(),
            BearerToken::File(path) => self.read(path.clone()).await.map_err(ClientError::Token)?,
        };
        let mut value = HeaderValue::from_bytes(&[b"Bearer ", token.trim_ascii()].concat())
            .map_err(|_| ClientError::Token(ErrorKind::InvalidData.into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Reads a file in another thread. If the read hangs, for example on a network drive, other tasks continue.
    async fn read(&self, path: PathBuf) -> io::Result<Vec<u8>> {
        let turn = Arc::clone(&self.reading).acquire_owned().await.map_err(io::Error::other)?;
        let reading = spawn_blocking(move || {
            let _turn = turn;
            files::read(&path, LONGEST_TOKEN)
        });
        reading.await?
    }

    /// Checks that the address is safe, and adds the `User-Agent` header.
    fn check_request(&self, mut request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, ClientError> {
        if !self.endpoint.may_ask(request.uri()) {
            return Err(ClientError::Unsafe);
        }
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("chat-signer"));
        Ok(request)
    }
}

/// Reads the rest of an answer, if it has at most `longest` bytes.
///
/// # Errors
/// Returns an error if the answer is longer or is interrupted.
pub async fn read(answer: Response<Incoming>, longest: usize) -> Result<Response<Bytes>, ClientError> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, longest).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::Long(longest)),
        Err(error) => Err(ClientError::Broken(error_chain(&*error))),
    }
}

/// Decompresses an answer, if it has at most `longest` bytes. Some servers compress answers although the program does not
/// ask for it.
fn decode(mut answer: Response<Bytes>, longest: usize) -> Result<Response<Bytes>, ClientError> {
    let encoding = answer.headers_mut().remove(CONTENT_ENCODING);
    match encoding.as_ref().map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase()).as_deref() {
        None | Some(b"identity") => Ok(answer),
        Some(b"gzip" | b"x-gzip") => {
            let body = gunzip(answer.body(), longest)?;
            Ok(answer.map(|_| body))
        }
        Some(other) => Err(ClientError::Encoding(String::from_utf8_lossy(other).chars().take(40).collect())),
    }
}

fn gunzip(compressed: &[u8], longest: usize) -> Result<Bytes, ClientError> {
    let mut body = Vec::new();
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(compressed).take(limit).read_to_end(&mut body);
    read.map_err(|error| ClientError::Broken(format!("the answer is not valid gzip: {error}")))?;
    if body.len() > longest { Err(ClientError::Long(longest)) } else { Ok(body.into()) }
}

/// Creates the TLS configuration for a server with a certificate of one of these authorities (in DER). If the list is
/// empty, Mozilla's authorities are used, which are part of the program. If the server asks for a client certificate,
/// `identity` is sent.
///
/// # Errors
/// Returns an error if an authority or the identity cannot be used.
pub fn tls_config(authorities: &[Vec<u8>], identity: Option<&ClientIdentity>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_slice(authority))?;
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::try_from(identity.key.expose().to_vec())
        .map_err(|flaw| rustls::Error::General(flaw.to_owned()))?;
    builder.with_client_auth_cert(chain, key)
}

/// Returns an error's text with all its causes, because the outermost error alone says very little.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}
