//! The client for other servers, with the care that strangers need: HTTPS, a limit on time and size, and no redirects.

use std::error::Error;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use crate::authn::{BearerToken, Endpoint, is_safe};
use crate::config::ClientIdentity;
use crate::files;

/// How long an answer may take, from the reading of the token to the last byte, unless it was said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is kept for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The longest token that is read from a file, in bytes.
const LONGEST_TOKEN: u64 = 64 << 10;

/// Asks one server.
pub struct UpstreamClient {
    inner: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    bearer: Option<BearerToken>,
    /// Lets one read the token's file at a time: where that hangs, it takes no more than one thread.
    reading: Arc<Semaphore>,
    patience: Duration,
}

/// Why a client can't be made.
#[derive(Debug, thiserror::Error)]
#[error("no TLS client can be made for {url}: {reason}")]
pub struct ClientBuildError {
    url: String,
    reason: rustls::Error,
}

/// Why there is no answer. Its text is for the log: it holds nothing that was sent.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is neither HTTPS nor on this machine.
    #[error("it is asked for without TLS")]
    Unsafe,
    /// The token to show isn't there.
    #[error("the file with the token to show can't be read: {0}")]
    Token(io::Error),
    /// No connection, or it broke off.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// The answer is too long.
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
}

impl UpstreamClient {
    /// For this server.
    ///
    /// # Errors
    /// If its certificate authorities can't be used.
    pub fn new(endpoint: &Endpoint) -> Result<UpstreamClient, ClientBuildError> {
        let tls = tls(&endpoint.authorities, None)
            .map_err(|reason| ClientBuildError { url: endpoint.to_string(), reason })?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(KEEP_ALIVE);
        let (bearer, reading) = (endpoint.bearer.clone(), Arc::new(Semaphore::new(1)));
        Ok(UpstreamClient { inner: builder.build(connector), bearer, reading, patience: PATIENCE })
    }

    /// Waits so long for an answer.
    #[must_use]
    pub fn patient(self, patience: Duration) -> UpstreamClient {
        UpstreamClient { patience, ..self }
    }

    /// Sends a request and reads the answer, whatever its status, if it has at most `longest` bytes.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn send(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Response<Bytes>, ClientError> {
        let request = checked(request)?;
        let exchange = async { read(self.begin(request).await?, longest).await };
        let slow = Err(ClientError::Slow(self.patience));
        timeout(self.patience, exchange).await.unwrap_or(slow)
    }

    /// Sends a request, and returns the answer once it begins.
    ///
    /// # Errors
    /// If it doesn't begin in time.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let request = checked(request)?;
        timeout(self.patience, self.begin(request)).await.unwrap_or(Err(ClientError::Slow(self.patience)))
    }

    /// Sends a request and reads how it is answered. What else the answer says is of no account: up to `longest` bytes of it are read, so
    /// that the connection can be used again.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub async fn tell(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Response<()>, ClientError> {
        let until = Instant::now() + self.patience;
        let (head, body) = self.open(request).await?.into_parts();
        let _ = timeout_at(until, Limited::new(body, longest).collect()).await;
        Ok(Response::from_parts(head, ()))
    }

    async fn begin(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        if let Some(bearer) = &self.bearer {
            request.headers_mut().insert(AUTHORIZATION, self.authorization(bearer).await?);
        }
        self.inner.request(request).await.map_err(|error| ClientError::Broken(chain(&error)))
    }

    /// The header that shows the token. A file is read anew each time, as its token may have been changed.
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

    /// Reads a file where waiting for it, as for one on a network that hangs, holds up nobody else.
    async fn read(&self, path: PathBuf) -> io::Result<Vec<u8>> {
        let turn = Arc::clone(&self.reading).acquire_owned().await.map_err(io::Error::other)?;
        let reading = spawn_blocking(move || {
            let _turn = turn;
            files::read(&path, LONGEST_TOKEN)
        });
        reading.await?
    }
}

/// A request that may be sent, with who sends it.
fn checked(mut request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, ClientError> {
    if !is_safe(request.uri()) {
        return Err(ClientError::Unsafe);
    }
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("chat-signer"));
    Ok(request)
}

/// Reads the rest of an answer, if it has at most `longest` bytes.
///
/// # Errors
/// If it is longer, or breaks off.
pub async fn read(answer: Response<Incoming>, longest: usize) -> Result<Response<Bytes>, ClientError> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, longest).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::Long(longest)),
        Err(error) => Err(ClientError::Broken(chain(&*error))),
    }
}

/// What is spoken to a server whose certificate comes from one of these authorities, in DER; without any, from one of Mozilla's, which ship with
/// the program. `identity` is shown to a server that wants to see one.
///
/// # Errors
/// If an authority or the identity can't be used.
pub fn tls(authorities: &[Vec<u8>], identity: Option<&ClientIdentity>) -> Result<ClientConfig, rustls::Error> {
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

/// An error with all that caused it, as the outermost alone says next to nothing.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}
