//! Connections to other servers: directly, or through the proxy of the configuration.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use crate::authn::HttpsProxy;

/// Opens TCP connections. A connection through the proxy is a tunnel (RFC 9110, section 9.3.6), so the proxy sees only
/// the name of the server.
#[derive(Clone)]
pub(super) struct Connector {
    direct: HttpConnector,
    proxy: Option<(HttpsProxy, Tunnel<HttpConnector>)>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Connector {
    /// Creates a connector that uses this proxy for connections with TLS.
    pub(super) fn new(proxy: Option<&HttpsProxy>) -> Connector {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let tunnel = |proxy: &HttpsProxy| (proxy.clone(), Tunnel::new(proxy.url.clone(), direct.clone()));
        Connector { proxy: proxy.map(tunnel), direct }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        match &mut self.proxy {
            Some((proxy, tunnel)) if proxy.is_for(&to) => {
                let connecting = tunnel.call(to);
                Box::pin(async move { Ok(connecting.await?) })
            }
            _ => {
                let connecting = self.direct.call(to);
                Box::pin(async move { Ok(connecting.await?) })
            }
        }
    }
}
