//! Connections to other servers: directly, through the proxy of the configuration, or over a Unix socket.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tower::Service;

use crate::authn::HttpsProxy;

/// Opens connections.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "a program has few connectors")]
pub(super) enum Connector {
    /// Over TCP. A connection through the proxy is a tunnel (RFC 9110, section 9.3.6), so the proxy sees only the name
    /// of the server.
    Tcp { direct: HttpConnector, proxy: Option<(HttpsProxy, Tunnel<HttpConnector>)> },
    /// Over the Unix socket with this path, whatever the URL of the request.
    Socket(PathBuf),
}

/// A connection over TCP or over a Unix socket.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl Connection for Box<dyn ByteStream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Connector {
    /// Creates a connector that uses this proxy for connections with TLS.
    pub(super) fn new(proxy: Option<&HttpsProxy>) -> Connector {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let tunnel = |proxy: &HttpsProxy| (proxy.clone(), Tunnel::new(proxy.url.clone(), direct.clone()));
        Connector::Tcp { proxy: proxy.map(tunnel), direct }
    }

    /// Creates a connector to this Unix socket.
    pub(super) fn to_socket(path: &Path) -> Connector {
        Connector::Socket(path.to_owned())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn ByteStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Connector::Tcp { direct, .. } => direct.poll_ready(context).map_err(Into::into),
            Connector::Socket(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match self {
            Connector::Tcp { proxy: Some((proxy, tunnel)), .. } if proxy.is_for(&to) => {
                let connecting = tunnel.call(to);
                Box::pin(async move { Ok(boxed(connecting.await?.into_inner())) })
            }
            Connector::Tcp { direct, .. } => {
                let connecting = direct.call(to);
                Box::pin(async move { Ok(boxed(connecting.await?.into_inner())) })
            }
            Connector::Socket(path) => {
                let path = path.clone();
                Box::pin(async move { Ok(boxed(UnixStream::connect(path).await?)) })
            }
        }
    }
}

fn boxed(stream: impl ByteStream + 'static) -> TokioIo<Box<dyn ByteStream>> {
    TokioIo::new(Box::new(stream))
}
